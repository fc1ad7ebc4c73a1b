"""Reading weight files: ImageNet weights of a backbone, and checkpoints of whole segmentors.

Files are read with an allow-list of harmless types; code in a file is never run. Weights of another network
are an error, not a warning, since the network would run and give nonsense.
"""

import _codecs
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log
from torch import Tensor, nn

from mmseg.errors import CheckpointError

MIN_FITTING_SHARE = 0.9


@dataclass
class LoadReport:
    """What a weight file had for a network, as parameter and buffer names."""

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)

    @property
    def fitting_share(self) -> float:
        """Share of entries that fit by name and shape, of those of the network or of the file (the less)."""
        misfits = len(self.mismatched) + max(len(self.missing), len(self.unexpected))
        return len(self.loaded) / max(len(self.loaded) + misfits, 1)

    def examples(self) -> str:
        """A few entries of each kind of misfit."""
        kinds = {
            "missing in the file": self.missing,
            "unknown to the network": self.unexpected,
            "other shape": self.mismatched,
        }
        return "; ".join(
            f"{kind} ({len(names)}): {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
            for kind, names in kinds.items()
            if names
        )


def require_file(path: str | Path) -> Path:
    """The path of a weight file that exists.

    Raises:
        CheckpointError: It does not; for ImageNet weights of MiT the message says where to get them.
    """
    path = Path(path)
    if path.is_file():
        return path
    remedy = "check the path"
    if path.name.startswith("mit_b"):
        remedy = (
            f"download {path.name} (ImageNet-1K weights of the encoder) as linked in the README of "
            f"https://github.com/NVlabs/SegFormer under 'Training' and save it as {path}, or set "
            "model.pretrained=None to train from scratch"
        )
    raise CheckpointError(f"{path}: weight file not found; expected a PyTorch checkpoint there; {remedy}")


def load_pretrained_backbone(backbone: nn.Module, path: str | Path) -> LoadReport:
    """Load ImageNet weights into a backbone.

    The file holds a state dict, alone or under ``state_dict`` or ``model``; entries of its classifier
    (``head.*``) are ignored. Of a checkpoint of a whole segmentor the (student's) encoder is taken.

    Returns:
        Which entries were used; also logged.

    Raises:
        CheckpointError: The file is missing or unreadable, or less than 90 % of the entries fit the backbone.
    """
    state = state_dict_of(read_checkpoint(path), path)
    for prefix in ("model.backbone.", "backbone."):
        state = select_prefix(state, prefix) or state
    state = {name: value for name, value in state.items() if not name.startswith("head.")}
    report = compare(backbone, state)
    if report.fitting_share < MIN_FITTING_SHARE:
        raise CheckpointError(
            f"{path}: {report.fitting_share:.0%} of the weights fit the backbone, expected at least "
            f"{MIN_FITTING_SHARE:.0%}; {report.examples()}. Use ImageNet weights of the config's backbone"
        )
    backbone.load_state_dict({name: state[name] for name in report.loaded}, strict=False)
    rest = report.examples()
    print_log(
        f"{path}: loaded {len(report.loaded)} weights of the backbone" + (f"; {rest}" if rest else ""),
        "current",
    )
    return report


def load_checkpoint(model: nn.Module, path: str | Path, network: str = "model") -> dict[str, Any]:
    """Load a trained segmentor.

    Takes checkpoints of this framework and those published with DAFormer, HRDA and MIC. Where a file holds
    several networks (student ``model.*``, teacher ``ema_model.*``, …), one of them is taken.

    Args:
        model: The segmentor.
        path: Checkpoint file.
        network: Prefix of the network to take from a file of several.

    Returns:
        The whole content of the file.

    Raises:
        CheckpointError: The file is missing or unreadable, or holds another network than ``model``.
    """
    checkpoint = read_checkpoint(path)
    state = state_dict_of(checkpoint, path)
    if network != "model" or any(name.startswith("model.") for name in state):
        state = select_prefix(state, f"{network}.")
        if not state:
            raise CheckpointError(f"{path}: no entry starts with '{network}.'; take 'model' for the student")
    report = compare(model, state)
    if report.missing or report.mismatched or report.unexpected:
        raise CheckpointError(
            f"{path}: the checkpoint is of another network than the config: {report.examples()}. "
            "Use the config that was stored with the checkpoint"
        )
    model.load_state_dict({name: state[name] for name in report.loaded}, strict=False)
    print_log(f"{path}: loaded {len(report.loaded)} weights", "current")
    return checkpoint


def select_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries whose names start with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def compare(module: nn.Module, state: Mapping[str, Tensor]) -> LoadReport:
    """Which entries of a state dict fit a module; the batch counters of norms are optional."""
    report, own = LoadReport(), module.state_dict()
    for name, value in own.items():
        if name not in state:
            if not name.endswith("num_batches_tracked"):
                report.missing.append(name)
        elif state[name].shape != value.shape:
            shapes = f"{tuple(state[name].shape)} in the file, {tuple(value.shape)} in the network"
            report.mismatched.append(f"{name} ({shapes})")
        else:
            report.loaded.append(name)
    report.unexpected = [name for name in state if name not in own]
    return report


def state_dict_of(content: Mapping[str, Any], path: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, without the prefix of data-parallel wrappers.

    Args:
        content: What :func:`read_checkpoint` gave.
        path: Its file, for messages.

    Raises:
        CheckpointError: There is no state dict.
    """
    for key in ("state_dict", "model"):
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    state = {
        name.removeprefix("module."): value for name, value in content.items() if isinstance(value, Tensor)
    }
    if not state:
        raise CheckpointError(
            f"{path}: found no tensors; expected a state dict, alone or under 'state_dict' or 'model'"
        )
    return state


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """All of a checkpoint file, on the CPU.

    Raises:
        CheckpointError: The file is missing, damaged, or holds types that checkpoints do not need.
    """
    path = require_file(path)
    try:
        with torch.serialization.safe_globals(_checkpoint_types()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load has no common error type for damaged files
        forbidden = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it holds a {forbidden[1]}, which weights do not need" if forbidden else "it is damaged"
        raise CheckpointError(
            f"{path}: not a readable PyTorch checkpoint: {reason}; download or train it again"
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: found a {type(content).__name__}; expected a dict of weights")
    return dict(content)


def _checkpoint_types() -> list[Any]:
    """What mmengine's logging history puts into checkpoints beside tensors and plain values."""
    scalar = np.float64(0).__reduce__()[0]
    reconstruct = np.empty(0).__reduce__()[0]
    number_types = {type(np.dtype(code)) for code in np.typecodes["All"]}
    both_numpy_names: list[Any] = [
        (function, f"numpy.{core}.multiarray.{name}")  # the module was renamed in numpy 2
        for core in ("core", "_core")
        for name, function in (("scalar", scalar), ("_reconstruct", reconstruct))
    ]
    statistic = (_history_statistic, "builtins.getattr")
    return [HistoryBuffer, np.ndarray, np.dtype, _codecs.encode, statistic, *number_types, *both_numpy_names]


def _history_statistic(owner: object, name: str) -> Any:
    """Stands for ``getattr`` while a file is read: a history names its methods by it, nothing else may."""
    if owner is not HistoryBuffer or name not in ("min", "max", "current", "mean"):
        raise pickle.UnpicklingError("GLOBAL getattr of anything else")
    return getattr(HistoryBuffer, name)
