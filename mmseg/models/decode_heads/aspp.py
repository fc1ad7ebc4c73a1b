"""Atrous spatial pyramid pooling.

Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", arXiv:1706.05587, 2017.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.models.decode_heads.pyramid_pooling import PooledConv
from mmseg.models.layers.conv import ConvBlock, FusionConv, SeparableConv


class DilatedConvs(nn.ModuleList):
    """Parallel convolutions of several dilations.

    Args:
        in_channels: Input channels.
        channels: Channels of each branch.
        sep: Depthwise-separable instead of ordinary dilated convolutions.
        dilations: One branch each; dilation 1 is a 1×1 convolution.
        with_cp: Whether separable convolutions recompute their wide maps, see :class:`SeparableConv`.
        block: ``norm_cfg`` and ``act_cfg`` of each convolution.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        sep: bool,
        dilations: Sequence[int],
        with_cp: bool = True,
        **block: Any,
    ) -> None:
        def branch(dilation: int) -> nn.Module:
            if dilation == 1:
                return FusionConv(in_channels, channels, **block)
            if sep:
                return SeparableConv(in_channels, channels, 3, dilation, with_cp, **block)
            return ConvBlock(in_channels, channels, 3, dilation, **block)

        super().__init__(branch(dilation) for dilation in dilations)

    def forward(
        self, feature_map: Tensor, image_pool: PooledConv | None = None, levels: Sequence[Tensor] = ()
    ) -> Tensor:
        """(B, in_channels, h, w) to all branches side by side, (B, branches · channels, h, w).

        Args:
            feature_map: The input.
            image_pool: A further branch, the first one: the mean over the image.
            levels: What the input was resized and concatenated from, see :class:`FusionConv`.
        """
        maps = [
            branch(levels) if levels and isinstance(branch, FusionConv) else branch(feature_map)
            for branch in self
        ]
        if image_pool is not None:
            maps.insert(0, image_pool(feature_map).expand_as(maps[0]))
        return torch.cat(maps, dim=1)


class ASPPWrapper(nn.Module):
    """Parallel convolutions of several dilations, concatenated and merged by a 3×3 convolution.

    With ``sep`` and dilations 1, 6, 12, 18 without image pool this is the context-aware fusion of DAFormer
    (Hoyer et al., CVPR 2022, section 3.2).

    Args:
        in_channels: Input channels.
        channels: Channels of each branch and of the output.
        sep: Depthwise-separable instead of ordinary dilated convolutions.
        dilations: One branch each; dilation 1 is a 1×1 convolution.
        pool: Add a branch with the mean over the image.
        norm_cfg: Normalisation after each convolution.
        act_cfg: Activation after each convolution.
        with_cp: See :class:`DilatedConvs`.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        sep: bool,
        dilations: Sequence[int],
        pool: bool,
        norm_cfg: dict | None,
        act_cfg: dict | None,
        with_cp: bool = True,
    ) -> None:
        super().__init__()
        block: dict[str, Any] = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.image_pool = PooledConv(in_channels, channels, 1, **block) if pool else None
        self.aspp_modules = DilatedConvs(in_channels, channels, sep, dilations, with_cp, **block)
        self.bottleneck = ConvBlock((len(dilations) + int(pool)) * channels, channels, 3, **block)

    def forward(self, feature_map: Tensor, levels: Sequence[Tensor] = ()) -> Tensor:
        """(B, in_channels, h, w) to (B, channels, h, w); ``levels`` as in :class:`DilatedConvs`."""
        return self.bottleneck(self.aspp_modules(feature_map, self.image_pool, levels))
