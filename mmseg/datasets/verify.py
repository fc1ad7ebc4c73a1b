"""Find out what is wrong with the data of a config before training does.

The quick check lists files, pairs them, compares the class statistics with the list, loads one sample of each
data set and looks at the values of some labels. The full check reads every image and label as well.
"""

from __future__ import annotations

import logging
import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from rich.progress import track

from mmseg.datasets.domains import build_rcs, check_same_classes, domains_of
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
from mmseg.datasets.several_test_sets import test_sets_of
from mmseg.datasets.transforms import (
    LoadImage,
    LoadLabel,
    Pad,
    PhotoMetricDistortion,
    RandomCrop,
    RandomFlip,
    Resize,
)
from mmseg.datasets.transforms.base import Results, Transform
from mmseg.errors import DataError
from mmseg.labels import IGNORE_INDEX
from mmseg.registry import DATASETS

SAMPLED = 16
"""Labels that the quick check looks at, drawn at random, since files of a kind often follow each other
regularly."""
SOME_EMPTY = 0.25
"""Share of labels without any class that is worth a warning."""
SOME_IGNORED, MANY_IGNORED, NEARLY_ALL_IGNORED = 0.05, 0.8, 0.99
"""Shares of ignored pixels that are worth a warning where classes are absent, or anyway, and that nobody can
want."""


@dataclass
class Part:
    """One data set of a config and what was found out about it.

    Attributes:
        name: Where the config uses it: train, train source, train target, val, test, rounds.images; with
            its own name where there are several, as train source gta.
        cfg: Its config.
        rcs: Arguments of rare class sampling, for a source that is sampled so.
        role: ``source`` or ``target`` of an adaptation, otherwise empty.
        dataset: The data set, once it could be opened.
        problems: What has to be mended.
        warnings: What may be intended.
        files: What reading every file showed; empty where only a sample was read.
    """

    name: str
    cfg: dict
    rcs: Mapping[str, Any] | None = None
    role: str = ""
    dataset: SegmentationDataset | None = None
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    files: list[FileCheck] = field(default_factory=list)

    @property
    def is_trained_on(self) -> bool:
        """Whether training needs its labels."""
        return self.name == "train" or self.role == "source"


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
        _judge_sizes(part, part.dataset)
        if write_statistics and part.is_trained_on and not part.problems:
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
                    drawn = np.random.RandomState(0).permutation(len(dataset))[:SAMPLED]
                    described = (dataset.describe(dataset.samples[index]) for index in sorted(drawn))
                    _judge_ignored(part, dataset, [_check_label(each) for each in described])
        except DataError as error:
            part.problems.append(str(error))
        if sampled:
            _check_statistics(part)
    domains = {
        part.name.removeprefix("train "): part.dataset
        for part in parts
        if part.role and part.dataset is not None
    }
    if domains:
        check_same_classes(domains)
    return parts


def parts_of(cfg: Config, loaders: Sequence[str]) -> list[Part]:
    """The data sets that a config names, not opened yet."""
    parts: list[Part] = []
    for loader in loaders:
        dataset = data_of(cfg, loader)
        name = loader.removesuffix("_dataloader")
        if dataset is None:
            continue
        domains = domains_of(dataset)
        for each in domains:
            parts.append(Part(f"{name} {each.title}", each.dataset, each.rare_class_sampling, each.role))
        if domains:
            continue
        for domain, images in test_sets_of(dataset).items():
            if not any(part.cfg == images for part in parts):  # validation and test are often the same
                parts.append(Part(f"{name} {domain}".strip(), images))
    if cfg.get("rounds") and "train_dataloader" in loaders:
        parts.append(Part("rounds.images", {**cfg.rounds["images"], "load_labels": False}))
    return parts


def _check_first_sample(part: Part, dataset: SegmentationDataset) -> None:
    """Run the pipeline once and compare its crop with the image it cuts from."""
    if part.is_trained_on and not dataset.has_labels:
        part.problems.append(
            f"{dataset.img_dir}: training needs labels, and none are read; set ann_dir (and load_labels=True)"
        )
        return
    if problem := pipeline_problem(dataset, is_test=not part.name.startswith("train")):
        part.problems.append(problem)
        return
    results = dataset.load(0)
    path = results["img_path"]
    if remark := LoadImage.of(dataset.transforms).remark(path):
        part.warnings.append(remark)
    if crop := _too_large_crop(dataset.random_transforms, results["img_shape"]):
        message, is_padded = crop
        (part.warnings if is_padded else part.problems).append(f"{path}: {message}")
        if not is_padded:
            return
    if not results.get("valid_pseudo_mask", np.ones(1)).any():
        part.warnings.append(
            f"{path}: crop_pseudo_margins={part.cfg.get('crop_pseudo_margins')} cover the "
            "whole image, so none of its pseudo-labels is trusted"
        )
    sample = dataset.pack(dataset.augment(results, keyed_random_state(0, SAMPLE_STREAM, 0)))
    if problem := _unpacked(dataset, sample):
        part.problems.append(problem)


def pipeline_problem(dataset: SegmentationDataset, is_test: bool) -> str:
    """What the pipeline of a data set lacks, or has too much; empty where nothing.

    Args:
        dataset: The data set.
        is_test: Whether scores are computed on it, so that nothing may be drawn at random.
    """
    names = [type(transform).__name__ for transform in dataset.transforms]
    shown = f"pipeline of {dataset.img_dir}: {', '.join(names) or 'no steps'}"
    if not names:
        return f"{shown}; expected LoadImage, LoadLabel, … PackInputs"
    drawn = [name for name, step in zip(names, dataset.transforms, strict=True) if step.random]
    if is_test and drawn:
        return f"{shown}; {', '.join(drawn)} draws at random, and scores are those of whole images: remove it"
    try:
        results = dataset.load(0)
        if not is_test:
            return ""  # the crop is looked at before anything is drawn
        return _unpacked(
            dataset, dataset.pack(dataset.augment(results, keyed_random_state(0, SAMPLE_STREAM, 0)))
        )
    except KeyError as error:
        return f"{shown}; a step needs {error}, which none before it gives: expected LoadImage first"


def _unpacked(dataset: SegmentationDataset, sample: Results) -> str:
    """Why a sample cannot be part of a batch; empty where it can."""
    if "img_metas" not in sample:
        return (
            f"pipeline of {dataset.img_dir}: the samples are no tensors; expected PackInputs as the last step"
        )
    if dataset.has_labels and "gt_semantic_seg" not in sample:
        return (
            f"pipeline of {dataset.img_dir}: the labels in {dataset.ann_dir} are not read; add "
            "dict(type='LoadLabel') to it, or set load_labels=False"
        )
    return ""


def _too_large_crop(steps: Sequence[Transform], shape: tuple[int, int]) -> tuple[str, bool] | None:
    """Whether a crop is larger than the image that it is cut from.

    Args:
        steps: Of a pipeline.
        shape: (height, width) of the image before the first of them.

    Returns:
        What to say, and whether the image is padded; None where the crop fits, or a step that is not known
        here may change the size.
    """
    for step in steps:
        if isinstance(step, Resize):
            shape = step.new_size(*shape)
        elif not isinstance(step, LoadImage | LoadLabel | RandomCrop | RandomFlip | PhotoMetricDistortion):
            return None
        if not isinstance(step, RandomCrop) or all(map(operator.ge, shape, step.crop_size)):
            continue
        height, width = step.crop_size
        message = (
            f"the crop of {width}x{height} pixels is larger than the resized image, {shape[1]}x{shape[0]}"
        )
        if any(all(map(operator.ge, pad.size, step.crop_size)) for pad in steps if isinstance(pad, Pad)):
            return f"{message}; it is going to be padded", True
        return f"{message}; lower crop_size, raise the scale of Resize, or add Pad to the pipeline", False
    return None


def _judge_sizes(part: Part, dataset: SegmentationDataset) -> None:
    """Compare the crop with the sizes of all images; the first one has been looked at before."""
    sizes: dict[tuple[int, int], list[str]] = {}
    for sample, file in zip(dataset.samples, part.files, strict=True):
        if file.size is not None:
            sizes.setdefault(file.size, []).append(sample.img_path)
    for (width, height), paths in sizes.items():
        crop = _too_large_crop(dataset.transforms, (height, width))
        if crop is None or paths[0] == dataset.samples[0].img_path:
            continue
        message, is_padded = crop
        message = f"{paths[0]}{f' and {len(paths) - 1} more of its size' if paths[1:] else ''}: {message}"
        (part.warnings if is_padded else part.problems).append(message)


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
        part.warnings.append(
            f"{dataset.ann_dir}: no pixel of {', '.join(absent)} in {len(part.files)} labels, while "
            f"{share:.1%} of the pixels are ignored, with the values {_shown(values)}; check id_map"
        )


def _shown(values: Counter[int | str]) -> str:
    return ", ".join(f"{value} ({count / values.total():.1%})" for value, count in values.most_common(8))


def unlisted_values(id_map: Mapping[Any, int] | None, values: Counter[int | str]) -> Counter[int | str]:
    """Of the ignored values those that nobody has named: neither 255 nor a key of ``id_map``."""
    if id_map is None:
        return Counter()
    keys = (f"#{bytes(key).hex()}" if isinstance(key, tuple | list) else int(key) for key in id_map)
    named = {IGNORE_INDEX, *keys}
    return Counter({value: count for value, count in values.items() if value not in named})


def _judge_ignored(part: Part, dataset: SegmentationDataset, files: Sequence[FileCheck]) -> None:
    """Say when hardly any pixel of the labels belongs to a class, labels hold none at all, or many pixels
    have values that nobody has named."""
    share, values = ignored_values(files)
    expected = f"0 to {dataset.num_classes - 1}" if dataset.id_lookup is None else "those that id_map names"
    message = (
        f"{dataset.ann_dir}: {share:.2%} of the pixels of {len(files)} labels are ignored; found the values "
        f"{_shown(values)}, expected {expected}"
    )
    if share > NEARLY_ALL_IGNORED:
        part.problems.append(
            f"{message}; correct id_map, or ann_dir and seg_map_suffix if these are other files"
        )
        return
    if share > MANY_IGNORED:
        part.warnings.append(f"{message}; check id_map unless most of each image is unlabelled")
    labelled = [file for file in files if file.pixels or file.ignored]
    empty = [file for file in labelled if not file.pixels]
    if len(empty) > SOME_EMPTY * len(labelled):
        part.warnings.append(
            f"{dataset.ann_dir}: {len(empty)} of {len(labelled)} labels hold no class at all, so nothing is "
            "learnt from them; name the others in a file, the split of the data set"
        )
    unlisted = unlisted_values(part.cfg.get("id_map"), values)
    total = sum(sum(file.pixels.values()) + sum(file.ignored.values()) for file in files)
    if share <= MANY_IGNORED and unlisted.total() > SOME_IGNORED * total:
        part.warnings.append(
            f"{dataset.ann_dir}: {unlisted.total() / total:.1%} of the pixels of {len(files)} labels have "
            f"values that id_map does not name, and are ignored: {_shown(unlisted)}; correct id_map, or name "
            "them there as 255"
        )


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
        remedy = (
            "only rare class sampling of a UDADataset needs them: leave --write-statistics out"
            if part.rcs is None
            else "name another folder in the config: rare_class_sampling=dict(statistics_dir=...)"
        )
        part.problems.append(f"{folder}: the class statistics cannot be written ({error.strerror}); {remedy}")


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
