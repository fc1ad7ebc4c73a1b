"""Which files of a folder are images or labels of a data set."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmseg.datasets.decoding import seems_label
from mmseg.errors import DataError

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".tif", ".tiff")
"""Endings of the formats that can be read, in small letters."""
FOREIGN_FOLDER = re.compile(r"[.@#$].*|__MACOSX|lost\+found|System Volume Information")
"""What file servers and systems put between the images, and hidden folders."""
_TAIL = re.compile(r"(?<=[^\W_])(?=[\W_])|(?<=\d)(?=[^\W\d_])")
_HEAD = re.compile(r"(?<=[\W_])(?=[^\W_])|(?<=[^\W\d_])(?=\d)")
"""Where the last and the first words of a name begin and end: at signs, or between digits and letters."""
_LETTER = re.compile(r"[^\W\d_]")
Addition = tuple[str, str, str]
"""A folder, the first and the last words of a file's name: what it has more than its counterpart."""
MOST_OPENED = 8  # kinds of names whose files are looked into


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


def find_files(
    folder: Path,
    suffixes: Sequence[str],
    without: Sequence[Path] = (),
    companions: Sequence[str] = (),
) -> Found:
    """Files below a folder that end with one of some suffixes.

    Args:
        folder: Where to look.
        suffixes: As from :func:`as_suffixes`.
        without: Folders without links in their paths, whose files do not count, however they are reached.
        companions: Suffixes of files that belong to those and are not missed.

    Raises:
        DataError: Two files have the same name but for their suffix.
    """
    found: dict[str, str] = {}
    root = len(str(folder)) + 1
    others: dict[str, list[str]] = {}
    endings = {os.path.splitext(suffix)[1].lower() or suffix.lower() for suffix in suffixes}
    for place, files in walk(folder):
        if without and any(map(Path(os.path.realpath(place)).is_relative_to, without)):
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
    remarks = []
    for ending, paths in sorted(others.items()):
        missed = [path for path in paths if not _is_companion(path[root:], found, (*companions, ending))]
        if missed:
            remarks.append(
                f"{folder}: {len(missed)} files {ending} beside {len(found)} files {', '.join(suffixes)} are "
                f"left out, for example {os.path.basename(missed[0])}; name all suffixes to take them, as "
                f"img_suffix={[*suffixes, ending]}"
            )
    return Found(dict(sorted(found.items())), remarks)


def _is_companion(path: str, found: Mapping[str, str], suffixes: Iterable[str]) -> bool:
    """Whether a file has the name of one that was found, and one of the suffixes."""
    splits = (split_suffix(path, [suffix]) for suffix in suffixes)
    return any(parts is not None and parts[0].replace(os.sep, "/") in found for parts in splits)


def without_labels_between(
    folder: Path, images: Found, suffixes: Sequence[str], label_suffixes: Sequence[str]
) -> Found:
    """The images of a folder that holds labels, too: ``a_mask.png`` beside ``a.png``.

    Args:
        folder: Where the images were found.
        images: What was found with the images' suffixes.
        suffixes: Those.
        label_suffixes: Of the labels; those that say more than the images' suffix tell labels apart.

    Raises:
        DataError: All of them end like labels.
    """
    kept, counterparts = dict(images.paths), dict[str, str]()
    for name, path in images.paths.items():
        label, image = split_suffix(path, label_suffixes), split_suffix(path, suffixes)
        if label is not None and image is not None and len(label[1]) > len(image[1]):
            counterparts[kept.pop(name)] = name[: len(name) + len(image[1]) - len(label[1])]
    alone = [path for path, name in counterparts.items() if name not in kept]
    ends = f"end like labels, *{', *'.join(label_suffixes)}"
    if alone and not kept:
        raise DataError(
            f"{folder}: all {len(images.paths)} files *{', *'.join(suffixes)} {ends}; expected images: "
            "correct img_suffix or seg_map_suffix of the config"
        )
    remarks = list(images.remarks)
    if alone:
        remarks.append(
            f"{folder}: {len(alone)} of {len(images.paths)} files {ends}, but belong to no image, and are "
            f"left out, for example {os.path.basename(alone[0])}; correct seg_map_suffix if they are images"
        )
    return Found(kept, remarks)


def seeming_labels(images: Mapping[str, str]) -> list[str]:
    """A remark about images that are named as others with an addition, and look like labels.

    Names that many share but for the addition come in pairs: ``a`` and ``a_mask``, ``a_rgb`` and ``a_mask``,
    ``images/a`` and ``labels/a``. Those of a stereo camera do so as well, which is why files are opened.
    """
    alike: dict[str, list[tuple[Addition, str]]] = {}
    for name in images:
        for rest, addition in _readings(name):
            alike.setdefault(rest, []).append((addition, name))
    counts: Counter[Addition] = Counter()
    examples: dict[Addition, tuple[str, str]] = {}
    for readings in alike.values():
        for addition, name in readings if len(readings) > 1 else ():
            other = next((other for added, other in readings if added != addition and other != name), None)
            if any(addition) and other is not None:
                counts[addition] += 1
                examples.setdefault(addition, (images[name], images[other]))
    often = [
        addition for addition, count in counts.most_common() if count >= min(3, (len(images) - count) / 2)
    ]
    for addition in often[:MOST_OPENED]:
        path, other = examples[addition]
        if seems_label(path):
            folder, before, behind = addition
            remedy = "a narrower img_dir" if folder else "split, a file with the names of the images,"
            if behind:
                remedy = f"seg_map_suffix={behind + os.path.splitext(path)[1]!r}, or {remedy}"
            elif folder:
                remedy = f"ann_dir, or {remedy}"
            added = " and ".join(repr(part) for part in (folder, before, behind) if part)
            return [
                f"{counts[addition]} of {len(images)} images have the names of others but for {added}, and "
                f"the few values or large areas of labels, for example {path} beside {other}; set {remedy} "
                "to leave them out"
            ]
    return []


def _readings(name: str) -> Iterator[tuple[str, Addition]]:
    """A name without one of its folders, its last or its first words or some of them, in small letters, and
    what was taken away."""
    *folders, stem = name.split("/")
    tails = [match.start() for match in _TAIL.finditer(stem)][:-4:-1]
    heads = [match.start() for match in _HEAD.finditer(stem)][:2]
    stems = [(stem, "", "")]
    stems += [(stem[:cut], "", stem[cut:]) for cut in tails if _LETTER.search(stem[cut:])]
    stems += [(stem[cut:], stem[:cut], "") for cut in heads if _LETTER.search(stem[:cut])]
    places = [("/".join(folders), "")]
    places += [("/".join(folders[:i] + folders[i + 1 :]), folder) for i, folder in enumerate(folders)]
    for place, folder in places:
        for rest, before, behind in stems:
            yield f"{place}/{rest}".lower(), (folder, before, behind)
