"""What metrics have in common that are made of counted pixels."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import mmengine.dist as dist
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmseg.errors import DataError


class CountingMetric(BaseMetric):
    """A metric of integer counts, which are added up where the predictions are.

    Memory does not depend on the number of images, nothing waits for the device, and the processes of a
    distributed evaluation add their counts, so the result is that of one process. A subclass says how the
    counts of no image look (:meth:`no_counts`), how an image is counted (:meth:`count`) and what follows from
    the sum (``compute_metrics``, which gets it as the only entry of ``results``, in every process).

    See :mod:`mmseg.evaluation.report` for what becomes of the numbers of a metric.
    """

    default_prefix = ""

    def __init__(self) -> None:
        super().__init__()
        self._reset()

    def _reset(self) -> None:
        self._images = 0
        self._counts: Tensor | None = None
        self._last_image: Tensor | None = None

    @abstractmethod
    def no_counts(self) -> Tensor:
        """Zeros of the shape of the counts."""

    @abstractmethod
    def count(self, sample: Mapping[str, Any]) -> Tensor:
        """Counts of one image, int64, on the device of its prediction.

        Args:
            sample: ``pred`` (H, W), ``gt`` (H, W) where there are labels, ``confidence`` (H, W) with
                ``model.test_cfg.confidence``, and ``img_path``.
        """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the images of a batch.

        Raises:
            DataError, ConfigError: See :meth:`count`.
        """
        for sample in data_samples:
            self._last_image = self.count(sample)
            counts = self.no_counts() if self._counts is None else self._counts
            self._counts = counts.to(self._last_image.device, non_blocking=True) + self._last_image
            self._images += 1

    def evaluate(self, size: int) -> dict[str, float]:
        """Sum over all processes and compute the scores. All processes return the same.

        Args:
            size: Number of images of the data set. Samplers repeat images until every process has equally
                many; repeated ones are left out.
        """
        counts = self.no_counts() if self._counts is None else self._counts
        if self._last_image is not None and is_last_repeated(self._images, size):
            counts = counts - self._last_image
        dist.all_reduce(counts)
        scores = self.compute_metrics([counts])
        self._reset()
        return {f"{self.prefix}/{name}": score for name, score in scores.items()} if self.prefix else scores


def is_last_repeated(own_images: int, size: int) -> bool:
    """Whether the last image of this process was only added to give all processes equally many.

    Samplers deal images out in turns, so that process r of n has images r, r + n, r + 2n, ….

    Args:
        own_images: Images that this process has seen.
        size: Number of images of the data set.
    """
    processes = dist.get_world_size()
    return processes > 1 and own_images > math.ceil((size - dist.get_rank()) / processes)


def label_of(sample: Mapping[str, Any]) -> Tensor:
    """The label (H, W) of a prediction.

    Raises:
        DataError: There is none, or it has another size.
    """
    pred, gt, path = sample["pred"], sample.get("gt"), sample["img_path"]
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
    return gt.to(pred.device, non_blocking=True)
