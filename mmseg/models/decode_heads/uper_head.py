"""The decoder of UPerNet.

Xiao et al., "Unified Perceptual Parsing for Scene Understanding", ECCV 2018.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.models.decode_heads.base_decode_head import BaseDecodeHead
from mmseg.models.decode_heads.pyramid_pooling import PyramidPooling
from mmseg.models.layers.resize import resize
from mmseg.registry import MODELS


@MODELS.register_module()
class UPerHead(BaseDecodeHead):
    """Feature pyramid network with pyramid pooling on the last level; all levels are fused at the finest.

    Args:
        pool_scales: Rows and columns of each grid over which the last level is averaged.
        kwargs: Arguments of :class:`BaseDecodeHead`.
    """

    def __init__(self, pool_scales: Sequence[int] = (1, 2, 3, 6), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        *widths, last = self.channels_of_levels()
        self.psp_modules = PyramidPooling(last, self.channels, pool_scales, **self.block)
        self.bottleneck = self.conv_block(last + len(pool_scales) * self.channels, 3)
        self.lateral_convs = nn.ModuleList(self.conv_block(width, 1) for width in widths)
        self.fpn_convs = nn.ModuleList(self.conv_block(self.channels, 3) for _ in widths)
        self.fpn_bottleneck = self.conv_block((len(widths) + 1) * self.channels, 3)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Levels (B, C_i, h_i, w_i) to logits (B, num_classes, h_0, w_0)."""
        *levels, last = self.select(features)
        pyramid = [self.bottleneck(torch.cat([last, *self.psp_modules(last)], dim=1))]
        for lateral_conv, level in zip(reversed(self.lateral_convs), reversed(levels), strict=True):
            pyramid.insert(0, lateral_conv(level) + resize(pyramid[0], level.shape[2:]))
        outputs = [conv(level) for conv, level in zip(self.fpn_convs, pyramid[:-1], strict=True)]
        outputs.append(pyramid[-1])
        size = outputs[0].shape[2:]
        wide = torch.cat([resize(level, size) for level in outputs], dim=1)
        return self.classify(self.fpn_bottleneck(wide))
