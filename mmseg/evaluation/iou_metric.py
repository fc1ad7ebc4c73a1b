"""The metric of the training and test loops."""

from collections.abc import Mapping, Sequence
from typing import Any

import mmengine.dist as dist
import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.errors import ConfigError, DataError
from mmseg.evaluation.confusion_matrix import count_confusion
from mmseg.evaluation.counting_metric import CountingMetric, label_of
from mmseg.evaluation.metrics import (
    MEAN_SCORES,
    NOT_IN_SUBSET,
    SegmentationScores,
    class_subset,
    segmentation_scores,
)
from mmseg.labels import IGNORE_INDEX
from mmseg.registry import METRICS

MAX_NAMED_FILES = 10


@METRICS.register_module()
class IoUMetric(CountingMetric):
    """Intersection over union and accuracy over a data set, from one confusion matrix.

    Args:
        metrics: What to show: any of ``mIoU``, ``mDice`` and ``mFscore``. All are stored.
        class_subsets: Mean IoUs to report beside that over all classes: '16' and '13' of Synthia. They apply
            when the classes are the 19 of Cityscapes.

    Attributes:
        scores: Scores of the last evaluation, not rounded; None before.
        confusion: Pixels of the last evaluation by label (rows) and prediction, shape (C, C + 1) on the CPU;
            the last column counts predictions that are no class. None before.

    Raises:
        ConfigError: A metric or class subset is unknown.
    """

    def __init__(self, metrics: Sequence[str] = ("mIoU",), class_subsets: Sequence[str] = ()) -> None:
        super().__init__()
        for name, found, known in (
            ("metrics", metrics, MEAN_SCORES),
            ("class_subsets", class_subsets, NOT_IN_SUBSET),
        ):
            unknown = set(found) - set(known)
            if unknown:
                raise ConfigError(f"IoUMetric: unknown {name} {sorted(unknown)}; known are {list(known)}")
        self.reported = tuple(name for name in MEAN_SCORES if name in metrics)
        self.class_subsets = tuple(class_subsets)
        self.scores: SegmentationScores | None = None
        self.confusion: Tensor | None = None

    def _reset(self) -> None:
        super()._reset()
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

    def no_counts(self) -> Tensor:
        classes = len(self.classes)
        return torch.zeros(classes + 2, classes + 1, dtype=torch.int64)

    def count(self, sample: Mapping[str, Any]) -> Tensor:
        """The confusion matrix of an image, see :func:`count_confusion`.

        Raises:
            DataError: The image has no label, or one of another size.
        """
        counts = count_confusion(sample["pred"], label_of(sample), len(self.classes))
        self._paths.append(str(sample["img_path"]))
        self._invalid_pixels.append(counts[-1].sum())
        return counts

    def compute_metrics(self, results: list[Tensor]) -> dict[str, float]:
        """Scores of a confusion matrix.

        Args:
            results: The counts, shape (C + 2, C + 1).

        Returns:
            aAcc, the means of what is reported (by default mIoU and mAcc), the mean IoU of each class subset,
            and the values of each class (IoU.<class>, Acc.<class>), in percent, rounded to two decimals; NaN
            for classes that occur neither in labels nor in predictions.

        Raises:
            DataError: A label has values that are neither a class nor ignored.
        """
        self._refuse_invalid_labels()
        classes = self.classes
        names = self.class_subsets if classes == CITYSCAPES_CLASSES else ()
        subsets = {name: class_subset(name, classes) for name in names}
        self.confusion = results[0][: len(classes)].cpu()
        self.scores = segmentation_scores(self.confusion, classes, subsets, self.reported)
        if not self.confusion.any():
            print_log(
                "No pixel has a label, as in many published test splits: there are no scores", "current"
            )
        return {name: float(np.round(value, 2)) for name, value in self.scores.percent().items()}

    def report(self) -> dict[str, float]:
        """Every score of every class and all means of the last evaluation in percent, not rounded."""
        assert self.scores is not None, "nothing has been evaluated"
        means = {f"m{score}": 100 * self.scores.mean(score) for score in self.scores.per_class}
        return self.scores.percent(tuple(self.scores.per_class)) | means

    def _refuse_invalid_labels(self) -> None:
        """Name the images, of all processes, whose label has values outside the classes."""
        pixels = torch.stack(self._invalid_pixels).tolist() if self._invalid_pixels else []
        own = [(path, count) for path, count in zip(self._paths, pixels, strict=True) if count]
        invalid = sorted({entry for entries in dist.all_gather_object(own) for entry in entries})
        if not invalid:
            return
        files = "".join(f"\n  {path}: {count} pixels" for path, count in invalid[:MAX_NAMED_FILES])
        unnamed = len(invalid) - MAX_NAMED_FILES
        more = f"\n  and {unnamed} further images" if unnamed > 0 else ""
        raise DataError(
            "label values that are neither a class nor ignored; "
            f"expected 0 to {len(self.classes) - 1} or {IGNORE_INDEX}; "
            "convert the labels to train ids (tools/convert_datasets) or correct the data set's classes. "
            f"Found in the labels of:{files}{more}"
        )
