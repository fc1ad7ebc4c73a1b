"""Scores of semantic segmentation from a confusion matrix, in float64."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Synthia has no terrain, truck and train; earlier work leaves out three further classes.
NOT_IN_SUBSET: dict[str, frozenset[str]] = {
    "16": frozenset({"terrain", "truck", "train"}),
    "13": frozenset({"terrain", "truck", "train", "wall", "fence", "pole"}),
}

MEAN_SCORES: dict[str, tuple[str, ...]] = {
    "mIoU": ("IoU", "Acc"),
    "mDice": ("Dice", "Acc"),
    "mFscore": ("Fscore", "Precision", "Recall"),
}
"""The scores of each class that belong to a mean that can be asked for."""


@dataclass(frozen=True)
class SegmentationScores:
    """Scores as fractions. A class that occurs neither in labels nor in predictions is NaN, and so is the
    share of its labelled pixels (Acc, Recall) where it is only predicted.

    Args:
        classes: Names of the C classes.
        accuracy: Fraction of the labelled pixels that are predicted correctly (aAcc).
        per_class: float64 values of shape (C,) by score: IoU, Acc, Dice, Fscore, Precision, Recall.
        subsets: Name of a subset to the indices of its classes; each adds a mean IoU over these classes.
        reported: Names of :data:`MEAN_SCORES` to report.
    """

    classes: tuple[str, ...]
    accuracy: float
    per_class: dict[str, Tensor]
    subsets: dict[str, list[int]]
    reported: tuple[str, ...] = ("mIoU",)

    @property
    def reported_per_class(self) -> tuple[str, ...]:
        """Names of the scores to report of each class, each once."""
        return tuple(dict.fromkeys(score for name in self.reported for score in MEAN_SCORES[name]))

    def mean(self, score: str, subset: str | None = None) -> float:
        """Mean over the classes (of a subset) that occur."""
        values = self.per_class[score]
        return (values if subset is None else values[self.subsets[subset]]).nanmean().item()

    def summary(self) -> Iterator[tuple[str, float]]:
        """aAcc, the means of what is reported and the mean IoU of each subset, as fractions."""
        yield "aAcc", self.accuracy
        for score in self.reported_per_class:
            yield f"m{score}", self.mean(score)
        for subset in self.subsets:
            yield f"mIoU{subset}", self.mean("IoU", subset)

    def percent(self, scores: Sequence[str] | None = None) -> dict[str, float]:
        """Summary and values of each class in percent, not rounded: ``mIoU``, …, ``IoU.road``, …

        Args:
            scores: The scores of each class; by default those that are reported.
        """
        result = {name: 100 * value for name, value in self.summary()}
        for score in self.reported_per_class if scores is None else scores:
            values = (100 * self.per_class[score]).tolist()
            result |= {f"{score}.{name}": value for name, value in zip(self.classes, values, strict=True)}
        return result


def segmentation_scores(
    counts: Tensor,
    classes: Sequence[str],
    subsets: Mapping[str, list[int]] | None = None,
    reported: Sequence[str] = ("mIoU",),
) -> SegmentationScores:
    """Compute all scores.

    With I pixels in the intersection, P predicted and L labelled as a class: IoU = I / (P + L - I),
    Acc = Recall = I / L, Precision = I / P and Dice = 2 I / (P + L), which is also the harmonic mean of
    precision and recall, Fscore. 0/0 is NaN, but for the Precision of a class that is labelled and never
    predicted: 0, so that it counts in all means or in none.

    Args:
        counts: Pixels by label (rows) and prediction (columns), shape (C, C) or, with a further column for
            predictions that are no class, (C, C + 1).
        classes: Names of the C classes.
        subsets: See :class:`SegmentationScores`.
        reported: See :class:`SegmentationScores`.
    """
    counts = counts.cpu().double()
    intersection = counts.diagonal()
    labelled = counts.sum(1)
    predicted = counts[:, : len(classes)].sum(0)
    recall = intersection / labelled
    precision = torch.where(labelled > 0, intersection / predicted.clamp(min=1), intersection / predicted)
    dice = 2 * intersection / (labelled + predicted)
    per_class = {
        "IoU": intersection / (labelled + predicted - intersection),
        "Acc": recall,
        "Dice": dice,
        "Fscore": dice,
        "Precision": precision,
        "Recall": recall,
    }
    accuracy = (intersection.sum() / labelled.sum()).item()
    return SegmentationScores(tuple(classes), accuracy, per_class, dict(subsets or {}), tuple(reported))


def class_subset(name: str, classes: Sequence[str]) -> list[int]:
    """Indices of the classes of a subset of :data:`NOT_IN_SUBSET`."""
    return [index for index, cls in enumerate(classes) if cls not in NOT_IN_SUBSET[name]]
