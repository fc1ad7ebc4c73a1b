"""Accuracy of a training batch."""

import torch
from torch import Tensor


@torch.no_grad()
def pixel_accuracy(logits: Tensor, label: Tensor) -> Tensor:
    """Share of pixels whose highest score is at their label.

    Pixels without a class count as wrong: the published training logs divide by all pixels.

    Args:
        logits: (B, C, H, W).
        label: (B, H, W) int64.

    Returns:
        Percent, shape ().
    """
    return (logits.argmax(dim=1) == label).float().mean() * 100
