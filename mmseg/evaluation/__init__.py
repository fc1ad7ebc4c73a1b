"""Metrics and result formats."""

from mmseg.evaluation.calibration import CalibrationMetric
from mmseg.evaluation.confusion_matrix import ConfusionMatrix
from mmseg.evaluation.iou_metric import IoUMetric
from mmseg.evaluation.metrics import SegmentationScores, segmentation_scores
from mmseg.evaluation.report import (
    format_scores,
    log_scores,
    write_confusion_matrix,
    write_json,
    write_scores,
)

__all__ = [
    "CalibrationMetric",
    "ConfusionMatrix",
    "IoUMetric",
    "SegmentationScores",
    "format_scores",
    "log_scores",
    "segmentation_scores",
    "write_confusion_matrix",
    "write_json",
    "write_scores",
]
