"""A folder that holds a network and all that is needed to use it, here or on the Hugging Face hub.

``config.json`` is a config as any other: network, test pipeline, classes, palette; it is data, nothing in it
is run. ``model.safetensors`` are the weights, ``README.md`` the card that the hub shows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseg.checkpoints.atomic import replacing, write_text
from mmseg.checkpoints.download import sha256_of
from mmseg.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
ABOUT = "mmseg_uda"
"""Entry of the config that makes a folder one of this framework: version, hash of the weights, classes, …"""
HUB = "hf://"
"""Begins the name of a network on the hub, where a file could be meant as well."""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def is_model_folder(path: str | Path) -> bool:
    """Whether a folder holds a network of this framework or, at least, says so."""
    return Path(path, CONFIG).is_file() and Path(path, WEIGHTS).is_file()


def find_model(name: str | Path, revision: str | None = None) -> Path:
    """The folder of a network.

    Args:
        name: A folder, or ``owner/name`` (also ``hf://owner/name``) on the hub, which is downloaded to the
            hub's cache once.
        revision: Branch, tag or commit on the hub.

    Raises:
        CheckpointError: There is no such folder, and the hub has no network of this name or cannot be
            reached.
    """
    if Path(name).is_dir():
        if not is_model_folder(name):
            raise CheckpointError(
                f"{name}: expected {CONFIG} and {WEIGHTS} in it, found neither or one; write such a folder "
                "with tools/publish_model.py --config, or name config and checkpoint of a run"
            )
        return Path(name)
    hub_id = str(name).removeprefix(HUB)
    if not HUB_ID.fullmatch(hub_id):
        raise CheckpointError(f"{name}: no such folder, and no name on the hub (owner/name)")
    return _from_hub(hub_id, revision)


def _from_hub(hub_id: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(hub_id, revision=revision, allow_patterns=[CONFIG, WEIGHTS])
    except Exception as error:  # of the hub's own, of the network, of the disk: there is no common one
        raise CheckpointError(
            f"{hub_id}: no such folder here, and it cannot be had from the Hugging Face hub ("
            f"{type(error).__name__}: {str(error).splitlines()[0]}); download {CONFIG} and {WEIGHTS} from "
            f"https://huggingface.co/{hub_id} elsewhere, put them into a folder and name that"
        ) from error
    if not is_model_folder(folder):
        raise CheckpointError(
            f"{hub_id}: has not both {CONFIG} and {WEIGHTS} on the hub; expected a network of this framework"
        )
    return Path(folder)


def write_model_folder(
    folder: str | Path, config: Mapping[str, Any], weights: Mapping[str, Tensor], card: str
) -> None:
    """Write a network; each file whole or not at all, the config, which names the hash of the weights, last.

    Args:
        folder: It is made; files of a network of before are replaced, no others.
        config: What JSON can hold; it has the entry :data:`ABOUT`.
        weights: State dict of the network.
        card: Text of the model card, Markdown.

    Raises:
        CheckpointError: Another program's ``config.json`` stands there, or a file cannot be written.
    """
    import safetensors.torch

    folder = Path(folder)
    try:
        if (folder / CONFIG).exists() and about(folder) is None:
            raise CheckpointError(
                f"{folder / CONFIG}: is not of a network of this framework; name another folder"
            )
        state = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
        with replacing(folder / WEIGHTS) as temporary:
            safetensors.torch.save_file(state, temporary, metadata={"format": "pt"})
        digest = sha256_of(folder / WEIGHTS)
        content = {**config, ABOUT: {**config[ABOUT], "weights_sha256": digest}}
        write_text(folder / CARD, card)
        write_text(folder / CONFIG, json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written: {error}; name another folder") from error


def about(folder: Path) -> dict[str, Any] | None:
    """What the config of a folder says of its network beyond how it is built; None where it is no folder of
    this framework."""
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    found = content.get(ABOUT) if isinstance(content, dict) else None
    return found if isinstance(found, dict) else None


def meta_beside(weights: Path) -> dict[str, Any]:
    """What the config beside a weight file says of it: classes, palette and normalisation, as in ``meta`` of
    a checkpoint; empty for a file that has no such config.

    Raises:
        CheckpointError: The config belongs to other weights.
    """
    known = about(weights.parent) if weights.name == WEIGHTS else None
    if known is None:
        return {}
    expected = known.get("weights_sha256")
    if expected and (found := sha256_of(weights)) != expected:
        raise CheckpointError(
            f"{weights}: SHA-256 {found}, {CONFIG} beside it names {expected}; the files are of two networks "
            "or one is damaged, copy or download both again"
        )
    return {key: known[key] for key in ("dataset_meta", "normalization") if known.get(key)}
