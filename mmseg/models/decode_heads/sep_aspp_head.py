"""The decoder of DeepLabV3+.

Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", ECCV 2018,
section 3.1.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.models.decode_heads.aspp_head import ASPPHead
from mmseg.models.layers.channels import filled
from mmseg.models.layers.conv import SeparableConv
from mmseg.models.layers.resize import resize
from mmseg.registry import MODELS


@MODELS.register_module()
class DepthwiseSeparableASPPHead(ASPPHead):
    """Separable pyramid on the input level, upsampled and refined with the encoder's first level.

    Args:
        c1_in_channels: Channels of the first level; 0 leaves it out; as ``in_channels``.
        c1_channels: To which it is reduced by a 1×1 convolution.
        kwargs: Arguments of :class:`ASPPHead`.
    """

    sep = True

    def __init__(self, c1_in_channels: int, c1_channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.c1_bottleneck = self.conv_block(c1_in_channels, 1, c1_channels) if c1_in_channels else None
        widths = [self.channels + (c1_channels if c1_in_channels else 0), self.channels]
        self.sep_bottleneck = nn.Sequential(
            *(SeparableConv(width, self.channels, **self.block) for width in widths)
        )

    @classmethod
    def with_channels(cls, head: dict[str, Any], channels: Sequence[int]) -> dict[str, Any]:
        head = super().with_channels(head, channels)
        return head if head.get("c1_in_channels") == 0 else filled(head, "c1_in_channels", 0, channels)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Levels to logits (B, num_classes, h, w) at the stride of the first level."""
        context = self.context(features)
        if self.c1_bottleneck is not None:
            detail = self.c1_bottleneck(features[0])
            context = torch.cat([resize(context, detail.shape[2:]), detail], dim=1)
        return self.classify(self.sep_bottleneck(context))
