"""Losses of segmentation networks and of adaptation."""

from mmseg.models.losses.accuracy import pixel_accuracy
from mmseg.models.losses.cross_entropy_loss import CrossEntropyLoss

__all__ = ["CrossEntropyLoss", "pixel_accuracy"]
