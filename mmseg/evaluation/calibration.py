"""Whether the network is as often right as it is confident.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mmengine.dist as dist
import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmseg.errors import ConfigError, DataError
from mmseg.evaluation.iou_metric import is_last_repeated
from mmseg.registry import METRICS

FIXED_POINT = 2**24
"""Confidences are summed as integers of this resolution: exactly, and in any order alike."""


@dataclass(frozen=True)
class Reliability:
    """Pixels by confidence, in M bins of equal width; bin m holds confidences in (m / M, (m + 1) / M].

    Args:
        pixels: Number of pixels, int64 of shape (M,).
        correct: How many of them are predicted correctly.
        confidence: Sum of their confidences, float64.
    """

    pixels: Tensor
    correct: Tensor
    confidence: Tensor

    @property
    def expected_error(self) -> float:
        """Expected calibration error (eq. 3) as a fraction: Σ |correct - confidence| / all pixels."""
        return ((self.correct - self.confidence).abs().sum() / self.pixels.sum()).item()

    def rows(self) -> list[dict[str, float | int]]:
        """Lower and upper confidence, pixels, mean confidence and accuracy of each bin, in percent."""
        edges = torch.linspace(0, 100, len(self.pixels) + 1, dtype=torch.float64).tolist()
        means = (100 * self.confidence / self.pixels).tolist()
        accuracies = (100 * self.correct / self.pixels).tolist()
        return [
            dict(lower=lower, upper=upper, pixels=pixels, confidence=confidence, accuracy=accuracy)
            for lower, upper, pixels, confidence, accuracy in zip(
                edges[:-1], edges[1:], self.pixels.tolist(), means, accuracies, strict=True
            )
        ]


def count_by_confidence(
    confidence: Tensor, pred: Tensor, gt: Tensor, num_bins: int, ignore_index: int = 255
) -> Tensor:
    """Count the pixels of an image by their confidence, without waiting for the device.

    Args:
        confidence: Probability of the predicted class, (H, W) in [0, 1].
        pred: Predicted classes (H, W).
        gt: Labels (H, W).
        num_bins: Number of bins M.
        ignore_index: Label of pixels that do not count.

    Returns:
        int64 of shape (M + 1, 3): pixels, correct ones and the sum of confidences times :data:`FIXED_POINT`.
        The last row holds the ignored pixels.
    """
    edges = torch.linspace(0, 1, num_bins + 1, device=confidence.device)[1:]
    index = torch.bucketize(confidence.float(), edges).clamp_(max=num_bins - 1)
    index = index.masked_fill(gt == ignore_index, num_bins)
    fixed = (confidence.double() * FIXED_POINT).round().long()
    values = torch.stack([torch.ones_like(fixed), (pred == gt).long(), fixed], dim=-1).view(-1, 3)
    counts = torch.zeros(num_bins + 1, 3, dtype=torch.int64, device=confidence.device)
    return counts.index_add_(0, index.flatten(), values)


@METRICS.register_module()
class CalibrationMetric(BaseMetric):
    """Expected calibration error over all labelled pixels of a data set, accumulated where the predictions
    are.

    Each data sample is a dict with ``pred``, ``gt`` and ``confidence``, all (H, W), and ``img_path``.

    Args:
        num_bins: Number of bins of equal width.
        ignore_index: Label of pixels that do not count.
        collect_device: See mmengine; counts are summed whatever it is.
        prefix: Put before the name of the score.

    Attributes:
        reliability: Of the last evaluation; None before.

    Raises:
        ConfigError: There is no bin.
    """

    default_prefix = ""

    def __init__(
        self,
        num_bins: int = 15,
        ignore_index: int = 255,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if num_bins < 1:
            raise ConfigError(f"CalibrationMetric: num_bins={num_bins}; expected at least 1")
        self.num_bins = num_bins
        self.ignore_index = ignore_index
        self.reliability: Reliability | None = None
        self._reset()

    def _reset(self) -> None:
        self._images = 0
        self._counts = torch.zeros(self.num_bins + 1, 3, dtype=torch.int64)
        self._last_image = self._counts

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch.

        Raises:
            DataError: An image has no label.
            ConfigError: The network gives no confidence.
        """
        for sample in data_samples:
            if "confidence" not in sample:
                raise ConfigError(
                    "CalibrationMetric: predictions have no confidence; set model.test_cfg.confidence=True"
                )
            pred, gt = sample["pred"], sample.get("gt")
            if gt is None or gt.shape != pred.shape:
                found = "no label" if gt is None else f"a label of size {tuple(gt.shape)}"
                raise DataError(
                    f"{sample['img_path']}: {found} for a prediction of size {tuple(pred.shape)}; "
                    "calibration needs labels of the same size"
                )
            gt = gt.to(pred.device, non_blocking=True)
            self._last_image = count_by_confidence(
                sample["confidence"], pred, gt, self.num_bins, self.ignore_index
            )
            self._counts = self._counts.to(pred.device, non_blocking=True) + self._last_image
            self._images += 1

    def evaluate(self, size: int) -> dict[str, float]:
        """The error in percent, summed over all processes, as ``ECE``; all processes return the same.

        Args:
            size: Number of images of the data set; see :meth:`IoUMetric.evaluate`.
        """
        counts = self._counts.clone()
        if is_last_repeated(self._images, size):
            counts -= self._last_image
        dist.all_reduce(counts)
        self._reset()
        metrics = self._compute(counts)
        return {f"{self.prefix}/{key}": value for key, value in metrics.items()} if self.prefix else metrics

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The error of the images processed so far by this process, in percent.

        Args:
            results: Not used: the counts are all that is kept.
        """
        return self._compute(self._counts)

    def _compute(self, counts: Tensor) -> dict[str, float]:
        pixels, correct, confidence = counts[: self.num_bins].cpu().unbind(dim=1)
        self.reliability = Reliability(pixels, correct, confidence.double() / FIXED_POINT)
        return {"ECE": round(100 * self.reliability.expected_error, 2)}
