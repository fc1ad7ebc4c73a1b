"""Atrous spatial pyramid pooling.

Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", arXiv:1706.05587, 2017.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from torch import Tensor, nn


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
        align_corners: Convention of bilinear resizing, of use with ``pool``.
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
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        block = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.image_pool = (
            nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvModule(in_channels, channels, 1, **block))
            if pool
            else None
        )
        dilated = DepthwiseSeparableConvModule if sep else ConvModule
        self.aspp_modules = nn.ModuleList(
            ConvModule(in_channels, channels, 1, **block)
            if dilation == 1
            else dilated(in_channels, channels, 3, dilation=dilation, padding=dilation, **block)
            for dilation in dilations
        )
        branches = len(dilations) + int(pool)
        self.bottleneck = ConvModule(branches * channels, channels, 3, padding=1, **block)

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, in_channels, h, w) to (B, channels, h, w)."""
        branches = [module(feature_map) for module in self.aspp_modules]
        if self.image_pool is not None:
            size, pooled = feature_map.shape[2:], self.image_pool(feature_map)
            branches.insert(0, F.interpolate(pooled, size, mode="bilinear", align_corners=self.align_corners))
        return self.bottleneck(torch.cat(branches, dim=1))
