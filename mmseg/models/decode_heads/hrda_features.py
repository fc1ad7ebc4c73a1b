"""What the encoder of HRDA hands to its head: features of two scales and where the detail crops lie."""

from dataclasses import dataclass

from torch import Tensor

from mmseg.models.layers.sliding_window import Window


@dataclass(frozen=True)
class HRDAFeatures:
    """Features of the context crop and of detail crops of the same images.

    Attributes:
        context: Levels (B, C_i, h_i, w_i) of the whole input, downscaled by ``context_scale``.
        detail: Levels (N · B, C_i, h_i, w_i) of N detail crops at full resolution, all images of the first
            crop first.
        windows: Where the N detail crops lie in the input, the same for all images of the batch.
        size: (H, W) of the input.
        context_scale: Resolution of the context relative to that of the detail.
        crops_per_pass: How many detail crops may go through the head at once; None = all.
        detail_logits: Logits (N · B, C, h, w) of the detail crops, where they are known already and
            ``detail`` is empty.
    """

    context: list[Tensor]
    detail: list[Tensor]
    windows: list[Window]
    size: tuple[int, int]
    context_scale: float
    crops_per_pass: int | None = None
    detail_logits: Tensor | None = None
