"""Find out what is wrong with the data of a config before training does.

The quick check lists files, pairs them, compares the class statistics with the list, loads one sample of each
data set and looks at the values of some labels. The full check reads every image and label as well.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from rich.progress import track

from mmseg.datasets.loaders import LOADERS, data_of
from mmseg.datasets.parallel import map_in_processes
from mmseg.datasets.sampling.class_statistics import (
    Counted,
    other_remedy,
    read_class_statistics,
    refuse_to_replace,
    statistics_folder,
    write_class_statistics,
)
from mmseg.datasets.sampling.keyed_random import SAMPLE_STREAM, keyed_random_state
from mmseg.datasets.sampling.rare_class_sampling import FileLookup
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.datasets.transforms import LoadImage, LoadLabel, Pad, RandomCrop
from mmseg.datasets.transforms.base import Results
from mmseg.datasets.uda_dataset import UDADataset, build_rcs
from mmseg.errors import DataError
from mmseg.labels import IGNORE_INDEX
from mmseg.registry import DATASETS

SAMPLED = 8
"""Labels that the quick check looks at, spread over a data set."""
SOME_IGNORED, MANY_IGNORED, NEARLY_ALL_IGNORED = 0.05, 0.8, 0.99
"""Shares of ignored pixels that are worth a warning where classes are absent, or anyway, and that nobody can
want."""


@dataclass
class Part:
    """One data set of a config and what was found out about it.

    Attributes:
        name: Where the config uses it: train, train source, train target, val, test.
        cfg: Its config.
        rcs: Arguments of rare class sampling, for a source that is sampled so.
        dataset: The data set, once it could be opened.
        problems: What has to be mended.
        warnings: What may be intended.
        files: What reading every file showed; empty where only a sample was read.
    """

    name: str
    cfg: dict
    rcs: dict | None = None
    dataset: SegmentationDataset | None = None
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    files: list[FileCheck] = field(default_factory=list)


@dataclass(frozen=True)
class FileCheck:
    """What reading one image and its label showed.

    Attributes:
        pixels: Number of pixels of each class that occurs; empty without label.
        ignored: Number of pixels of each value of the file (colours as ``#rrggbb``) that is ignored.
        size: (width, height) of the image.
        problem: Why they cannot be used.
    """

    pixels: dict[int, int] = field(default_factory=dict)
    ignored: dict[int | str, int] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    problem: str | None = None


def quick_check(cfg: Config, loaders: Sequence[str] = LOADERS) -> list[Part]:
    """Check what can be checked in seconds; training calls this before it starts.

    Args:
        cfg: Config with ``train_dataloader``, ``val_dataloader`` and ``test_dataloader``; each may be
            missing.
        loaders: Which of them to look at.

    Returns:
        All data sets of the config, opened.

    Raises:
        DataError: Lists everything that is wrong.
        ConfigError: A part of the config does not exist or does not fit.
    """
    parts = open_parts(cfg, loaders)
    for part in parts:
        for warning in part.warnings:
            print_log(f"{part.name}: {warning}", logger="current", level=logging.WARNING)
    problems = [f"{part.name}: {problem}" for part in parts for problem in part.problems]
    if len(problems) == 1:
        raise DataError(problems[0])
    if problems:
        raise DataError("\n  ".join([f"{len(problems)} problems with the data:", *problems]))
    return parts


def verify(cfg: Config, nproc: int = 4, write_statistics: bool = False) -> list[Part]:
    """Check everything, reading each file once.

    Args:
        cfg: As for :func:`quick_check`.
        nproc: Number of processes.
        write_statistics: Count the classes of sources and write the files that rare class sampling needs.

    Returns:
        All data sets of the config; ``problems`` are empty where everything is fine.
    """
    parts = open_parts(cfg, sampled=False)
    for part in parts:
        if part.dataset is None:
            continue
        part.files = _check_files(part, part.dataset, nproc)
        _judge_ignored(part, part.dataset, part.files)
        _warn_of_absent_classes(part, part.dataset)
        if write_statistics and part.name in ("train", "train source") and not part.problems:
            _write_statistics(part, part.dataset)
        _check_statistics(part)
        if part.rcs is not None and not part.problems:
            part.problems += _compare_statistics(part.dataset, part.files, part.rcs.get("statistics_dir"))
    return parts


def open_parts(cfg: Config, loaders: Sequence[str] = LOADERS, sampled: bool = True) -> list[Part]:
    """Open every data set of a config once and load its first sample.

    Args:
        cfg, loaders: As for :func:`quick_check`.
        sampled: Look at some labels and at the statistics as well, where not every file is read later.
    """
    parts = parts_of(cfg, loaders)
    for part in parts:
        try:
            dataset = DATASETS.build(part.cfg)
            if isinstance(dataset, SegmentationDataset):
                part.dataset = dataset
                part.warnings += dataset.remarks
                _check_first_sample(part, dataset)
                if sampled and dataset.has_labels:
                    chosen = np.linspace(0, len(dataset) - 1, min(SAMPLED, len(dataset))).round().astype(int)
                    described = (dataset.describe(dataset.samples[index]) for index in chosen)
                    _judge_ignored(part, dataset, [_check_label(each) for each in described])
        except DataError as error:
            part.problems.append(str(error))
        if sampled:
            _check_statistics(part)
    by_name = {part.name: part.dataset for part in parts}
    source, target = by_name.get("train source"), by_name.get("train target")
    if source is not None and target is not None:
        UDADataset(source, target)  # raises where classes do not fit
    return parts


def parts_of(cfg: Config, loaders: Sequence[str]) -> list[Part]:
    """The data sets that a config names, not opened yet."""
    parts: list[Part] = []
    for loader in loaders:
        dataset = data_of(cfg, loader)
        name = loader.removesuffix("_dataloader")
        if dataset is None:
            continue
        if dataset.get("type") == "UDADataset":
            parts.append(Part(f"{name} source", dataset["source"], dataset.get("rare_class_sampling")))
            parts.append(Part(f"{name} target", {**dataset["target"], "load_labels": False}))
        elif not any(part.cfg == dataset for part in parts):  # validation and test are often the same
            parts.append(Part(name, dataset))
    return parts


def _check_first_sample(part: Part, dataset: SegmentationDataset) -> None:
    """Run the pipeline once and compare its crop with the image it cuts from."""
    results = dataset.load(0)
    if remark := LoadImage.of(dataset.transforms).remark(results["img_path"]):
        part.warnings.append(remark)
    for crop in (transform for transform in dataset.transforms if isinstance(transform, RandomCrop)):
        (height, width), (crop_height, crop_width) = results["img_shape"], crop.crop_size
        if height >= crop_height and width >= crop_width:
            continue
        message = (
            f"{results['img_path']}: the crop of {crop_width}x{crop_height} pixels is larger than the "
            f"resized image, {width}x{height}"
        )
        pads = [transform.size for transform in dataset.transforms if isinstance(transform, Pad)]
        if not any(size[0] >= crop_height and size[1] >= crop_width for size in pads):
            part.problems.append(
                f"{message}; lower crop_size, raise the scale of Resize, or add Pad to the pipeline"
            )
            return
        part.warnings.append(f"{message}; it is going to be padded")
    if not results.get("valid_pseudo_mask", np.ones(1)).any():
        part.warnings.append(
            f"{results['img_path']}: crop_pseudo_margins={part.cfg.get('crop_pseudo_margins')} cover the "
            "whole image, so none of its pseudo-labels is trusted"
        )
    dataset.pack(dataset.augment(results, keyed_random_state(0, SAMPLE_STREAM, 0)))


def _check_statistics(part: Part) -> None:
    if part.rcs is None or part.dataset is None or part.problems:
        return
    try:
        part.warnings += build_rcs(part.dataset, part.rcs).remarks
    except DataError as error:
        part.problems.append(str(error))


def _check_files(part: Part, dataset: SegmentationDataset, nproc: int) -> list[FileCheck]:
    described = [{**dataset.describe(sample), "pseudo_margins": None} for sample in dataset.samples]
    results = map_in_processes(partial(_check_file, LoadImage.of(dataset.transforms)), described, nproc)
    checks = list(track(results, description=part.name, total=len(dataset), transient=True))
    known = set(part.problems)  # the first sample has been read before
    part.problems += [
        check.problem for check in checks if check.problem is not None and check.problem not in known
    ]
    return checks


def _check_file(loader: LoadImage, described: Results) -> FileCheck:
    try:
        results = loader(described)
        height, width = results["ori_shape"]
        if results["seg_map_path"] is None:
            return FileCheck(size=(width, height))
        return replace(_check_label(results), size=(width, height))
    except DataError as error:
        return FileCheck(problem=str(error))


def _check_label(results: Results) -> FileCheck:
    raw, label = LoadLabel().read(results)
    counts = np.bincount(label.ravel(), minlength=IGNORE_INDEX + 1)
    ignored: dict[int | str, int] = {}
    if counts[IGNORE_INDEX]:
        values = raw[label == IGNORE_INDEX]
        if values.ndim == 2:
            values = values.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
        found, numbers = np.unique(values, return_counts=True)
        names = (f"#{value:06x}" if raw.ndim == 3 else int(value) for value in found.tolist())
        ignored = dict(zip(names, numbers.tolist(), strict=True))
    return FileCheck({c: int(n) for c, n in enumerate(counts[: results["num_classes"]]) if n}, ignored)


def ignored_values(files: Iterable[FileCheck]) -> tuple[float, Counter[int | str]]:
    """Share of the labels' pixels that are ignored, and how many pixels of each value of the files are."""
    labelled, ignored = 0, Counter[int | str]()
    for file in files:
        labelled += sum(file.pixels.values())
        ignored.update(file.ignored)
    total = labelled + ignored.total()
    return (ignored.total() / total if total else 0.0), ignored


def _warn_of_absent_classes(part: Part, dataset: SegmentationDataset) -> None:
    """Say which classes occur in no label, where there are ignored values that might be meant."""
    share, values = ignored_values(part.files)
    seen = {c for file in part.files for c in file.pixels}
    absent = [name for c, name in enumerate(dataset.classes) if c not in seen]
    if dataset.has_labels and seen and absent and share > SOME_IGNORED:
        shown = ", ".join(f"{value} ({count / values.total():.1%})" for value, count in values.most_common(8))
        part.warnings.append(
            f"{dataset.ann_dir}: no pixel of {', '.join(absent)} in {len(part.files)} labels, while "
            f"{share:.1%} of the pixels are ignored, with the values {shown}; check id_map"
        )


def _judge_ignored(part: Part, dataset: SegmentationDataset, files: Sequence[FileCheck]) -> None:
    """Say when hardly any pixel of the labels belongs to a class."""
    share, values = ignored_values(files)
    if share <= MANY_IGNORED:
        return
    shown = ", ".join(f"{value} ({count / values.total():.1%})" for value, count in values.most_common(8))
    expected = f"0 to {dataset.num_classes - 1}" if dataset.id_lookup is None else "those that id_map names"
    message = (
        f"{dataset.ann_dir}: {share:.2%} of the pixels of {len(files)} labels are ignored; found the values "
        f"{shown}, expected {expected}"
    )
    if share > NEARLY_ALL_IGNORED:
        part.problems.append(
            f"{message}; correct id_map, or ann_dir and seg_map_suffix if these are other files"
        )
    else:
        part.warnings.append(f"{message}; check id_map unless most of each image is unlabelled")


def _write_statistics(part: Part, dataset: SegmentationDataset) -> None:
    pairs = zip(dataset.samples, part.files, strict=True)
    pixels = {str(sample.seg_map_path): check.pixels for sample, check in pairs}
    statistics_dir = (part.rcs or {}).get("statistics_dir")
    folder = statistics_folder(dataset, statistics_dir)
    try:
        refuse_to_replace(dataset, statistics_dir)
        write_class_statistics(folder, pixels, Counted.of(dataset))
    except DataError as error:
        part.problems.append(str(error))
    except OSError as error:
        part.problems.append(
            f"{folder}: the class statistics cannot be written ({error.strerror}); name another folder in "
            "the config: rare_class_sampling=dict(statistics_dir=...)"
        )


def _compare_statistics(
    dataset: SegmentationDataset, checks: list[FileCheck], folder: str | None
) -> list[str]:
    """Differences between the class statistics and the labels that were read."""
    statistics, lookup, problems = read_class_statistics(dataset, folder), FileLookup(dataset), []
    listed = set()
    for entry in statistics.samples:
        index = lookup[entry["file"]]
        if index is None:
            continue
        listed.add(index)
        expected = {int(c): count for c, count in entry.items() if c != "file"}
        if expected != checks[index].pixels:
            problems.append(
                f"{statistics.path}: the pixels per class of {entry['file']} are given as {expected}, the "
                f"label holds {checks[index].pixels}; {other_remedy(dataset)}"
            )
    missing = [str(sample.seg_map_path) for i, sample in enumerate(dataset.samples) if i not in listed]
    if missing:
        problems.append(
            f"{statistics.path}: {len(missing)} labels are not counted and would never be drawn, for example "
            f"{missing[0]}; {other_remedy(dataset)}"
        )
    return problems
