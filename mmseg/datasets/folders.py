"""The folders and lists that the files of a data set come from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg.errors import ConfigError

Texts = str | Sequence[str] | None
"""One text, or one for each folder of a data set."""
OptionalTexts = str | Sequence[str | None] | None
"""The same, where a folder may have none."""


@dataclass(frozen=True)
class Folder:
    """One folder of images.

    Attributes:
        root: What a converter of the data set is called with.
        images: Folder of the images.
        labels: Folder of their label maps, if there are any.
        split: File that lists the images that count; None: all do.
    """

    root: Path
    images: Path
    labels: Path | None
    split: Path | None


def resolve_folders(
    data_root: Texts, img_dir: Texts, ann_dir: Texts = None, split: OptionalTexts = None
) -> list[Folder]:
    """The folders that the settings of a data set name; a setting that is no list holds for all of them.

    The paths of several folders are absolute, so that what they have in common is a folder.

    Raises:
        ConfigError: A setting is no text and no list of texts, or lists have different lengths.
    """
    settings: dict[str, Any] = dict(data_root=data_root, img_dir=img_dir, ann_dir=ann_dir, split=split)
    lists = {name: value for name, value in settings.items() if isinstance(value, list | tuple)}
    for name, value in settings.items():
        optional = name == "split" or (name == "ann_dir" and name not in lists)
        each = lists.get(name, [value])
        if not each or not all(isinstance(one, str | Path) or (optional and one is None) for one in each):
            raise ConfigError(f"config: {name}={value!r} of a data set; expected a text or a list of texts")
    lengths = {name: len(value) for name, value in lists.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} names {length}" for name, length in lengths.items())
        raise ConfigError(
            f"config: the folders of a data set: {found}; expected lists of the same length, or one text "
            "that holds for all"
        )
    number = max([1, *lengths.values()])
    rows = zip(*(lists.get(name, [value] * number) for name, value in settings.items()), strict=True)
    folders = [
        Folder(
            Path(root or ""),
            Path(root or "", images or ""),
            None if labels is None else Path(root or "", labels),
            None if listed is None else Path(listed),
        )
        for root, images, labels, listed in rows
    ]
    if number == 1:
        return folders
    return [
        Folder(_absolute(f.root), _absolute(f.images), f.labels and _absolute(f.labels), f.split)
        for f in folders
    ]


def common_folder(folders: Sequence[Path]) -> Path:
    """The innermost folder that holds several; one folder is its own."""
    return folders[0] if len(folders) == 1 else Path(os.path.commonpath(folders))


def _absolute(folder: Path) -> Path:
    return Path(os.path.abspath(folder))
