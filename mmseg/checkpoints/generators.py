"""Generators of images in the checkpoints of their trainings."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from mmseg.checkpoints.weights import compare, read_checkpoint, require_file, state_dict_of
from mmseg.errors import CheckpointError

PREFIX, TRANSLATOR = "generator.", "translator.network."
TO_TARGET, TO_SOURCE = "to_target", "to_source"


def load_generator(
    network: nn.Module, path: str | Path, way: str = TO_TARGET, source: str | None = None
) -> None:
    """Load the weights of one generator.

    Args:
        network: The generator.
        path: Checkpoint of a run that trains generators, or of one whose translator is a generator, or the
            file of a single one as published with CycleGAN (``latest_net_G_A.pth``).
        way: ``'to_target'`` or ``'to_source'``.
        source: Name of the source, where the run has several.

    Raises:
        CheckpointError: The file is missing, or holds no such generator, or one of another network.
    """
    path = require_file(path)
    state = state_dict_of(read_checkpoint(path), path)
    if any(name.startswith(PREFIX) for name in state):
        state = _of_run(state, path, way, source)
    elif any(name.startswith(TRANSLATOR) for name in state):
        state = {name.removeprefix(TRANSLATOR): x for name, x in state.items() if name.startswith(TRANSLATOR)}
    report = compare(network, state)
    if misfits := report.misfits():
        raise CheckpointError(
            f"{path}: the generator is not of the network in the config: {misfits}. Name the blocks, "
            "channels and norm that it was trained with; with dropout_ratio the second convolution of a "
            "block is conv_block.6, without conv_block.5"
        )
    network.load_state_dict(report.loaded, strict=False)


def _of_run(state: Mapping[str, Tensor], path: Path, way: str, source: str | None) -> dict[str, Tensor]:
    """The entries of a generator in the checkpoint of a run, without prefix."""
    names = {name.removeprefix(PREFIX).split(".")[0] for name in state if name.startswith(PREFIX)}
    sources = sorted(names - {TO_TARGET, TO_SOURCE})
    if sources and source not in sources:
        raise CheckpointError(
            f"{path}: holds generators of {', '.join(sources)}; name one of these sources, found {source!r}"
        )
    prefix = f"{PREFIX}{source}.{way}." if sources else f"{PREFIX}{way}."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
