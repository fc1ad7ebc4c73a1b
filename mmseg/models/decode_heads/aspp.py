"""Atrous spatial pyramid pooling.

Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", arXiv:1706.05587, 2017.
"""

from collections.abc import Callable, Sequence

import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from torch import Tensor, nn

from mmseg.models.decode_heads.pyramid_pooling import PooledConv
from mmseg.models.layers.checkpointed_conv import CheckpointedSeparableConv
from mmseg.models.layers.depthwise_conv import ShiftedSumConv2d

Pointwise = Callable[[ConvModule], Tensor]


def is_pointwise(layer: nn.Module) -> bool:
    """Whether a layer is a 1×1 convolution, with norm and activation or without."""
    return isinstance(layer, ConvModule) and layer.kernel_size == (1, 1)


class DilatedConvs(nn.ModuleList):
    """Parallel convolutions of several dilations.

    Args:
        in_channels: Input channels.
        channels: Channels of each branch.
        sep: Depthwise-separable instead of ordinary dilated convolutions.
        dilations: One branch each; dilation 1 is a 1×1 convolution.
        norm_cfg: Normalisation after each convolution.
        act_cfg: Activation after each convolution.
        with_cp: Let separable convolutions make their wide maps again in the backward pass instead of
            keeping them.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        sep: bool,
        dilations: Sequence[int],
        norm_cfg: dict | None,
        act_cfg: dict | None,
        with_cp: bool = True,
    ) -> None:
        block = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        separable = CheckpointedSeparableConv if with_cp else DepthwiseSeparableConvModule
        dilated = separable if sep else ConvModule
        conv = dict(type=ShiftedSumConv2d)
        super().__init__(
            ConvModule(in_channels, channels, 1, **block)
            if dilation == 1
            else dilated(
                in_channels, channels, 3, dilation=dilation, padding=dilation, conv_cfg=conv, **block
            )
            for dilation in dilations
        )

    def forward(self, feature_map: Tensor, pointwise: Pointwise | None = None) -> list[Tensor]:
        """(B, in_channels, h, w) to one (B, channels, h, w) per dilation.

        Args:
            feature_map: The input.
            pointwise: Computes a 1×1 convolution of the input in another way.
        """
        return [
            pointwise(branch) if pointwise and is_pointwise(branch) else branch(feature_map)
            for branch in self
        ]


def concatenate_context(
    feature_map: Tensor,
    aspp_modules: DilatedConvs,
    image_pool: PooledConv | None,
    pointwise: Pointwise | None = None,
) -> Tensor:
    """Outputs of all branches side by side: the mean over the image, if there is one, then the dilations."""
    maps = aspp_modules(feature_map, pointwise)
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
        block = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.image_pool = PooledConv(in_channels, channels, 1, **block) if pool else None
        self.aspp_modules = DilatedConvs(in_channels, channels, sep, dilations, **block, with_cp=with_cp)
        branches = len(dilations) + int(pool)
        self.bottleneck = ConvModule(branches * channels, channels, 3, padding=1, **block)

    def forward(self, feature_map: Tensor, pointwise: Pointwise | None = None) -> Tensor:
        """(B, in_channels, h, w) to (B, channels, h, w); see :class:`DilatedConvs`."""
        context = concatenate_context(feature_map, self.aspp_modules, self.image_pool, pointwise)
        return self.bottleneck(context)
