"""Inference in overlapping windows whose logits are averaged."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Window(NamedTuple):
    """Rows ``top``…``bottom`` − 1 and columns ``left``…``right`` − 1 of an image."""

    top: int
    bottom: int
    left: int
    right: int

    def of(self, image: Tensor) -> Tensor:
        """The window of (…, H, W) as a view (…, bottom − top, right − left)."""
        return image[..., self.top : self.bottom, self.left : self.right]

    def shifted(self, top: int, left: int) -> "Window":
        """The same window in an image that begins ``top`` rows and ``left`` columns earlier."""
        return Window(self.top + top, self.bottom + top, self.left + left, self.right + left)

    def cells(self, stride: float) -> "Window":
        """The window in a map whose cells are ``stride`` pixels long, rounded down."""
        return Window(*(int(edge / stride) for edge in self))


def sliding_windows(size: Sequence[int], crop: Sequence[int], stride: Sequence[int]) -> list[Window]:
    """Windows that cover an image row by row.

    All have the same size: a window that would leave the image is shifted back to fit. An image smaller than
    the crop in one axis gets windows of the image's own length there.

    Args:
        size: (H, W) of the image.
        crop: (H, W) of a window.
        stride: Vertical and horizontal step, not above the crop.
    """

    def spans(length: int, span: int, step: int) -> list[tuple[int, int]]:
        count = max(length - span + step - 1, 0) // step + 1
        ends = [min(index * step + span, length) for index in range(count)]
        return [(max(end - span, 0), end) for end in ends]

    rows, columns = (spans(*axis) for axis in zip(size, crop, stride, strict=True))
    return [Window(*row, *column) for row in rows for column in columns]


def slide_inference(
    network: Callable[[Tensor], Tensor],
    image: Tensor,
    crop: Sequence[int],
    stride: Sequence[int],
    windows_per_forward: int | None = 1,
) -> Tensor:
    """Logits of an image as the mean over all windows that see a pixel.

    Args:
        network: Maps (N, 3, h, w) to logits (N, C, h, w).
        image: (B, 3, H, W).
        crop: (H, W) of a window.
        stride: Vertical and horizontal step.
        windows_per_forward: How many windows (of all B images each) go through the network at once; None for
            all.

    Returns:
        (B, C, H, W).
    """
    size = image.shape[2:]
    return average_windows(
        lambda chunk: network(torch.cat([window.of(image) for window in chunk])),
        size,
        sliding_windows(size, crop, stride),
        windows_per_forward,
    )


def average_windows(
    logits_of: Callable[[Sequence[Window]], Tensor],
    size: Sequence[int],
    windows: Sequence[Window],
    windows_per_forward: int | None = 1,
) -> Tensor:
    """Mean of the logits of windows at every pixel; see :func:`slide_inference`.

    Args:
        logits_of: Logits (N · B, C, h, w) of N windows, all images of the first window first.
        size: (H, W) of the result.
        windows: They cover it and have the same size.
        windows_per_forward: How many windows ``logits_of`` gets at once; None for all.

    Returns:
        (B, C, H, W).
    """
    chunk_size = windows_per_forward or len(windows)
    total = count = torch.empty(0)
    for start in range(0, len(windows), chunk_size):
        chunk = windows[start : start + chunk_size]
        logits = logits_of(chunk).unflatten(0, (len(chunk), -1))  # (N, B, C, h, w)
        if start == 0:
            total = logits.new_zeros((*logits.shape[1:3], *size))
            count = logits.new_zeros(tuple(size))
        for window, window_logits in zip(chunk, logits, strict=True):
            window.of(total).add_(window_logits)
            window.of(count).add_(1)
    return total.div_(count)
