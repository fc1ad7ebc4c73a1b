"""Bilinear resizing of images, feature maps and logits."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def resize(image: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, h, w) to (B, C, *size); what has that size already is returned as it is.

    Args:
        image: The input.
        size: (H, W).
    """
    if tuple(image.shape[2:]) == tuple(size):
        return image
    return F.interpolate(image, tuple(size), mode="bilinear", align_corners=False)
