"""Accuracy of a training batch."""

import torch
from torch import Tensor

from mmseg.labels import IGNORE_INDEX


@torch.no_grad()
def pixel_accuracy(logits: Tensor, label: Tensor) -> Tensor:
    """Share of pixels whose highest score is at their label.

    Pixels without a class count as wrong: the published training logs divide by all pixels.

    Args:
        logits: (B, C, H, W).
        label: (B, H, W) int64, or soft labels (B, C, H, W), whose largest entry counts.

    Returns:
        Percent, shape ().
    """
    if label.is_floating_point():
        label = label.argmax(dim=1).where(label.amax(dim=1) > 0, IGNORE_INDEX)
    return (logits.argmax(dim=1) == label).float().mean() * 100
