"""Losses of segmentation networks and of adaptation."""

from mmseg.models.losses.accuracy import pixel_accuracy
from mmseg.models.losses.adversarial_loss import GAN_LOSSES, adversarial_loss
from mmseg.models.losses.cross_entropy_loss import CrossEntropyLoss, is_labelled
from mmseg.models.losses.focal_loss import FocalLoss

__all__ = [
    "GAN_LOSSES",
    "CrossEntropyLoss",
    "FocalLoss",
    "adversarial_loss",
    "is_labelled",
    "pixel_accuracy",
]
