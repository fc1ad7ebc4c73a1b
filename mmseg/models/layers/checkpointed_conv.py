"""Depthwise-separable convolution whose wide maps are not kept for the backward pass.

Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174, 2016, section 3.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from mmcv.cnn import DepthwiseSeparableConvModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class CheckpointedSeparableConv(DepthwiseSeparableConvModule):
    """``DepthwiseSeparableConvModule`` that makes its wide maps again in the backward pass.

    In front of the 1×1 convolution there are two maps of all input channels, before and after the norm. They
    are the largest of a decoder, and cost little to make. Gradients and statistics are the same bit by bit.
    Between forward and backward pass weights and mode have to stay as they are, and threads cannot share the
    module in training. Where it is compiled it keeps its maps.
    """

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, in_channels, h, w) to (B, out_channels, h, w)."""
        if not (self.training and torch.is_grad_enabled()) or torch.compiler.is_compiling():
            return super().forward(feature_map)
        result = checkpoint(
            self.convolve,
            feature_map,
            use_reentrant=False,
            preserve_rng_state=False,
            context_fn=self.contexts,
        )
        if self.pointwise_conv.with_norm:
            result = self.pointwise_conv.norm(result)
        return self.pointwise_conv.activate(result) if self.pointwise_conv.with_activation else result

    def convolve(self, feature_map: Tensor) -> Tensor:
        """Depthwise convolution with norm and activation, then the 1×1 convolution alone.

        The second time it ends in front of the 1×1 convolution, whose result the backward pass does not need.
        """
        return self.pointwise_conv.conv(self.depthwise_conv(feature_map))

    def contexts(self) -> tuple[AbstractContextManager, AbstractContextManager]:
        """Surroundings of the first and of every further computation."""
        return nullcontext(), BuffersKept(self.depthwise_conv)


class BuffersKept(AbstractContextManager):
    """Runs a module on copies of its buffers, so that batch norms count a batch once that comes twice.

    It can be entered again, for one backward pass after another.

    Args:
        module: Has its own buffers back afterwards.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __enter__(self) -> None:
        self.buffers = [
            (part, name, buffer)
            for part in self.module.modules()
            for name, buffer in part.named_buffers(recurse=False)
        ]
        for part, name, buffer in self.buffers:
            setattr(part, name, buffer.clone())

    def __exit__(self, *_: Any) -> None:
        for part, name, buffer in self.buffers:
            setattr(part, name, buffer)
