"""The blocks of convolution, norm and activation that decode heads are made of."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils.checkpoint import checkpoint

from mmseg.models.layers.depthwise_conv import ShiftedSumConv2d
from mmseg.models.layers.resize import resize

RELU = dict(type="ReLU")


class ConvBlock(ConvModule):
    """Convolution that keeps the size of its map, then norm and activation.

    In eval mode without gradients the convolution takes over the batch norm, which saves a pass over the map.
    The weights are scaled for each call, and the module stays as it is: it can be trained on, and used by
    several threads (with mmcv's ``efficient_conv_bn_eval`` it cannot).

    Args:
        in_channels: Input channels.
        channels: Output channels.
        kernel_size: Odd.
        dilation: Of the convolution.
        groups: Of the convolution.
        conv_cfg: Type of the convolution; by default PyTorch's.
        norm_cfg: Normalisation; None gives a convolution with bias instead.
        act_cfg: Activation, or None.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel_size: int = 1,
        dilation: int = 1,
        groups: int = 1,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = RELU,
    ) -> None:
        super().__init__(
            in_channels,
            channels,
            kernel_size,
            padding=kernel_size // 2 * dilation,
            dilation=dilation,
            groups=groups,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, in_channels, h, w) to (B, channels, h, w)."""
        conv, norm = self.conv, self.norm
        predicts = isinstance(norm, _BatchNorm) and not norm.training and not torch.is_grad_enabled()
        if not predicts or norm.running_mean is None:
            return self.finish(conv(feature_map))
        statistics = norm.running_mean, norm.running_var, norm.eps
        weight, bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics, norm.weight, norm.bias)
        folded = conv._conv_forward(feature_map, weight, bias)
        return self.activate(folded) if self.with_activation else folded

    def finish(self, convolved: Tensor) -> Tensor:
        """Norm and activation of the convolution's result (B, channels, h, w)."""
        normalised = self.norm(convolved) if self.with_norm else convolved
        return self.activate(normalised) if self.with_activation else normalised


class SeparableConv(nn.Module):
    """Depthwise convolution, then a 1×1 convolution, each with norm and activation.

    Args:
        in_channels: Input channels.
        channels: Output channels.
        kernel_size: Of the depthwise convolution.
        dilation: Of the depthwise convolution.
        with_cp: Make the wide maps in front of the 1×1 convolution again in the backward pass instead of
            keeping them (Chen et al., arXiv:1604.06174, section 3): they are the largest of a decoder, and
            cost little to make. Gradients and statistics are the same bit by bit. Between forward and
            backward pass weights and mode have to stay as they are, and threads cannot share the module in
            training. Where it is compiled it keeps its maps.
        block: ``norm_cfg`` and ``act_cfg`` of both.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel_size: int = 3,
        dilation: int = 1,
        with_cp: bool = False,
        **block: Any,
    ) -> None:
        super().__init__()
        depthwise: dict[str, Any] = dict(groups=in_channels, conv_cfg=dict(type=ShiftedSumConv2d))
        self.depthwise_conv = ConvBlock(in_channels, in_channels, kernel_size, dilation, **depthwise, **block)
        self.pointwise_conv = ConvBlock(in_channels, channels, **block)
        self.with_cp = with_cp

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, in_channels, h, w) to (B, channels, h, w)."""
        trains = self.training and torch.is_grad_enabled()
        if not (self.with_cp and trains) or torch.compiler.is_compiling():
            return self.pointwise_conv(self.depthwise_conv(feature_map))
        convolved = checkpoint(
            self._convolve,
            feature_map,
            use_reentrant=False,
            preserve_rng_state=False,
            context_fn=lambda: (nullcontext(), BuffersKept(self.depthwise_conv.norm)),
        )
        return self.pointwise_conv.finish(convolved)

    def _convolve(self, feature_map: Tensor) -> Tensor:
        """The second time this ends in front of the 1×1 convolution, as no gradient needs its result."""
        return self.pointwise_conv.conv(self.depthwise_conv(feature_map))


class BuffersKept(AbstractContextManager):
    """A norm counts on copies of its buffers inside, so that a batch which comes twice is counted once.

    It can be entered again, for one backward pass after another.

    Args:
        norm: Has its own buffers back afterwards; None = there is nothing to count.
    """

    def __init__(self, norm: nn.Module | None) -> None:
        self.norm = norm

    def __enter__(self) -> None:
        self.buffers = {} if self.norm is None else dict(self.norm.named_buffers())
        for name, buffer in self.buffers.items():
            setattr(self.norm, name, buffer.clone())

    def __exit__(self, *_: Any) -> None:
        for name, buffer in self.buffers.items():
            setattr(self.norm, name, buffer)


class FusionConv(ConvBlock):
    """1×1 convolution of maps that are resized to the first one's size and concatenated.

    Resizing treats all channels alike, so it commutes with the convolution: each map meets its part of the
    weights at its own size, and the wide concatenation is never made. One map alone is convolved as usual.
    """

    def forward(self, maps: Tensor | Sequence[Tensor]) -> Tensor:
        """(B, C_i, h_i, w_i) to (B, channels, h_0, w_0)."""
        if isinstance(maps, Tensor):
            return super().forward(maps)
        parts = self.conv.weight.split([feature_map.shape[1] for feature_map in maps], dim=1)
        first, *others = (F.conv2d(x, part) for x, part in zip(maps, parts, strict=True))
        fused = sum((resize(x, first.shape[2:]) for x in others), start=first)
        if self.conv.bias is not None:
            fused = fused + self.conv.bias[:, None, None]
        return self.finish(fused)
