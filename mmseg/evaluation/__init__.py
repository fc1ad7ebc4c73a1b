"""Metrics and result formats."""

from mmseg.evaluation.confusion_matrix import ConfusionMatrix
from mmseg.evaluation.iou_metric import IoUMetric
from mmseg.evaluation.metrics import SegmentationScores, segmentation_scores
from mmseg.evaluation.report import format_scores, log_scores, write_scores

__all__ = [
    "ConfusionMatrix",
    "IoUMetric",
    "SegmentationScores",
    "format_scores",
    "log_scores",
    "segmentation_scores",
    "write_scores",
]
