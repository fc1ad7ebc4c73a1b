"""Whether the network is as often right as it is confident.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmseg.errors import ConfigError
from mmseg.evaluation.counting_metric import CountingMetric, label_of
from mmseg.labels import IGNORE_INDEX
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


def count_by_confidence(confidence: Tensor, pred: Tensor, gt: Tensor, num_bins: int) -> Tensor:
    """Count the pixels of an image by their confidence, without waiting for the device.

    Args:
        confidence: Probability of the predicted class, (H, W) in [0, 1].
        pred: Predicted classes (H, W).
        gt: Labels (H, W).
        num_bins: Number of bins M.

    Returns:
        int64 of shape (M + 1, 3): pixels, correct ones and the sum of confidences times :data:`FIXED_POINT`.
        The last row holds the ignored pixels.
    """
    edges = torch.linspace(0, 1, num_bins + 1, device=confidence.device)[1:]
    index = torch.bucketize(confidence.float(), edges).clamp_(max=num_bins - 1)
    index = index.masked_fill(gt == IGNORE_INDEX, num_bins)
    fixed = (confidence.double() * FIXED_POINT).round().long()
    values = torch.stack([torch.ones_like(fixed), (pred == gt).long(), fixed], dim=-1).view(-1, 3)
    counts = torch.zeros(num_bins + 1, 3, dtype=torch.int64, device=confidence.device)
    return counts.index_add_(0, index.flatten(), values)


@METRICS.register_module()
class CalibrationMetric(CountingMetric):
    """Expected calibration error over all labelled pixels of a data set.

    Args:
        num_bins: Number of bins of equal width.

    Attributes:
        reliability: Of the last evaluation; None before.

    Raises:
        ConfigError: There is no bin.
    """

    def __init__(self, num_bins: int = 15) -> None:
        super().__init__()
        if num_bins < 1:
            raise ConfigError(f"CalibrationMetric: num_bins={num_bins}; expected at least 1")
        self.num_bins = num_bins
        self.reliability: Reliability | None = None

    def no_counts(self) -> Tensor:
        return torch.zeros(self.num_bins + 1, 3, dtype=torch.int64)

    def count(self, sample: Mapping[str, Any]) -> Tensor:
        """Pixels of an image by confidence, see :func:`count_by_confidence`.

        Raises:
            DataError: The image has no label, or one of another size.
            ConfigError: The network gives no confidence.
        """
        if "confidence" not in sample:
            raise ConfigError(
                "CalibrationMetric: predictions have no confidence; set model.test_cfg.confidence=True"
            )
        return count_by_confidence(sample["confidence"], sample["pred"], label_of(sample), self.num_bins)

    def compute_metrics(self, results: list[Tensor]) -> dict[str, float]:
        """The error in percent, rounded to two decimals, as ``ECE``; NaN without a labelled pixel.

        Args:
            results: The counts, shape (num_bins + 1, 3).
        """
        pixels, correct, confidence = results[0][: self.num_bins].cpu().unbind(dim=1)
        self.reliability = Reliability(pixels, correct, confidence.double() / FIXED_POINT)
        return {"ECE": round(100 * self.reliability.expected_error, 2)}

    def report(self) -> dict[str, Any]:
        """The error of the last evaluation, not rounded, and the table of bins (``calibration``)."""
        assert self.reliability is not None, "nothing has been evaluated"
        error = 100 * self.reliability.expected_error
        return {"ECE": error, "calibration": {"ECE": error, "bins": self.reliability.rows()}}
