"""Which files of a folder are images or labels of a data set."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmseg.errors import DataError

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".tif", ".tiff")
"""Endings of the formats that can be read, in small letters."""
FOREIGN_FOLDER = re.compile(r"[.@#$].*|__MACOSX|lost\+found|System Volume Information")
"""What file servers and systems put between the images, and hidden folders."""
LABEL_WORDS = r"masks?|labels?|gt|seg|annot|color|l|labelIds|labelTrainIds"
LABEL_NAME = re.compile(rf"(?:(?:{LABEL_WORDS})[-_](?P<behind>.+)|(?P<before>.+)[-_](?:{LABEL_WORDS}))", re.I)
"""Common names of labels that lie beside their images, by those of the images."""
LABEL_FOLDER = re.compile(
    r"(?:train|val|test)?[-_]?(?:masks?|labels?|annot|ann|annotations?|gt|gtfine|ground[-_]?truth|segmentation\w*)",
    re.I,
)
"""Common names of their folders."""


@dataclass
class Found:
    """Files of a folder.

    Attributes:
        paths: Name (path below the folder, without suffix, with ``/``) -> file; sorted by name.
        remarks: What was left out and might be missed.
    """

    paths: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Folders below one and their files, sorted, without hidden ones and those of the system.

    Links are followed; a folder that is reached a second time, as by a link to itself, is left out.
    """
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        visible = [name for name in folders if not FOREIGN_FOLDER.fullmatch(name)]
        # a folder itself goes before links to it
        folders[:] = sorted(visible, key=lambda name: (os.path.islink(os.path.join(place, name)), name))
        yield place, sorted(name for name in files if not name.startswith("."))


def as_suffixes(value: str | Sequence[str]) -> tuple[str, ...]:
    """One suffix or several, the longest first, so that a name loses all of its suffix."""
    suffixes = (value,) if isinstance(value, str) else tuple(value)
    return tuple(sorted(suffixes, key=len, reverse=True))


def split_suffix(file: str, suffixes: Iterable[str]) -> tuple[str, str] | None:
    """(name, suffix) of a file that ends with one of the suffixes, whatever its letters' case; or None."""
    lower = file.lower()
    return next(
        ((file[: len(file) - len(suffix)], suffix) for suffix in suffixes if lower.endswith(suffix.lower())),
        None,
    )


def find_files(folder: Path, suffixes: Sequence[str], without: Sequence[Path] = ()) -> Found:
    """Files below a folder that end with one of some suffixes.

    Args:
        folder: Where to look.
        suffixes: As from :func:`as_suffixes`.
        without: Folders below this one whose files do not count.

    Raises:
        DataError: Two files have the same name but for their suffix.
    """
    found: dict[str, str] = {}
    root = len(str(folder)) + 1
    others: dict[str, list[str]] = {}
    endings = {os.path.splitext(suffix)[1].lower() or suffix.lower() for suffix in suffixes}
    for place, files in walk(folder):
        if without and any(map(Path(place).is_relative_to, without)):
            continue
        for file in files:
            path = os.path.join(place, file)
            parts = split_suffix(file, suffixes)
            if parts is None:
                ending = os.path.splitext(file)[1].lower()
                if ending in IMAGE_ENDINGS and ending not in endings:
                    others.setdefault(ending, []).append(path)
                continue
            name = os.path.join(place, parts[0])[root:].replace(os.sep, "/")
            if name in found:
                raise DataError(
                    f"{path}: has the same name as {found[name]} but for the suffix; expected one file of "
                    "each name: remove or rename one of them"
                )
            found[name] = path
    remarks = [
        f"{folder}: {len(paths)} files {ending} beside {len(found)} files {', '.join(suffixes)} are left "
        f"out, for example {os.path.basename(paths[0])}; name all suffixes to take them, as "
        f"img_suffix={[*suffixes, ending]}"
        for ending, paths in sorted(others.items())
    ]
    return Found(dict(sorted(found.items())), remarks)


def without_labels_between(images: Found, suffixes: Sequence[str], label_suffixes: Sequence[str]) -> Found:
    """The images of a folder that holds labels, too: ``a_mask.png`` beside ``a.png``.

    Args:
        images: What was found with the images' suffixes.
        suffixes: Those.
        label_suffixes: Of the labels; those that say more than the images' suffix tell labels apart.
    """
    kept = dict(images.paths)
    for name, path in images.paths.items():
        file = os.path.basename(path)
        label, image = split_suffix(file, label_suffixes), split_suffix(file, suffixes)
        if label is not None and image is not None and len(label[1]) > len(image[1]):
            del kept[name]
    return Found(kept, [*images.remarks, *_seeming_labels(kept)])


def _seeming_labels(images: dict[str, str]) -> list[str]:
    """A remark about images that have the name or folder of a label."""
    below = [name for name in images if any(map(LABEL_FOLDER.fullmatch, name.split("/")[:-1]))]
    if below:
        return [
            f"{len(below)} of {len(images)} images lie in a folder that is named like one of labels, for "
            f"example {images[below[0]]}; set ann_dir, or a narrower img_dir, to leave them out"
        ]
    by_small_name = {name.lower(): name for name in images}
    for name, path in images.items():
        folder, slash, stem = name.rpartition("/")
        match = LABEL_NAME.fullmatch(stem)
        if match is None:
            continue
        other = by_small_name.get(f"{folder}{slash}{match['before'] or match['behind']}".lower())
        if other and other != name:
            suffix = name[len(other) :] + os.path.splitext(path)[1] if match["before"] else ""
            remedy = f"seg_map_suffix={suffix!r}, or " if suffix else ""
            return [
                f"some of the {len(images)} images are named like labels, for example {path} beside "
                f"{images[other]}; set {remedy}split, a file with the names of the images, to leave them out"
            ]
    return []
