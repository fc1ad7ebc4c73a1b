"""The decoder of ISANet (Huang et al., "Interlaced Sparse Self-Attention", arXiv:1907.12273, 2019)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmseg.models.decode_heads.base_decode_head import BaseDecodeHead
from mmseg.models.decode_heads.isa import SelfAttentionBlock, interlaced_attention
from mmseg.registry import MODELS


@MODELS.register_module()
class ISAHead(BaseDecodeHead):
    """Interlaced sparse attention, merged with its own input by a 1×1 convolution.

    Args:
        isa_channels: Channels of keys and queries.
        down_factor: Height and width of a cell in pixels.
        kwargs: Arguments of :class:`BaseDecodeHead`.
    """

    def __init__(self, isa_channels: int, down_factor: Sequence[int] = (8, 8), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells = (down_factor[0], down_factor[1])
        self.in_conv = self.conv_block(self.channels_of_one_level(), 3)
        self.global_relation = SelfAttentionBlock(self.channels, isa_channels, 2, **self.block)
        self.local_relation = SelfAttentionBlock(self.channels, isa_channels, 2, **self.block)
        self.out_conv = self.conv_block(2 * self.channels, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Takes the level (B, in_channels, h, w) to logits (B, num_classes, h, w)."""
        (level,) = self.select(features)
        projected = self.in_conv(level)
        attended = interlaced_attention(projected, self.cells, self.global_relation, self.local_relation)
        return self.classify(self.out_conv(torch.cat([attended, projected], dim=1)))
