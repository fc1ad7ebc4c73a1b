"""Which label belongs to which image of a folder.

What a file holds is told by its pixels; what belongs together, by the changes of path that many files have in
common, as ``leftImg8bit`` → ``gtFine`` and ``_leftImg8bit.png`` → ``_gtFine_labelIds.png``.
"""

from __future__ import annotations

import os
import posixpath
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmseg.datasets.decoding import read_image, read_label
from mmseg.datasets.files import IMAGE_ENDINGS, walk
from mmseg.datasets.text_files import TEXT_ENDINGS, Value, split_word
from mmseg.errors import DataError
from mmseg.labels import IGNORE_INDEX

PROBED = 8  # pairs that are opened to see what both files hold
FEW, SOME = 64, 256  # values of a label; more than a few only where neighbours are mostly the same
SAMPLED_FOLDERS, SAMPLED_FILES, NEAR, CHANGES = 500, 4, 16, 64  # for finding the changes of path
SECONDARY = re.compile(
    "instance|object|panoptic|depth|dispar|overlay|blend|visual|preview|thumb|predict|edge|boundar|confiden",
    re.I,
)
"""Decides between files that fit equally well: what is seldom the image or the label itself."""
_SEPARATOR = re.compile(r"[_.-]")
Change = tuple[str, str, str, str]
"""Text in the image's folder that becomes another one in the label's, and the ends of both files' names."""


class Pair(NamedTuple):
    """An image and its label.

    Attributes:
        folders: Of both, below the root with ``/``; empty for the root.
        name: What both files begin with.
        suffixes: What they end with.
        split: train, val or test where a folder is called so.
    """

    folders: tuple[str, str]
    name: str
    suffixes: tuple[str, str]
    split: str

    @property
    def files(self) -> tuple[str, str]:
        """Paths of both below the root."""
        image, label = map(posixpath.join, self.folders, (self.name + suffix for suffix in self.suffixes))
        return image, label

    @property
    def image(self) -> str:
        """Path below the root."""
        return self.files[0]

    @property
    def label(self) -> str:
        """Path below the root."""
        return self.files[1]


def find_pairs(root: Path) -> tuple[list[Pair], bool, list[str], list[str]]:
    """Images of a folder with the labels that belong to them.

    Returns:
        Pairs, whether labels are colours, what fits as well but is left out, text files below the folder.

    Raises:
        DataError: The folder is missing, holds no image, or no label that belongs to one.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    tree = _Tree(root)
    if not tree.files:
        raise DataError(f"{root}: holds no image; expected files {', '.join(IMAGE_ENDINGS)}")
    return *_choose(tree, [_Family(tree, change) for change in _changes(tree)]), tree.texts


class _Tree:
    """Image files below a folder by folder, end and begin of their names.

    Folders that differ in the word for a split alone, as ``train`` and ``val``, or ``trainannot`` and
    ``valannot``, are one *place*, in which ``*`` stands for the word.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, dict[str, dict[str, str]]] = {}  # folder, suffix in small letters, name
        self.named: dict[str, list[tuple[str, str]]] = defaultdict(list)  # name -> folders and suffixes
        self._sorted: dict[tuple[str, int], list[tuple[str, str]]] = {}
        self.texts: list[str] = []
        for place, files in walk(root):
            below = os.path.relpath(place, root).replace(os.sep, "/")
            folder = "" if below == "." else below
            for file in files:
                ending = os.path.splitext(file)[1].lower()
                if ending in TEXT_ENDINGS:
                    self.texts.append(posixpath.join(folder, file))
                for suffix in _suffixes(file) if ending in IMAGE_ENDINGS else ():
                    name, ends = file[: len(file) - len(suffix)], self.files.setdefault(folder, {})
                    ends.setdefault(suffix.lower(), {})[name] = suffix
                    self.named[name].append((folder, suffix.lower()))
        forms = defaultdict(set)
        for part in {part for folder in self.files for part in folder.split("/")}:
            form, split = split_word(part)
            forms[form].add(split)
        self.splits = {form for form, splits in forms.items() if len(splits) > 1}
        self.places = {folder: self._place(folder) for folder in self.files}
        self.folders = defaultdict[tuple[str, str], list[str]](list)
        for folder, at in self.places.items():
            self.folders[at].append(folder)

    def _place(self, folder: str) -> tuple[str, str]:
        """Begins with ``/`` unless it is the root; and the split."""
        place, split = "", ""
        for part in folder.split("/") if folder else ():
            form, word = split_word(part)
            if form in self.splits:
                part, split = form, word
            place += f"/{part}"
        return place, split

    def moved(self, folder: str, old: str, new: str) -> Iterator[str]:
        """Folders that a change leads to."""
        place, split = self.places[folder]
        starts = range(len(place) - len(old) + 1) if old or new else (0,)
        targets = {place[:i] + new + place[i + len(old) :] for i in starts if place.startswith(old, i)}
        for target in targets:
            splits = ("train", "val", "test") if "*" in target else ("",)
            for other in (split,) if "*" in target and "*" in place else splits:
                yield from self.folders.get((target, other), ())

    def near(self, name: str, folder: str) -> Iterator[tuple[str, str]]:
        """Folders and suffixes of a name; of many those whose paths begin or end nearly as the folder's."""
        if len(self.named[name]) <= 4 * NEAR:
            yield from self.named[name]
            return
        for step in (1, -1):
            ordered = self._ordered(name, step)
            at = bisect_left(ordered, (folder[::step],))
            yield from ((path[::step], suffix) for path, suffix in ordered[max(at - NEAR, 0) : at + NEAR])

    def _ordered(self, name: str, step: int) -> list[tuple[str, str]]:
        if (name, step) not in self._sorted:
            self._sorted[name, step] = sorted((path[::step], suffix) for path, suffix in self.named[name])
        return self._sorted[name, step]


def _suffixes(file: str) -> Iterator[str]:
    """``.png``, ``_c.png`` and ``_b_c.png`` of ``a_b_c.png``; ``-`` and ``.`` separate words, too."""
    stem, ending = os.path.splitext(os.path.basename(file))
    yield ending
    starts = [match.start() for match in _SEPARATOR.finditer(stem) if match.start() > 0]
    for start in starts[:-3:-1]:
        if not any(word.isdigit() for word in stem[start + 1 :].split(stem[start])):
            yield stem[start:] + ending


def spread(items: Sequence, number: int) -> Sequence:
    """A number of items or fewer, from all over a list."""
    return items[:: -(-len(items) // number)] if items else items


def _changes(tree: _Tree) -> list[Change]:
    """The most frequent changes between the paths of files with the same name."""
    counts: Counter[Change] = Counter()
    groups = [(f, ends[end]) for f, ends in tree.files.items() for end in IMAGE_ENDINGS if end in ends]
    for folder, stems in spread(groups, SAMPLED_FOLDERS):
        place, split = tree.places[folder]
        for file in (stem + end for stem, end in spread(list(stems.items()), SAMPLED_FILES)):
            seen = {(folder, file)}
            for suffix in map(str.lower, _suffixes(file)):
                name = file[: len(file) - len(suffix)]
                for other, other_suffix in tree.near(name, folder):
                    other_place, other_split = tree.places[other]
                    other_file = (other, name + tree.files[other][other_suffix][name])
                    if other_file in seen or (split and other_split and split != other_split):
                        continue
                    seen.add(other_file)
                    old, new = _difference(place, other_place)
                    counts[old, new, suffix, other_suffix] += 1
                    counts[new, old, other_suffix, suffix] += 1
    return [change for change, _ in counts.most_common(CHANGES)]


def _difference(old: str, new: str) -> tuple[str, str]:
    """What is left of two texts without their common begin and end."""
    start = agreeing(old, new)
    old, new = old[start:], new[start:]
    end = agreeing(old[::-1], new[::-1])
    return old[: len(old) - end], new[: len(new) - end]


def agreeing(one: Sequence[str], other: Sequence[str]) -> int:
    """How many letters or parts two texts or lists begin with alike."""
    both = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(both) if a != b), min(len(one), len(other)))


class _Look(NamedTuple):
    """What the pixels of a file look like.

    Attributes:
        values: Its values or colours.
        is_flat: Few of them, as in a label.
        is_grey: One value for each pixel, or three that are the same.
        reason: Why it cannot be a label.
    """

    values: frozenset[Value] = frozenset()
    is_flat: bool = False
    is_grey: bool = False
    reason: str = ""


@lru_cache(maxsize=2**12)
def _look(path: str) -> _Look | None:
    """None for a damaged file."""
    reason = ""
    try:
        pixels = read_label(path)
    except DataError as error:
        reason = str(error)
        try:
            pixels = read_image(path, percentiles=(0, 100))
        except DataError:
            return None
    values = frozenset(count(pixels))
    planes = pixels if pixels.ndim == 3 else pixels[..., None]
    changes = [np.diff(planes.astype(np.int64), axis=axis).any(-1).ravel() for axis in (0, 1)]
    same = max(1 - change.mean() if change.size else 0 for change in changes)
    is_flat = len(values) <= FEW or (not reason and len(values) <= SOME and same > 0.9)
    return _Look(values, is_flat, bool((planes == planes[..., :1]).all()), reason)


def count(label: np.ndarray) -> Counter[Value]:
    """Pixels of each value, or of each colour."""
    if label.ndim == 2:
        values, counts = np.unique(label, return_counts=True)
        return Counter(dict(zip(map(int, values), map(int, counts), strict=True)))
    packed = label[..., :3].astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    values, counts = np.unique(packed, return_counts=True)
    colours = ((value >> 16, value >> 8 & 255, value & 255) for value in values.tolist())
    return Counter(dict(zip(colours, map(int, counts), strict=True)))


class _Family:
    """All pairs of files that one change of path leads from and to, and what some of them look like."""

    def __init__(self, tree: _Tree, change: Change) -> None:
        old, new, suffix, other_suffix = change
        self.change, self.pairs = change, list[Pair]()
        for folder in (folder for folder, ends in tree.files.items() if suffix in ends):
            for other in tree.moved(folder, old, new):
                images, labels = tree.files[folder][suffix], tree.files[other].get(other_suffix, {})
                split = tree.places[folder][1] or tree.places[other][1]
                self.pairs += [
                    Pair((folder, other), name, (images[name], labels[name]), split)
                    for name in sorted(images.keys() & labels.keys())
                ]
        probed = spread(self.pairs, PROBED)
        looks = [[_look(str(tree.root / file)) for file in (pair.image, pair.label)] for pair in probed]
        self.images = [image for image, _ in looks if image is not None]
        self.labels = [label for _, label in looks if label is not None]
        self.values = frozenset[Value]().union(*(label.values for label in self.labels))
        self.is_colour = any(isinstance(value, tuple) for value in self.values)
        self.is_photo = _most(not image.is_flat for image in self.images)
        self.kind = (self.is_photo, self.is_colour)
        reasons = [label.reason for label in self.labels if label.reason]
        self.refused = reasons[0] if 2 * len(reasons) > len(self.labels) else ""

    @property
    def fits(self) -> bool:
        """Whether these are images and labels: few values, and fewer than their images have."""
        if 2 * min(len(self.images), len(self.labels)) < min(len(self.pairs), PROBED):
            return False  # damaged; some may be
        of_images = frozenset[Value]().union(*(image.values for image in self.images))
        simpler = len(self.values) < len(of_images) and not any(image.reason for image in self.images)
        return _most(label.is_flat for label in self.labels) and (self.is_photo or simpler)

    def rank(self, most: int) -> tuple:
        """Sorts the families, ids before colours, classes from 0 on before other ids."""
        labels = self.values - {IGNORE_INDEX}
        return (
            bool(self.refused), 8 * len(self.pairs) < most, not self.is_photo, len(self.values) < 2,
            len(SECONDARY.findall(str((self.pairs[0].folders, self.pairs[0].suffixes)))),
            _most(image.is_grey for image in self.images), self.is_colour, labels != set(range(len(labels))),
            -len(self.pairs), *self.change,
        )  # fmt: skip


def _most(flags: Iterable[bool]) -> bool:
    flags = list(flags)
    return 2 * sum(flags) > len(flags)


def _choose(tree: _Tree, families: list[_Family]) -> tuple[list[Pair], bool, list[str]]:
    """Every image with one label, and what fits as well.

    Files that any change of path connects show the same: of them one image and one label is taken.
    """
    fitting = [family for family in families if family.pairs and family.fits]
    most = max((len(family.pairs) for family in fitting), default=0)
    fitting.sort(key=lambda family: family.rank(most))
    if not fitting or fitting[0].refused:
        raise _no_pairs(tree, fitting)
    chosen: list[Pair] = []
    ends: set[str] = set()
    taken: set[str] = set()
    others = []
    for family in fitting:
        added: list[Pair] = []
        grown: set[str] = set()
        for pair in family.pairs:
            if taken.isdisjoint(pair.files) and grown.isdisjoint(pair.files):
                added.append(pair)
                grown.update(pair.files)
        decorations = {suffix.rpartition(".")[0] for suffix in family.change[2:]}
        likely = not chosen or len(added) > 1 or decorations <= ends
        if added and likely and family.kind == fitting[0].kind:
            chosen += added
            ends |= decorations
            linked = (pair.files for each in families for pair in each.pairs)
            taken |= grown.union(*(files for files in linked if not grown.isdisjoint(files)))
        else:
            others.append(family)
    used = {file for pair in chosen for file in pair.files}
    remarks: dict[str, str] = {}
    for family in others:
        pair = family.pairs[0]
        unused = pair.image if pair.label in used else pair.label
        problem = f", but {family.refused}" if family.refused else ""
        if unused not in used:
            remark = f"{len(family.pairs)} pairs as {pair.image} with {pair.label} are not used{problem}"
            remarks.setdefault(unused, remark)
    return chosen, fitting[0].is_colour, list(remarks.values())


def _no_pairs(tree: _Tree, fitting: list[_Family]) -> DataError:
    """Why no image has a label."""
    if fitting:
        return DataError(f"{tree.root}: the labels that fit the images cannot be used: {fitting[0].refused}")
    files = sorted(
        posixpath.join(folder, name + suffix)
        for folder, ends in tree.files.items()
        for ending in IMAGE_ENDINGS
        for name, suffix in ends.get(ending, {}).items()
    )
    looks = {file: _look(str(tree.root / file)) for file in spread(files, 8 * PROBED)}
    photo = next((file for file, look in looks.items() if look and not look.is_flat), None)
    flat = next((file for file, look in looks.items() if look and look.is_flat), None)
    expected = (
        "expected labels as PNG, TIFF or BMP (JPEG changes values) of class ids or of few colours (files of "
        f"more than {SOME} values are taken for images)"
    )
    if photo is None:
        return DataError(
            f"{tree.root}: holds no image beside files of few values, such as {flat}; {expected}"
        )
    if flat is None:
        return DataError(f"{tree.root}: no labels with the names of images, such as {photo}; {expected}")
    name = posixpath.splitext(posixpath.basename(photo))[0] + "_mask" + posixpath.splitext(flat)[1]
    return DataError(
        f"{tree.root}: no labels with the names of images: found images such as {photo} and labels such as "
        f"{flat}; {expected}, whose names begin as those of the images: rename the labels, that of {photo} "
        f"to {posixpath.join(posixpath.dirname(flat), name)}"
    )
