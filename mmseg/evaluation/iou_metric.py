"""The metric of the training and test loops."""

import math
from collections.abc import Sequence
from typing import Any

import mmengine.dist as dist
import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.errors import ConfigError, DataError
from mmseg.evaluation.confusion_matrix import ConfusionMatrix
from mmseg.evaluation.metrics import (
    MEAN_SCORES,
    NOT_IN_SUBSET,
    SegmentationScores,
    class_subset,
    segmentation_scores,
)
from mmseg.evaluation.report import log_scores
from mmseg.registry import METRICS

MAX_NAMED_FILES = 10


def is_last_repeated(own_images: int, size: int) -> bool:
    """Whether the last image of this process was only added to give all processes equally many.

    Samplers deal images out in turns, so that process r of n has images r, r + n, r + 2n, ….

    Args:
        own_images: Images that this process has seen.
        size: Number of images of the data set.
    """
    processes = dist.get_world_size()
    return processes > 1 and own_images > math.ceil((size - dist.get_rank()) / processes)


@METRICS.register_module()
class IoUMetric(BaseMetric):
    """Intersection over union and accuracy over a data set, accumulated where the predictions are.

    Each data sample is a dict with ``pred`` (H, W) and ``gt`` (H, W), integer tensors on any device, and
    ``img_path``. Processes of a distributed evaluation add their confusion matrices, so the result is that of
    one process.

    Args:
        metrics: What to report: any of ``mIoU``, ``mDice`` and ``mFscore``.
        class_subsets: Mean IoUs to report beside that over all classes: '16' and '13' of Synthia. They apply
            when the classes are the 19 of Cityscapes.
        ignore_index: Label of pixels that do not count.
        collect_device: See mmengine; matrices are summed whatever it is.
        prefix: Put before the names of the scores, as ``prefix/mIoU``.

    Attributes:
        scores: Scores of the last evaluation, not rounded; None before.
        confusion: Pixels of the last evaluation by label (rows) and prediction, shape (C, C + 1) on the CPU;
            the last column counts predictions that are no class. None before.

    Raises:
        ConfigError: A metric or class subset is unknown.
    """

    default_prefix = ""

    def __init__(
        self,
        metrics: Sequence[str] = ("mIoU",),
        class_subsets: Sequence[str] = (),
        ignore_index: int = 255,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        for name, found, known in (
            ("metrics", metrics, MEAN_SCORES),
            ("class_subsets", class_subsets, NOT_IN_SUBSET),
        ):
            unknown = set(found) - set(known)
            if unknown:
                raise ConfigError(f"IoUMetric: unknown {name} {sorted(unknown)}; known are {list(known)}")
        self.reported = tuple(name for name in MEAN_SCORES if name in metrics)
        self.class_subsets = tuple(class_subsets)
        self.ignore_index = ignore_index
        self.scores: SegmentationScores | None = None
        self.confusion: Tensor | None = None
        self._reset()

    def _reset(self) -> None:
        self._matrix: ConfusionMatrix | None = None
        self._last_image: Tensor | None = None
        self._paths: list[str] = []
        self._invalid_pixels: list[Tensor] = []

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the data set."""
        if not self.dataset_meta or not self.dataset_meta.get("classes"):
            raise ConfigError(
                "IoUMetric: the data set names no classes; expected metainfo=dict(classes=(...))"
            )
        return tuple(self.dataset_meta["classes"])

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch.

        Raises:
            DataError: An image has no label, or one of another size.
        """
        for sample in data_samples:
            pred, gt, path = sample["pred"], sample.get("gt"), str(sample["img_path"])
            if gt is None:
                raise DataError(
                    f"{path}: there is no label to score the prediction with; set ann_dir of the test set, "
                    "or write predictions only, with tools/test.py --format-only or demo/image_demo.py"
                )
            if pred.shape != gt.shape:
                raise DataError(
                    f"{path}: prediction of size {tuple(pred.shape)}, label of size {tuple(gt.shape)}; "
                    "image and label file must have the same height and width"
                )
            if self._matrix is None:
                self._matrix = ConfusionMatrix(len(self.classes), self.ignore_index)
            self._last_image = self._matrix.update(pred, gt)
            self._paths.append(path)
            self._invalid_pixels.append(self._last_image[-1].sum())

    def evaluate(self, size: int) -> dict[str, float]:
        """Sum over all processes and compute the scores. All processes return the same.

        Args:
            size: Number of images of the data set. Samplers repeat images until every process has equally
                many; repeated ones are left out.

        Raises:
            DataError: See :meth:`compute_metrics`.
        """
        matrix = self._matrix or ConfusionMatrix(len(self.classes), self.ignore_index)
        counts = matrix.counts.clone()
        if self._last_image is not None and is_last_repeated(len(self._paths), size):
            counts -= self._last_image
        dist.all_reduce(counts)
        gathered = dist.all_gather_object(self._invalid_images())
        invalid = sorted({entry for entries in gathered for entry in entries})
        self._reset()
        metrics = self._compute(counts, invalid)
        return {f"{self.prefix}/{key}": value for key, value in metrics.items()} if self.prefix else metrics

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Scores of the images processed so far by this process.

        Args:
            results: Not used: the matrix is all that is kept.

        Returns:
            aAcc, the means of what is reported (by default mIoU and mAcc), the mean IoU of each class subset,
            and the values of each class (IoU.<class>, Acc.<class>), in percent, rounded to two decimals; NaN
            for classes that occur neither in labels nor in predictions.

        Raises:
            DataError: A label has values that are neither a class nor ignored.
        """
        matrix = self._matrix or ConfusionMatrix(len(self.classes), self.ignore_index)
        return self._compute(matrix.counts, self._invalid_images())

    def _compute(self, counts: Tensor, invalid: list[tuple[str, int]]) -> dict[str, float]:
        if invalid:
            self._raise_invalid(invalid)
        classes = self.classes
        names = self.class_subsets if classes == CITYSCAPES_CLASSES else ()
        subsets = {name: class_subset(name, classes) for name in names}
        self.confusion = counts[: len(classes)].cpu()
        self.scores = segmentation_scores(self.confusion, classes, subsets, self.reported)
        if dist.is_main_process():
            log_scores(self.scores)
        return {name: float(np.round(value, 2)) for name, value in self.scores.percent().items()}

    def _invalid_images(self) -> list[tuple[str, int]]:
        """Images whose label has values outside the classes, with the number of these pixels."""
        if not self._invalid_pixels:
            return []
        pixels = torch.stack(self._invalid_pixels).tolist()  # the only time the host waits for the device
        return [(path, count) for path, count in zip(self._paths, pixels, strict=True) if count]

    def _raise_invalid(self, invalid: list[tuple[str, int]]) -> None:
        files = "".join(f"\n  {path}: {count} pixels" for path, count in invalid[:MAX_NAMED_FILES])
        unnamed = len(invalid) - MAX_NAMED_FILES
        more = f"\n  and {unnamed} further images" if unnamed > 0 else ""
        raise DataError(
            "label values that are neither a class nor ignored; "
            f"expected 0 to {len(self.classes) - 1} or {self.ignore_index}; "
            "convert the labels to train ids (tools/convert_datasets) or correct the data set's classes. "
            f"Found in the labels of:{files}{more}"
        )
