"""The networks of a checkpoint: their names, and where the names of their entries begin."""

from collections.abc import Iterable, Mapping

from torch import Tensor

from mmseg.errors import CheckpointError

NETWORKS = {
    "student": ("model", ""),
    "teacher": ("ema_model", "mic.teacher.ema_model"),
    "imagenet": ("imnet_model",),
    "masking-teacher": ("mic.teacher.ema_model",),
    "discriminators": ("model_D",),
    "generator": ("generator.to_target",),
    "generator-back": ("generator.to_source",),
}
"""Prefixes of each network of an adaptation; the first one that a checkpoint holds counts.

In a run without adaptation the student's entries have none. Where a method has no teacher, masked consistency
has one of its own.
"""


def split_networks(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The entries of a checkpoint by prefix, without it; under ``''`` those that have none of a network."""
    prefixes = {prefix for known in NETWORKS.values() for prefix in known if prefix}
    networks: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        prefix = next((prefix for prefix in prefixes if name.startswith(f"{prefix}.")), "")
        networks.setdefault(prefix, {})[name[len(prefix) + 1 :] if prefix else name] = value
    return networks


def find_network(network: str, held: Iterable[str], path: object) -> str:
    """The prefix of a network in a checkpoint.

    Args:
        network: A key of :data:`NETWORKS`.
        held: The prefixes that the checkpoint holds.
        path: Its file, for messages.

    Raises:
        CheckpointError: It does not hold the network.
    """
    held = set(held)
    for prefix in NETWORKS[network]:
        if prefix in held:
            return prefix
    others = ", ".join(name for name, prefixes in NETWORKS.items() if held & set(prefixes))
    raise CheckpointError(
        f"{path}: holds no {network} (no entry starts with '{NETWORKS[network][0]}.'); it has {others}; take "
        "one of these (--which, --network), or name the checkpoint of a whole run"
    )
