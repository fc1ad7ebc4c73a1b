"""Guess how a folder of images and labels is organised, and which classes the labels hold."""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from mmseg.datasets.pairing import PROBED, Pair, agreeing, count, find_pairs, spread
from mmseg.datasets.parallel import map_in_processes
from mmseg.datasets.text_files import Lists, Value, class_names
from mmseg.datasets.transforms.loading import ColorTable, LoadImage, LoadLabel
from mmseg.errors import DataError
from mmseg.labels import IGNORE_INDEX, NUM_LABEL_VALUES

IGNORED = (IGNORE_INDEX, 2**16 - 1)
SHOWN = 20  # files that are named one by one


@dataclass
class Description:
    """What was found in a folder.

    Attributes:
        parts: train, val and perhaps test -> pairs.
        values: Raw label value or colour -> pixels.
        class_names: Value -> name, where a file of the folder says so.
        lists: Part -> file of the folder that names its images.
        size: Most common (width, height).
        is_deep: Whether images have more than 8 bits.
        remarks: What could not be found out or is left out.
    """

    parts: dict[str, list[Pair]]
    values: Counter[Value]
    class_names: dict[Value, str]
    lists: dict[str, str]
    size: tuple[int, int]
    is_deep: bool
    remarks: list[str]


def describe(root: Path, nproc: int = 4) -> Description:
    """Find the images of a folder and the labels that belong to them, and read them all.

    Args:
        root: Folder of the data set.
        nproc: Number of processes.

    Raises:
        DataError: It is missing, holds no image, or no label that belongs to one and can be used.
    """
    pairs, is_colour, remarks, texts = find_pairs(root)
    is_deep = _are_deep(root, pairs)
    good, values, sizes = _readable(root, pairs, is_colour, is_deep, nproc, remarks)
    lists = Lists(root, texts, [(pair.image, pair.name, pair.split) for pair in good])
    remarks += lists.remarks
    parts = _parts(good, lists, remarks)
    size = sizes.most_common(1)[0][0]
    return Description(parts, values, class_names(root), lists.used, size, is_deep, remarks)


def _are_deep(root: Path, pairs: Sequence[Pair]) -> bool:
    """Whether images can be read with a range of values alone."""
    for pair in spread(pairs, PROBED):
        with suppress(DataError):
            LoadImage(percentiles=(1, 99)).read(str(root / pair.image))
            try:
                LoadImage().read(str(root / pair.image))
            except DataError:
                return True
    return False


def _readable(
    root: Path, pairs: Sequence[Pair], is_colour: bool, is_deep: bool, nproc: int, remarks: list[str]
) -> tuple[list[Pair], Counter[Value], Counter[tuple[int, int]]]:
    """Pairs that can be used, pixels of each value of their labels, and sizes of the images."""
    loader = LoadImage(percentiles=(1, 99)) if is_deep else LoadImage()
    items = [(str(root / pair.image), str(root / pair.label)) for pair in pairs]
    good, values, sizes = list[Pair](), Counter[Value](), Counter[tuple[int, int]]()
    left_out = []
    results = map_in_processes(partial(_read, loader, is_colour), items, nproc)
    progress = track(results, description="reading", total=len(items), transient=True)
    for pair, found in zip(pairs, progress, strict=True):
        if isinstance(found, str):
            left_out.append(found)
        else:
            good.append(pair)
            sizes[found[0]] += 1
            values.update(found[1])
    remarks += [f"left out: {problem}" for problem in left_out[:SHOWN]]
    if len(left_out) > SHOWN:
        remarks.append(f"left out: {len(left_out) - SHOWN} more pairs")
    if not good:
        raise DataError(f"{root}: none of {len(pairs)} pairs of images and labels can be used; {left_out[0]}")
    return good, values, sizes


def _read(
    loader: LoadImage, is_colour: bool, files: tuple[str, str]
) -> tuple[tuple[int, int], Counter[Value]] | str:
    """(width, height) of the image and pixels of each value of the label, or why they cannot be used."""
    anything = ColorTable({(0, 0, 0): 0}) if is_colour else np.zeros(NUM_LABEL_VALUES, np.uint8)
    described = {"img_path": files[0], "seg_map_path": files[1], "num_classes": 1, "id_lookup": anything}
    try:
        results = loader(described)
        raw, _ = LoadLabel().read(results)
    except DataError as error:
        return str(error)
    height, width = results["ori_shape"]
    return (width, height), count(raw)


def _parts(pairs: list[Pair], lists: Lists, remarks: list[str]) -> dict[str, list[Pair]]:
    """What is for training, validation and perhaps test; lists go before folders."""
    listed = {number for numbers in lists.members.values() for number in numbers}
    by_folder = {
        split: [n for n, pair in enumerate(pairs) if pair.split == split and n not in listed]
        for split in ("train", "val", "test")
    }
    numbers = {split: lists.members.get(split) or found for split, found in by_folder.items()}
    rest = sorted(set(range(len(pairs))).difference(*numbers.values()))
    if not numbers["train"]:
        numbers["train"], rest = rest or list(range(len(pairs))), []
    if not numbers["val"]:
        numbers["val"], numbers["test"] = numbers["test"], []
    if not numbers["val"] and rest:
        remarks.append(
            f"no split for validation was found: it has the {len(rest)} pairs that are in no other"
        )
        numbers["val"], rest = rest, []
    if not numbers["val"]:
        remarks.append(
            "no images for validation were found: these are those of training, so scores say little"
        )
        numbers["val"] = numbers["train"]
    elif both := set(numbers["train"]) & set(numbers["val"]):
        remarks.append(f"{len(both)} images are for training and for validation, so scores say little")
    if rest:
        remarks.append(f"{len(rest)} pairs are in no split and not used, as {pairs[rest[0]].image}")
    return {split: [pairs[n] for n in part] for split, part in numbers.items() if part}


def folders(pairs: Iterable[Pair]) -> dict[tuple[str, str], set[str]]:
    """``img_dir`` and ``ann_dir`` -> names of the images that count there, below ``img_dir`` without suffix.

    What the folders of images and labels have in common at their ends is what a data set searches.
    """
    groups: dict[tuple[str, str], list[tuple[list[str], str]]] = defaultdict(list)
    for pair in pairs:
        image, label = (folder.split("/") if folder else [] for folder in pair.folders)
        alike = agreeing(image[::-1], label[::-1])
        top, tail = len(image) - alike, image[len(image) - alike :]
        groups["/".join(image[:top]), "/".join(label[: len(label) - alike])].append((tail, pair.name))
    found = {}
    for tops, entries in groups.items():
        low, high = (choose(tail for tail, _ in entries) for choose in (min, max))
        alike = agreeing(low, high)
        image_dir, label_dir = (posixpath.join(top, *low[:alike]) for top in tops)
        found[image_dir, label_dir] = {posixpath.join("", *tail[alike:], name) for tail, name in entries}
    return dict(sorted(found.items()))


def suffixes(pairs: Iterable[Pair]) -> tuple[list[str], list[str]]:
    """``img_suffix`` and ``seg_map_suffix``, the most frequent first; capital letters do not matter."""
    found = []
    for spelled in zip(*(pair.suffixes for pair in pairs), strict=True):
        by_frequency = [suffix for suffix, _ in Counter(spelled).most_common()]
        found.append(list({suffix.lower(): suffix for suffix in reversed(by_frequency)}.values())[::-1])
    return found[0], found[1]


def settings(description: Description) -> dict[str, Any]:
    """Arguments of :class:`~mmseg.datasets.CustomDataset`: ``classes`` and ``id_map``.

    Raises:
        DataError: There are fewer than two of them, or more than a label can hold.
    """
    values = description.values
    label = description.parts["train"][0].label
    found = f"{len(values)} values" if len(values) > 1 else f"the value {next(iter(values))} alone"
    if len(values) < 2:
        raise DataError(
            f"the labels, as {label}, hold {found}, expected those of two classes at least; check that these "
            "files are the labels"
        )
    ids = [value for value in values if isinstance(value, int)]
    ignored = {value for value in ids if value < 0 or (value in IGNORED and len(ids) > 2)}
    used = sorted(value for value in values if value not in ignored)
    if len(used) > IGNORE_INDEX:
        raise DataError(
            f"the labels, as {label}, hold {found}, expected at most {IGNORE_INDEX} classes; these may be "
            "numbers of objects, or colours that were scaled with smoothing"
        )
    if ids and used == list(range(len(used))):
        id_map = None  # the files hold classes already
    else:
        id_map = {value: c for c, value in enumerate(used)}
    shown = {
        value: str(value) if isinstance(value, int) else "#{:02x}{:02x}{:02x}".format(*value)
        for value in used
    }
    names = {value: description.class_names.get(value, f"class {shown[value]}") for value in used}
    often = Counter(names.values())
    classes = [name if often[name] == 1 else f"{name} ({shown[value]})" for value, name in names.items()]
    return dict(classes=classes, id_map=id_map)
