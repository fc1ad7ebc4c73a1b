"""Rare class sampling (DAFormer, Hoyer et al., CVPR 2022, Sec. 3.3): show rare classes more often."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log

from mmseg.datasets.sampling.class_statistics import (
    RECORD_FILE,
    REMEDY,
    STATISTICS_FILE,
    ClassStatistics,
    other_remedy,
    read_class_statistics,
)
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.errors import ConfigError, DataError


def class_probabilities(pixels: dict[int, int], temperature: float) -> tuple[list[int], np.ndarray]:
    r"""How often each class is drawn: :math:`P(c) = \mathrm{softmax}_c\,((1 - f_c) / T)` (Eq. 6 and 7).

    Args:
        pixels: Number of pixels of each class that occurs, over all files.
        temperature: T; infinity gives equal probabilities.

    Returns:
        The classes by ascending number of pixels, and their probabilities, float32 (as published).
    """
    classes = sorted(pixels, key=lambda c: pixels[c])
    counts = torch.tensor([pixels[c] for c in classes])
    probabilities = torch.softmax((1 - counts / counts.sum()) / temperature, dim=-1)
    return classes, probabilities.numpy()


class FileLookup(dict[str, int | None]):
    """Index of a label file by the path that is written in the statistics; found paths are kept.

    Statistics may have been written elsewhere. The longest tail of the path that exists below the label
    folder counts; if there is none, the bare file name does, as long as it is unique. The index is None if
    the data set is limited by a split file and does not hold the file.

    Raises:
        DataError: The data set is not limited and has no such file, or several that fit.
    """

    def __init__(self, dataset: SegmentationDataset) -> None:
        self.dataset = dataset
        self.is_partial = dataset.is_listed
        root = str(dataset.ann_dir)
        self._by_path = {
            Path(os.path.relpath(str(sample.seg_map_path), root)).as_posix(): i
            for i, sample in enumerate(dataset.samples)
        }
        self._by_name: dict[str, list[int]] = {}
        for path, index in self._by_path.items():
            self._by_name.setdefault(path.rpartition("/")[2], []).append(index)

    def __missing__(self, file: str) -> int | None:
        index = self[file] = self._look_up(file)
        return index

    def _look_up(self, file: str) -> int | None:
        tail, slash = file, "/"
        while slash:
            index = self._by_path.get(tail)
            if index is not None:
                return index
            _, slash, tail = tail.partition("/")
        candidates = self._by_name.get(Path(file).name, [])
        if len(candidates) == 1:
            return candidates[0]
        if not candidates and self.is_partial:
            return None
        found = f"{len(candidates)} files of that name" if candidates else "no such file"
        raise DataError(
            f"{STATISTICS_FILE} names {file}, but {self.dataset.ann_dir} holds {found}; the statistics "
            f"belong to other labels: {other_remedy(self.dataset)}"
        )


class RareClassSampling:
    """Draw a class with a preference for rare ones, then a file that shows it.

    Args:
        source: The labelled data set.
        min_pixels: A file is a candidate for a class that has more than this many pixels in it.
        class_temp: Temperature T; lower prefers rare classes more, ``'inf'`` draws all alike.
        min_crop_ratio: A crop is accepted if it holds more than ``min_pixels * min_crop_ratio`` pixels of the
            class; with 0 the first one is.
        statistics_dir: Folder of the class statistics; None: the root of the data set.

    Attributes:
        classes: Classes that occur, by ascending number of pixels, and their ``names``.
        probabilities: Their probabilities.
        candidates: For each class, indices of the files to draw from.
        remarks: What cannot be known about statistics without record, for :mod:`mmseg.datasets.verify`.

    Raises:
        ConfigError: An argument is out of range.
        DataError: Statistics are missing or count something else, or a class is in no file often enough.
    """

    def __init__(
        self,
        source: SegmentationDataset,
        min_pixels: int = 3000,
        class_temp: float | str = 0.01,
        min_crop_ratio: float = 0.5,
        statistics_dir: str | None = None,
    ) -> None:
        temperature = np.inf if class_temp == "inf" else class_temp  # a config file has no other word for it
        if not isinstance(temperature, int | float) or temperature <= 0:
            raise ConfigError(
                f"config: rare_class_sampling class_temp={class_temp!r}, expected a number above 0, or 'inf'"
            )
        self.min_pixels = min_pixels
        self.min_crop_pixels = min_pixels * min_crop_ratio if min_crop_ratio else -1
        lookup = FileLookup(source)
        statistics = read_class_statistics(source, statistics_dir)
        pixels = self._count_pixels(statistics, lookup, source)
        self.remarks = self._check_completeness(statistics, lookup, source)
        self.classes, self.probabilities = class_probabilities(pixels, temperature)
        self.names = [source.classes[c] for c in self.classes]
        self.candidates = {
            c: self._find_candidates(c, statistics.files_of_class, lookup, source) for c in self.classes
        }

    def log(self, source: str = "") -> None:
        """Write the classes and their probabilities to the log of the run; of several sources with its
        name."""
        of = f" of {source}" if source else ""
        named = ", ".join(f"{c} {name}" for c, name in zip(self.classes, self.names, strict=True))
        print_log(f"RCS Classes{of}: {named}", logger="current")
        print_log(f"RCS ClassProb{of}: {[round(float(p), 6) for p in self.probabilities]}", logger="current")

    def draw(self, rng: np.random.RandomState) -> tuple[int, int]:
        """Draw (class, file index)."""
        drawn = self.classes[rng.choice(len(self.classes), p=self.probabilities)]
        candidates = self.candidates[drawn]
        return drawn, candidates[rng.choice(len(candidates))]

    def accepts(self, label: np.ndarray, drawn: int) -> bool:
        """Whether a crop with this label map (H, W) shows enough of the class."""
        return int(np.count_nonzero(label == drawn)) > self.min_crop_pixels

    @staticmethod
    def _count_pixels(
        statistics: ClassStatistics, lookup: FileLookup, source: SegmentationDataset
    ) -> dict[int, int]:
        counted: defaultdict[str, int] = defaultdict(int)
        known = [entry for entry in statistics.samples if lookup[entry["file"]] is not None]
        for entry in known:
            for c, count in entry.items():
                if c != "file":
                    counted[c] += count
        pixels = {int(c): count for c, count in counted.items()}
        outside = sorted(c for c in pixels if not 0 <= c < source.num_classes)
        if outside or not pixels:
            nothing = f"counts no pixel in {len(known)} files" if known else "names no file of the data set"
            found = f"holds the classes {outside}" if outside else nothing
            raise DataError(
                f"{statistics.path}: {found}, expected classes 0 to {source.num_classes - 1} of the files in "
                f"{source.ann_dir}; {other_remedy(source)}"
            )
        return pixels

    @staticmethod
    def _check_completeness(
        statistics: ClassStatistics, lookup: FileLookup, source: SegmentationDataset
    ) -> list[str]:
        """Refuse statistics that leave out files of the data set, which would never be drawn."""
        listed = {lookup[entry["file"]] for entry in statistics.samples}
        missing = [str(sample.seg_map_path) for i, sample in enumerate(source.samples) if i not in listed]
        problem = (
            f"{statistics.path}: {len(missing)} of {len(source)} labels are not counted and would never be "
            f"drawn, for example {missing[0]}; {other_remedy(source)}"
            if missing
            else ""
        )
        if statistics.counted is not None:
            if problem:
                raise DataError(problem)
            return []
        remark = (
            f"{statistics.path}: no {RECORD_FILE} beside it tells which classes these statistics count; "
            f"{REMEDY} checks them against the labels and writes it"
        )
        return [remark, problem] if problem else [remark]

    def _find_candidates(
        self, c: int, class_index: Mapping[str, list], lookup: FileLookup, source: SegmentationDataset
    ) -> list[int]:
        files = class_index.get(str(c), [])
        found = [lookup[file] for file, count in files if count > self.min_pixels]
        candidates = [index for index in found if index is not None]
        if not candidates:
            most = max((count for _, count in files), default=0)
            raise DataError(
                f"{source.root}: no file has more than {self.min_pixels} pixels of class {c} "
                f"({source.classes[c]}); it is in {len(files)} files with at most {most} pixels. Lower "
                "rare_class_sampling.min_pixels or add files that show the class"
            )
        return candidates
