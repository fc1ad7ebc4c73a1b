"""Conversion of a whole data set with several processes."""

import os
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.progress import track

from mmseg.datasets.conversion.label_conversion import LabelConversion, convert_label, find_labels
from mmseg.datasets.parallel import map_in_processes
from mmseg.datasets.sampling.class_statistics import Counted, write_class_statistics
from mmseg.errors import DataError


@dataclass(frozen=True)
class ConversionReport:
    """Result of a run.

    Args:
        converted: Number of labels written by this run.
        skipped: Number of labels that an earlier run had finished.
        counted: Number of labels in the class statistics.
        damaged: Raw label and reason for each file that could not be converted.
    """

    converted: int
    skipped: int
    counted: int
    damaged: list[tuple[str, str]]


def find_raw_labels(conversion: LabelConversion, root: str, gt_dir: str) -> list[str]:
    """Sorted raw labels below ``root/gt_dir``.

    Raises:
        DataError: A folder is missing or holds no raw label.
    """
    expected = f"expected {conversion.name} labels like {os.path.join('ROOT', conversion.example)}"
    if not os.path.isdir(root):
        raise DataError(f"{root}: folder not found; {expected}; {conversion.remedy}")
    if not os.path.isdir(os.path.join(root, gt_dir)):
        raise DataError(
            f"{os.path.join(root, gt_dir)}: folder not found; {expected}; {conversion.remedy}, "
            "or name the label folder with --gt-dir"
        )
    folders = [os.path.join(root, gt_dir, folder) for folder in conversion.label_folders]
    found = [path for folder in folders for path in find_labels(folder, conversion.pattern)]
    if not found:
        raise DataError(
            f"{', '.join(folders)}: no label file with a name like {conversion.pattern}; "
            f"{expected}; {conversion.remedy}"
        )
    return sorted(found)


def convert_dataset(
    conversion: LabelConversion,
    root: str,
    gt_dir: str | None = None,
    out_dir: str | None = None,
    nproc: int = 4,
    label_dir: str | None = None,
) -> ConversionReport:
    """Convert all raw labels of a data set and write its class statistics.

    Labels that an earlier run has finished are counted, not converted again. Damaged files are reported and
    left out of the statistics. The result does not depend on the number of processes.

    Args:
        conversion: The data set.
        root: Its root folder. Paths in the statistics start with it as it is given here.
        gt_dir: Label folder below ``root``; None means the published one.
        out_dir: Folder of the statistics; None means ``root``.
        nproc: Number of processes.
        label_dir: Folder of the converted labels, with the sub-folders of the raw ones; None: beside those.

    Raises:
        DataError: Labels are missing, or none belongs to a class, a file cannot be written, or a process was
            killed.
    """
    gt_dir = conversion.gt_dir if gt_dir is None else gt_dir
    raw_labels = find_raw_labels(conversion, root, gt_dir)
    raw_dir = os.path.join(root, gt_dir)
    paths = [(raw, conversion.output_path(raw, raw_dir, label_dir)) for raw in raw_labels]
    labels = map_in_processes(partial(convert_label, conversion), paths, nproc)
    results = list(track(labels, conversion.name, len(raw_labels), console=Console(stderr=True)))

    pairs = list(zip(raw_labels, results, strict=True))
    counted = [label for raw, label in pairs if label.damage is None and conversion.is_counted(raw, raw_dir)]
    if counted and not any(label.pixels for label in counted):
        raise DataError(
            f"{raw_dir}: no pixel of {len(counted)} labels belongs to a class, so these are no raw labels "
            f"of {conversion.name}; {conversion.remedy}"
        )
    write_class_statistics(
        root if out_dir is None else out_dir,
        {label.path: label.pixels for label in counted},
        Counted(conversion.classes, counted_by=f"the conversion of {conversion.name}"),
    )

    damaged = [(raw, label.damage) for raw, label in pairs if label.damage is not None]
    skipped = sum(label.was_finished for label in results)
    return ConversionReport(len(results) - skipped - len(damaged), skipped, len(counted), damaged)
