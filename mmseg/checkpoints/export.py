"""Weights of one network out of a checkpoint, of the published code or of ours, as a file of their own."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from mmseg.checkpoints.atomic import replacing
from mmseg.checkpoints.networks import find_network, split_networks
from mmseg.checkpoints.weights import dataset_meta, read_checkpoint, state_dict_of
from mmseg.errors import CheckpointError

KEPT = ("iter", "epoch", "seed", "experiment_name", "dataset_meta", "normalization")
"""Entries of ``meta`` that say where weights come from; environment and paths are left out."""

SUFFIXES = (".pth", ".safetensors")
"""Of the files that are written."""


def extract_network(
    path: str | Path, network: str = "student", rename: Callable[[str], str] = str
) -> dict[str, Any]:
    """Read a checkpoint and keep one network of it.

    Args:
        path: Checkpoint of the published code or of this framework.
        network: A key of :data:`~mmseg.checkpoints.networks.NETWORKS`, or ``'all'`` for every network
            with its prefix.
        rename: Gives the entries of published networks the names that they have today.

    Returns:
        ``meta`` and ``state_dict``.

    Raises:
        CheckpointError: The file is missing or damaged, or does not hold the network.
    """
    content = read_checkpoint(path)
    state = state_dict_of(content, path)
    if network != "all":
        networks = split_networks(state)
        state = networks[find_network(network, networks, path)]
    meta = content.get("meta") or {}
    named = {"experiment_name": meta.get("exp_name"), **meta, "dataset_meta": dataset_meta(meta) or None}
    return {
        "meta": {key: named[key] for key in KEPT if named.get(key) is not None},
        "state_dict": {rename(name): value for name, value in state.items()},
    }


def check_out(out: Path, checkpoint: str | Path, overwrite: bool = False) -> None:
    """Check that a weight file can be written without loss, before work is done for it.

    Args:
        out: File to write.
        checkpoint: File to read; it is never overwritten.
        overwrite: Another file may stand at ``out``.

    Raises:
        CheckpointError: ``out`` exists, or has another suffix than weights are written with.
    """
    if out.suffix not in SUFFIXES:
        raise CheckpointError(f"{out}: expected a name that ends with {' or '.join(SUFFIXES)}")
    if not out.exists():
        return
    if Path(checkpoint).exists() and out.samefile(checkpoint):
        raise CheckpointError(f"{out}: is the checkpoint to read; name another file to write")
    if not overwrite or not out.is_file():
        raise CheckpointError(f"{out}: exists already; name another file, or move this one away")


def encode_weights(weights: Mapping[str, Any], suffix: str) -> bytes:
    """The content of a file for what :func:`extract_network` gave; of ``.safetensors`` the weights alone."""
    state: dict[str, Tensor] = {
        name: value.clone(memory_format=torch.contiguous_format)
        for name, value in weights["state_dict"].items()
    }
    if suffix == ".safetensors":
        return safetensors.torch.save(state, metadata={"format": "pt"})
    buffer = io.BytesIO()
    torch.save({**weights, "state_dict": state}, buffer)
    return buffer.getvalue()


def write_weights(path: Path, content: bytes) -> None:
    """Write a weight file, whole or not at all.

    Raises:
        CheckpointError: The file cannot be written.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written: {error}; name a file in another folder") from error
