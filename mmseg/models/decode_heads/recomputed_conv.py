"""Depthwise-separable convolution whose wide maps are not kept for the backward pass.

Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174, 2016, section 3.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from mmcv.cnn import DepthwiseSeparableConvModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class RecomputedSeparableConv(DepthwiseSeparableConvModule):
    """``DepthwiseSeparableConvModule`` that makes its wide maps again in the backward pass.

    In front of the 1×1 convolution there are two maps of all input channels, before and after the norm. They
    are the largest of a decoder, and cost little to make.
    """

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, in_channels, h, w) to (B, out_channels, h, w)."""
        if not (self.training and torch.is_grad_enabled()):
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
        """Surroundings of the first and of the second computation."""
        return nullcontext(), buffers_kept(self.depthwise_conv)


@contextmanager
def buffers_kept(module: nn.Module) -> Iterator[None]:
    """Let copies of the buffers change: batch statistics count a batch once, though it comes twice."""
    buffers = [
        (part, name, buffer)
        for part in module.modules()
        for name, buffer in part.named_buffers(recurse=False)
    ]
    for part, name, buffer in buffers:
        setattr(part, name, buffer.clone())
    try:
        yield
    finally:
        for part, name, buffer in buffers:
            setattr(part, name, buffer)
