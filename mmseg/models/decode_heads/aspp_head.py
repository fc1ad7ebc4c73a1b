"""The decoder of DeepLabV3.

Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", arXiv:1706.05587, 2017, section
3.3.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mmseg.models.decode_heads.aspp import DilatedConvs
from mmseg.models.decode_heads.base_decode_head import BaseDecodeHead
from mmseg.models.decode_heads.pyramid_pooling import PooledConv
from mmseg.registry import MODELS


@MODELS.register_module()
class ASPPHead(BaseDecodeHead):
    """Mean over the image and parallel dilated convolutions, merged by a 3×3 convolution.

    Args:
        dilations: One branch each; dilation 1 is a 1×1 convolution.
        with_cp: See :class:`~mmseg.models.decode_heads.aspp.DilatedConvs`.
        kwargs: Arguments of :class:`BaseDecodeHead`.
    """

    sep = False
    """Depthwise-separable instead of ordinary dilated convolutions."""

    def __init__(
        self, dilations: Sequence[int] = (1, 6, 12, 18), with_cp: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        in_channels = self.channels_of_one_level()
        self.image_pool = PooledConv(in_channels, self.channels, 1, **self.block)
        self.aspp_modules = DilatedConvs(
            in_channels, self.channels, self.sep, dilations, with_cp, **self.block
        )
        self.bottleneck = self.conv_block((len(dilations) + 1) * self.channels, 3)

    def context(self, features: Sequence[Tensor]) -> Tensor:
        """The merged branches (B, channels, h, w)."""
        (level,) = self.select(features)
        return self.bottleneck(self.aspp_modules(level, self.image_pool))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Takes the level (B, in_channels, h, w) to logits (B, num_classes, h, w)."""
        return self.classify(self.context(features))
