"""The decoder of PSPNet (Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmseg.models.decode_heads.base_decode_head import BaseDecodeHead
from mmseg.models.decode_heads.pyramid_pooling import PyramidPooling
from mmseg.registry import MODELS


@MODELS.register_module()
class PSPHead(BaseDecodeHead):
    """Pyramid pooling, merged with its input by a 3×3 convolution.

    Args:
        pool_scales: Rows and columns of each grid over which is averaged.
        kwargs: Arguments of :class:`BaseDecodeHead`.
    """

    def __init__(self, pool_scales: Sequence[int] = (1, 2, 3, 6), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        in_channels = self.channels_of_one_level()
        self.psp_modules = PyramidPooling(in_channels, self.channels, pool_scales, **self.block)
        self.bottleneck = self.conv_block(in_channels + len(pool_scales) * self.channels, 3)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Takes the level (B, in_channels, h, w) to logits (B, num_classes, h, w)."""
        (level,) = self.select(features)
        return self.classify(self.bottleneck(torch.cat([level, *self.psp_modules(level)], dim=1)))
