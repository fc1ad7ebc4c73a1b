"""The class statistics of a data set: how many pixels of each class are in each of its label files.

Rare class sampling reads them (DAFormer, Hoyer et al., CVPR 2022, Sec. 3.3). Their files are those of the
published code. A record beside them says what they count, so that they are not taken for those of other
classes or files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseg.checkpoints.atomic import write_text
from mmseg.datasets.transforms.loading import ColorTable
from mmseg.errors import DataError
from mmseg.labels import IGNORE_INDEX

if TYPE_CHECKING:
    from mmseg.datasets.segmentation_dataset import SegmentationDataset

STATISTICS_FILE = "sample_class_stats.json"
CLASS_INDEX_FILE = "samples_with_class.json"
RECORD_FILE = "class_statistics_record.json"
_READ = (STATISTICS_FILE, CLASS_INDEX_FILE)
VERIFICATION = "tools/verify_dataset.py"
"""Who counted, where it was no conversion."""
REMEDY = f"python {VERIFICATION} CONFIG --write-statistics"


@dataclass(frozen=True)
class Counted:
    """What class statistics count.

    Attributes:
        classes: Names of the classes.
        id_map: Value of the label files (colours as ``r,g,b``) -> class; None: files hold the classes.
        counted_by: Who counted.
    """

    classes: Sequence[str]
    id_map: Mapping[str, int] | None = None
    counted_by: str = VERIFICATION

    @classmethod
    def of(cls, dataset: SegmentationDataset) -> Counted:
        """What counting the labels of a data set counts; an ``id_map`` that changes nothing is none."""
        lookup = dataset.id_lookup
        if lookup is None:
            return cls(list(dataset.classes))
        if isinstance(lookup, ColorTable):
            id_map = {",".join(map(str, colour)): c for colour, c in lookup.items()}
        else:
            id_map = {str(value): c for value, c in enumerate(lookup.tolist())}
        id_map = {value: c for value, c in id_map.items() if c != IGNORE_INDEX}
        same = id_map == {str(c): c for c in range(dataset.num_classes)}
        return cls(list(dataset.classes), None if same else id_map)

    def difference(self, other: Counted) -> str:
        """What the statistics of another count differently; empty for nothing."""
        for name, mine, theirs in (
            ("classes", list(self.classes), list(other.classes)),
            ("id_map", self.id_map, other.id_map),
        ):
            if mine != theirs:
                number = f"{len(mine)} " if name == "classes" and mine else ""
                return f"count {number}{name} {_short(mine)}, the data set has {_short(theirs)}"
        return ""


@dataclass(frozen=True)
class ClassStatistics:
    """What was read.

    Attributes:
        path: The first of the files.
        samples: ``{"<class>": pixels, ..., "file": path}`` of each label file.
        files_of_class: ``"<class>"`` -> (path, pixels) of the label files that show it.
        counted: What they count; None where no record tells.
    """

    path: Path
    samples: list[dict[str, Any]]
    files_of_class: dict[str, list[tuple[str, int]]]
    counted: Counted | None


def statistics_folder(dataset: SegmentationDataset, folder: str | None) -> Path:
    """Where the statistics of a data set lie: in its root, or in the ``statistics_dir`` of a config."""
    return dataset.root if folder is None else Path(folder)


def write_class_statistics(
    folder: str | Path, pixels_of_file: Mapping[str, Mapping[int, int]], counted: Counted
) -> None:
    """Write the statistics of a data set into a folder.

    - ``sample_class_stats.json``: ``[{"<class>": pixels, ..., "file": path}, ...]``
    - ``sample_class_stats_dict.json``: ``{path: {"<class>": pixels, ...}, ...}``
    - ``samples_with_class.json``: ``{"<class>": [[path, pixels], ...], ...}``
    - ``class_statistics_record.json``: what they count, who counted, and the SHA-256 of what is read again

    Args:
        folder: Is made where it is missing.
        pixels_of_file: Path of each label file -> class -> pixels. Classes without a pixel are absent.
        counted: What they count.
    """
    by_file = {path: {str(c): n for c, n in pixels.items()} for path, pixels in pixels_of_file.items()}
    files_of_class: dict[str, list[tuple[str, int]]] = {}
    for path, pixels in by_file.items():
        for name, count in pixels.items():
            files_of_class.setdefault(name, []).append((path, count))
    contents = {
        STATISTICS_FILE: [{**pixels, "file": path} for path, pixels in by_file.items()],
        "sample_class_stats_dict.json": by_file,
        CLASS_INDEX_FILE: files_of_class,
    }
    texts = {name: json.dumps(content, indent=2) for name, content in contents.items()}
    record = {**asdict(counted), "files": len(by_file), "sha256": _sums(texts[n] for n in _READ)}
    for name, text in {**texts, RECORD_FILE: json.dumps(record, indent=2)}.items():
        write_text(Path(folder, name), text)


def read_class_statistics(dataset: SegmentationDataset, folder: str | None = None) -> ClassStatistics:
    """The statistics of a data set, from its root or another folder.

    Raises:
        DataError: A file is missing or damaged, or they count other classes; the message says how to write
            them.
    """
    place = statistics_folder(dataset, folder)
    texts = {}
    for name in _READ:
        try:
            texts[name] = Path(place, name).read_text()
        except OSError as error:
            raise DataError(f"{place}: {name} is missing; {missing_remedy(dataset)}") from error
    contents = {}
    for name, text in texts.items():
        try:
            contents[name] = json.loads(text)
        except ValueError as error:
            raise DataError(f"{place / name}: damaged JSON ({error}); {missing_remedy(dataset)}") from error
        if not _is_well_formed(contents[name]):
            raise DataError(f"{place / name}: holds no numbers of pixels by file; {missing_remedy(dataset)}")
    counted = _recorded(place, texts)
    difference = "" if counted is None else counted.difference(Counted.of(dataset))
    if difference:
        raise DataError(f"{place / STATISTICS_FILE}: the statistics {difference}; {other_remedy(dataset)}")
    return ClassStatistics(
        place / STATISTICS_FILE, contents[STATISTICS_FILE], contents[CLASS_INDEX_FILE], counted
    )


def _is_well_formed(content: Any) -> bool:
    """Whether statistics are a list of counts by class and file, or lists of (file, count) by class."""
    if isinstance(content, list):
        return all(
            isinstance(entry, dict)
            and isinstance(entry.get("file"), str)
            and all(c == "file" or (c.isdecimal() and isinstance(n, int)) for c, n in entry.items())
            for entry in content
        )
    return isinstance(content, dict) and all(
        isinstance(pairs, list)
        and all(isinstance(pair, list) and [type(x) for x in pair] == [str, int] for pair in pairs)
        for pairs in content.values()
    )


def missing_remedy(dataset: SegmentationDataset) -> str:
    """How to get statistics where there are none."""
    if dataset.converter is None:
        return f"run {REMEDY}, or set rare_class_sampling=None"
    return f"run python tools/convert_datasets/{dataset.converter}.py {dataset.root}"


def other_remedy(dataset: SegmentationDataset) -> str:
    """What to do about statistics that count something else."""
    convert = "" if dataset.converter is None else f"{missing_remedy(dataset)}, or "
    return (
        f"{convert}count as the config says: {REMEDY}; where others use the statistics there, name another "
        "folder, rare_class_sampling=dict(statistics_dir=...)"
    )


def refuse_to_replace(dataset: SegmentationDataset, folder: str | None) -> None:
    """Let nobody's statistics be lost but those that a verification has written itself.

    Raises:
        DataError: The folder holds those of other classes or of further files, which other configs may use.
    """
    place = statistics_folder(dataset, folder)
    try:
        texts = {name: Path(place, name).read_text() for name in _READ}
        samples = json.loads(texts[STATISTICS_FILE])
    except (OSError, ValueError):
        return
    recorded = _recorded(place, texts)
    if recorded is not None and recorded.counted_by == VERIFICATION:
        return
    found = "" if recorded is None else recorded.difference(Counted.of(dataset))
    classes = {int(c) for entry in samples for c in entry if c != "file"}
    if recorded is None and classes and max(classes) >= dataset.num_classes:
        found = f"count class {max(classes)}, the data set has {dataset.num_classes} classes"
    others = [] if found else _files_of_others(dataset, [entry["file"] for entry in samples])
    if others:
        found = f"count {len(others)} files that this data set leaves out, for example {others[0]}"
    if found:
        writer = "somebody" if recorded is None else recorded.counted_by
        raise DataError(
            f"{place / STATISTICS_FILE}: the statistics there, by {writer}, {found}; nothing is written: "
            "name another folder, rare_class_sampling=dict(statistics_dir=...), or delete them"
        )


def _files_of_others(dataset: SegmentationDataset, files: Sequence[str]) -> list[str]:
    """Those files that are no label of a data set, but exist below its root."""
    root = dataset.root
    own = {Path(str(sample.seg_map_path)).resolve() for sample in dataset.samples}

    def existing(file: str) -> Path | None:
        parts = Path(file).parts
        tails = (root.joinpath(*parts[first:]) for first in range(len(parts)))
        return next((tail for tail in [Path(file), *tails] if tail.is_file()), None)

    places = {file: existing(file) for file in files}
    return [file for file, place in places.items() if place is not None and place.resolve() not in own]


def _sums(texts: Any) -> list[str]:
    return [hashlib.sha256(text.encode()).hexdigest() for text in texts]


def _recorded(place: Path, texts: Mapping[str, str]) -> Counted | None:
    """What statistics count; None without a record that belongs to them."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads(Path(place, RECORD_FILE).read_text())
        if record["sha256"] == _sums(texts[name] for name in _READ):
            return Counted(record["classes"], record["id_map"], record["counted_by"])
    return None


def _short(value: Any) -> str:
    """The beginning of a long list or dict."""
    text = str(value)
    return text if len(text) <= 90 else f"{text[:90]}…"
