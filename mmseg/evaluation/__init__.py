"""Metrics and result formats."""

from mmseg.evaluation.calibration import CalibrationMetric
from mmseg.evaluation.confusion_matrix import count_confusion
from mmseg.evaluation.counting_metric import CountingMetric, label_of
from mmseg.evaluation.iou_metric import IoUMetric
from mmseg.evaluation.metrics import SegmentationScores, segmentation_scores
from mmseg.evaluation.report import (
    format_scores,
    log_scores,
    write_confusion_matrix,
    write_json,
    write_results,
)

__all__ = [
    "CalibrationMetric",
    "CountingMetric",
    "IoUMetric",
    "SegmentationScores",
    "count_confusion",
    "format_scores",
    "label_of",
    "log_scores",
    "segmentation_scores",
    "write_confusion_matrix",
    "write_json",
    "write_results",
]
