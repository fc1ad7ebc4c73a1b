"""Bilinear resizing of images, feature maps and logits."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def resize(image: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """(B, C, h, w) to (B, C, *size); what has that size already is returned as it is.

    Args:
        image: The input.
        size: (H, W).
        align_corners: The centres of the corner pixels stay where they are, not the edges of the image.
    """
    if tuple(image.shape[2:]) == tuple(size):
        return image
    return F.interpolate(image, tuple(size), mode="bilinear", align_corners=align_corners)
