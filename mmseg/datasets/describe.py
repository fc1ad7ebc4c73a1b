"""Guess how a folder of images and labels is organised."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmseg.datasets.decoding import read_label
from mmseg.datasets.files import IMAGE_ENDINGS, walk
from mmseg.errors import DataError
from mmseg.labels import IGNORE_INDEX

PROBED = 8  # files of a kind that are opened to see what they hold
READ = 1000  # labels that are read for their values
MOST_VALUES = 64  # more values or colours than classes can have mean that a file is no label
SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing")
BEHIND_SPLIT = ("", "annot", "labels", "label", "masks", "mask", "gt", "images", "img")
"""What follows it in the names of folders, as in ``trainannot``."""
_SEPARATOR = re.compile(r"[_.-]")
Value = int | tuple[int, int, int]


@dataclass(frozen=True)
class Kind:
    """Files of a folder with the same end of their names.

    Attributes:
        folder: Below the root, with ``/``; empty for the root.
        suffix: End of their names, ``.png`` or ``_mask.png``.
        names: Their paths below the folder, without suffix.
    """

    folder: str
    suffix: str
    names: frozenset[str]

    def path(self, root: Path, name: str) -> str:
        """File of a name."""
        return str(root / self.folder / f"{name}{self.suffix}")


@dataclass
class Pairing:
    """Images and their labels.

    Attributes:
        images, labels: What belongs together by name.
        values: Raw label value or colour -> pixels in the labels that were read.
        splits: Text files below the root whose lines are names of images with a label.
        class_names: Value -> name, where a file of the folder says so.
        remarks: What could not be found out or is left out.
    """

    images: Kind
    labels: Kind
    values: Counter[Value] = field(default_factory=Counter)
    splits: list[str] = field(default_factory=list)
    class_names: dict[Value, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Images that have a label."""
        return sorted(self.images.names & self.labels.names)


def describe(root: Path) -> list[Pairing]:
    """Find the images of a folder and the labels that belong to them.

    Folders ``train``, ``val`` and ``test`` become a pairing each.

    Args:
        root: Folder of the data set.

    Raises:
        DataError: It is missing, holds no image, or no label that belongs to one.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    kinds = list(_kinds(root))
    if not kinds:
        raise DataError(f"{root}: holds no image; expected files {', '.join(IMAGE_ENDINGS)}")
    labels = [kind for kind in kinds if _are_labels(root, kind)]
    images = [kind for kind in kinds if kind not in labels]
    pairs = [
        Pairing(image, label)
        for image in images
        for label in labels
        if image.names & label.names and _related(image, label)
    ]
    if not pairs:
        found = ", ".join(f"{kind.folder or '.'}/*{kind.suffix} ({len(kind.names)})" for kind in kinds[:8])
        raise DataError(
            f"{root}: found {found}, but no labels with the names of images; expected labels as PNG, TIFF or "
            "BMP of class ids or of few colours, named like their image but for the suffix"
        )
    chosen = _disjoint(sorted(pairs, key=_preference))
    for pair in chosen:
        pair.remarks += [
            f"{other.labels.folder or '.'}/*{other.labels.suffix} fit {len(other.names)} images as well"
            for other in pairs
            if other.images == pair.images and other.labels != pair.labels and other not in chosen
        ]
        pair.values = _values(root, pair)
        pair.splits = _split_files(root, pair)
        pair.class_names = _class_names(root)
    return sorted(chosen, key=lambda pair: (split_of(pair.images.folder) or "", pair.images.folder))


def _kinds(root: Path) -> Iterator[Kind]:
    """Every folder with images below it, and every common end of their names."""
    below: dict[str, list[str]] = {}
    for place, files in walk(root):
        inside = os.path.relpath(place, root).replace(os.sep, "/")
        parts = [] if inside == "." else inside.split("/")
        for file in files:
            if os.path.splitext(file)[1].lower() in IMAGE_ENDINGS:
                for depth in range(len(parts) + 1):
                    path = "/".join([*parts[depth:], file])
                    below.setdefault("/".join(parts[:depth]), []).append(path)
    for folder, files in below.items():
        suffixes: Counter[str] = Counter()
        for suffix in (suffix for file in files for suffix in _suffixes(file)):
            known = next((other for other in suffixes if other.lower() == suffix.lower()), suffix)
            suffixes[known] += 1
        for suffix, count in suffixes.items():
            if suffix.startswith(".") or count > 1:
                names = {file[: -len(suffix)] for file in files if file.lower().endswith(suffix.lower())}
                yield Kind(folder, suffix, frozenset(names))


def _suffixes(file: str) -> Iterator[str]:
    """``.png``, ``_c.png`` and ``_b_c.png`` of ``a_b_c.png``; ``-`` and ``.`` separate words, too."""
    stem, ending = os.path.splitext(os.path.basename(file))
    yield ending
    starts = [match.start() for match in _SEPARATOR.finditer(stem) if match.start() > 0]
    for start in starts[:-3:-1]:
        if not stem[start + 1 :].split(stem[start])[0].isdigit():
            yield stem[start:] + ending


def _are_labels(root: Path, kind: Kind) -> bool:
    if kind.suffix.lower().endswith((".jpg", ".jpeg", ".jfif", ".webp")):
        return False  # their compression changes values
    names = sorted(kind.names)
    chosen = names[:: max(len(names) // PROBED, 1)][:PROBED]
    values: set[Value] = set()
    unreadable = 0
    for name in chosen:
        try:
            values |= set(_count(read_label(kind.path(root, name))))
        except DataError:
            unreadable += 1
        if len(values) > MOST_VALUES:
            return False
    return unreadable < (len(chosen) + 1) / 2  # some may be damaged


def _count(label: np.ndarray) -> Counter[Value]:
    """Pixels of each value, or of each colour."""
    if label.ndim == 2:
        values, counts = np.unique(label, return_counts=True)
        return Counter(dict(zip(map(int, values), map(int, counts), strict=True)))
    packed = label[..., :3].astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    values, counts = np.unique(packed, return_counts=True)
    colours = ((value >> 16, value >> 8 & 255, value & 255) for value in values.tolist())
    return Counter(dict(zip(colours, map(int, counts), strict=True)))


def _related(image: Kind, label: Kind) -> bool:
    """Whether names agree because files belong together: not those of one split with those of another."""
    return split_of(image.folder) == split_of(label.folder)


def split_of(folder: str) -> str | None:
    """``tra``, ``val`` or ``test`` where a part of the path is named so; None elsewhere."""
    for part in folder.lower().split("/"):
        for split in SPLITS:
            if part.startswith(split) and part[len(split) :].strip("_-") in BEHIND_SPLIT:
                return split[:3].replace("tes", "test")
    return None


def _preference(pair: Pairing) -> tuple:
    """Ids before colours, folders of a split first, then many pairs, deep folders and long suffixes."""
    has_split = split_of(pair.images.folder) is not None
    coloured = "color" in pair.labels.suffix.lower()
    instance = "instance" in (pair.labels.suffix + pair.labels.folder).lower()
    depth = pair.images.folder.count("/") + bool(pair.images.folder)
    return (
        instance, coloured, not has_split, -len(pair.names), -depth, -len(pair.labels.suffix),
        -len(pair.images.suffix), pair.images.folder, pair.labels.folder,
    )  # fmt: skip


def _disjoint(pairs: Sequence[Pairing]) -> list[Pairing]:
    """The first pairings, of every image one."""
    taken: set[str] = set()
    chosen = []
    for pair in pairs:
        files = {f"{pair.images.folder}/{name}{pair.images.suffix}".lstrip("/") for name in pair.names}
        files |= {f"{pair.labels.folder}/{name}{pair.labels.suffix}".lstrip("/") for name in pair.names}
        if not files & taken:
            chosen.append(pair)
            taken |= files
    return chosen


def _values(root: Path, pair: Pairing) -> Counter[Value]:
    names = pair.names
    found: Counter[Value] = Counter()
    chosen = names[:: max(len(names) // READ, 1)][:READ]
    for name in chosen:
        try:
            found.update(_count(read_label(pair.labels.path(root, name))))
        except DataError as error:
            pair.remarks.append(str(error))
    if len(chosen) < len(names):
        pair.remarks.append(f"{len(chosen)} of {len(names)} labels were read; others may hold further values")
    return found


def _split_files(root: Path, pair: Pairing) -> list[str]:
    """Text files that name images of a pairing, line by line."""
    names, found = set(pair.names), []
    for place, files in walk(root):
        for file in files:
            path = Path(place, file)
            if path.suffix != ".txt" or path.stat().st_size > 2**24:
                continue
            lines = {line.strip() for line in path.read_text("utf-8-sig", "replace").splitlines()} - {""}
            if lines and lines <= names:
                found.append(path.relative_to(root).as_posix())
    return sorted(found)


def _class_names(root: Path) -> dict[Value, str]:
    """Names of colours or ids in a CSV file with the columns name and r, g, b or id."""
    for path in sorted(root.glob("*.csv")):
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            rows = [{key.strip().lower(): (value or "").strip() for key, value in row.items() if key}
                    for row in csv.DictReader(file)]  # fmt: skip
        found = {value: row["name"] for row in rows if row.get("name") and (value := _value(row)) is not None}
        if found:
            return found
    return {}


def _value(row: Mapping[str, str]) -> Value | None:
    try:
        if {"r", "g", "b"} <= row.keys():
            return int(row["r"]), int(row["g"]), int(row["b"])
        return int(row["id"])
    except (KeyError, ValueError):
        return None


def settings(pair: Pairing, values: Counter[Value]) -> dict[str, Any]:
    """Arguments of :class:`~mmseg.datasets.CustomDataset` for a pairing: classes and ``id_map``.

    Args:
        pair: Images and labels.
        values: Of all pairings of the data set, which have the same classes.

    Raises:
        DataError: There are fewer than two of them.
    """
    if len(values) < 2:
        raise DataError(
            f"{pair.labels.folder or '.'}/*{pair.labels.suffix}: the labels that were read hold "
            f"{f'the value {next(iter(values))} alone' if values else 'no value'}, expected those of two "
            "classes at least; check that these files are the labels"
        )
    ordered = sorted(values, key=lambda value: (isinstance(value, tuple), value))
    ids = [value for value in ordered if isinstance(value, int)]
    ignored = {IGNORE_INDEX} if IGNORE_INDEX in ids and len(ids) > 2 else set()
    used = [value for value in ordered if value not in ignored]
    if ids and used == list(range(len(used))):
        id_map = None  # the files hold classes already
    else:
        id_map = {value: c for c, value in enumerate(used)}
    names = [
        pair.class_names.get(value, f"class {value}" if isinstance(value, int) else _hex(value))
        for value in used
    ]
    return dict(classes=[name if name else f"class {c}" for c, name in enumerate(names)], id_map=id_map)


def _hex(colour: tuple[int, int, int]) -> str:
    return "color #{:02x}{:02x}{:02x}".format(*colour)
