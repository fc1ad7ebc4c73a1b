"""What text files beside images say: lists for training and validation, and names of classes."""

from __future__ import annotations

import csv
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmseg.datasets.files import IMAGE_ENDINGS

TEXT_ENDINGS = (".txt", ".lst", ".csv", ".tsv")
LARGEST = 2**24  # bytes of a list
SHOWN = 8  # lists that are named
SPLITS = {"tr": "train", "va": "val", "te": "test"}
_WORD = re.compile(r"(?:(?<![A-Za-z])|(?=[A-Z]))(?i:training|train|validation|valid|val|testing|test)")
Value = int | tuple[int, int, int]


def split_word(text: str) -> tuple[str, str]:
    """A text with ``*`` for the word for a split, and train, val or test: ``("*annot", "val")`` of
    ``valannot``. Without such a word the text and an empty one."""
    match = _WORD.search(text)
    if match is None:
        return text, ""
    return f"{text[: match.start()]}*{text[match.end() :]}", SPLITS[match[0][:2].lower()]


def _split_named(path: str) -> str:
    """The split that a file is called by, or its folder: by a word of its own, not ``trainval``."""
    for part in reversed(os.path.splitext(path)[0].split("/")):
        words = {split for form, split in map(split_word, re.split(r"[^A-Za-z]+", part)) if form == "*"}
        if words:
            return words.pop() if len(words) == 1 else ""
    return ""


def read_text(path: Path) -> str:
    """A text in UTF-8, UTF-16 or Latin-1; empty where it is none of them, or far too large for a list."""
    content = path.read_bytes() if path.stat().st_size <= LARGEST else b""
    for encoding in ("utf-16",) if b"\0" in content else ("utf-8-sig", "latin-1"):
        try:
            return unicodedata.normalize("NFC", content.decode(encoding))
        except UnicodeDecodeError:
            continue
    return ""


class Lists:
    """Text files that name images, one a line.

    A line may be a name, a path, a folder of images, or columns of which one is that; another column may name
    the split.

    Args:
        root: Folder of the data set.
        texts: Files below it.
        files: (path below the root, name, split of its folder) of each image.

    Attributes:
        members: train, val or test -> positions of the images.
        used: train, val or test -> the file that says so.
        remarks: What was not understood or not used.
    """

    def __init__(self, root: Path, texts: Sequence[str], files: Sequence[tuple[str, str, str]]) -> None:
        self.files, self.known = files, defaultdict[str, set[int]](set)
        for number, (path, name, _) in enumerate(files):
            *parts, file = unicodedata.normalize("NFC", path).split("/")
            for start in range(len(parts) + 1):
                for last in (unicodedata.normalize("NFC", name), os.path.splitext(file)[0]):
                    self.known["/".join([*parts[start:], last])].add(number)
                for end in range(start + 1, len(parts) + 1):
                    self.known["/".join(parts[start:end]) + "/"].add(number)
        self.members: dict[str, list[int]] = {}
        self.used: dict[str, str] = {}
        self.remarks: list[str] = []
        found, unused = [], []
        for text in texts:
            by_split, unknown, total = self._read(root / text, _split_named(text))
            is_exact = split_word(Path(text).stem)[0] == "*"
            if by_split and 2 * len(unknown) <= total:
                found.append((not is_exact, len(unknown) / total, text, by_split, unknown, total))
            elif is_exact and total:
                unused.append(f"{text} ({total - len(unknown)} of {total} lines name an image with a label)")
        for *_, text, by_split, unknown, total in sorted(found):
            new = {
                split: numbers for split, numbers in by_split.items() if split and split not in self.members
            }
            if not new:
                unused.append(text)
                continue
            for split, numbers in new.items():
                self.members[split], self.used[split] = sorted(numbers), text
            if unknown:
                self.remarks.append(
                    f"{text}: {len(unknown)} of {total} lines name no image with a label, as {unknown[0]!r}"
                )
        if unused:
            more = f" and {len(unused) - SHOWN} more" if len(unused) > SHOWN else ""
            self.remarks.append(f"lists that are not used: {', '.join(unused[:SHOWN])}{more}")

    def _read(self, path: Path, split: str) -> tuple[dict[str, set[int]], list[str], int]:
        """Images of each split, lines that name none, number of lines."""
        by_split: dict[str, set[int]] = defaultdict(set)
        lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
        unknown = []
        for line in lines:
            columns = [line, *re.split(r"[\t,; ]+", line)]
            words = [word for form, word in map(split_word, columns) if form == "*"]
            word = words[0] if words else split
            numbers = next(filter(None, (self._find(column, word) for column in columns)), None)
            if numbers is None:
                unknown.append(line)
            else:
                by_split[word] |= numbers
        return by_split, unknown, len(lines)

    def _find(self, text: str, split: str) -> set[int]:
        """The image whose path ends as a text, perhaps of another machine, or those of a folder."""
        text = text.strip(" \"'").replace("\\", "/").rstrip("/")
        stem, ending = os.path.splitext(text)
        parts = (stem if ending.lower() in IMAGE_ENDINGS else text).split("/")
        for key in ("/".join(parts[start:]) for start in range(len(parts))):
            numbers = self._of_split(key, split)
            if numbers:
                return numbers if len(numbers) == 1 else set()
        return self._of_split(f"{text}/", split)

    def _of_split(self, key: str, split: str) -> set[int]:
        splits = ("", split) if split else ("", "train", "val", "test")
        return {number for number in self.known.get(key, ()) if self.files[number][2] in splits}


def class_names(root: Path) -> dict[Value, str]:
    """Names of colours or ids in a CSV file with the columns name and r, g, b or id."""
    for path in sorted(root.glob("*.csv")):
        rows = [{key.strip().lower(): (value or "").strip() for key, value in row.items() if key}
                for row in csv.DictReader(read_text(path).splitlines())]  # fmt: skip
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
