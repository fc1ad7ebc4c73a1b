"""Metrics and result formats."""

from mmseg.evaluation.calibration import CalibrationMetric
from mmseg.evaluation.counting_metric import CountingMetric, label_of
from mmseg.evaluation.iou_metric import IoUMetric

__all__ = ["CalibrationMetric", "CountingMetric", "IoUMetric", "label_of"]
