"""Convolution and batch norm as one convolution, where only predictions are asked for."""

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


class FoldedConvModule(ConvModule):
    """``ConvModule`` whose convolution takes over the batch norm in eval mode without gradients.

    The weights are scaled for each call, and the module stays as it is: it can be trained on, and used by
    several threads (with mmcv's ``efficient_conv_bn_eval`` it cannot).
    """

    def forward(self, x: Tensor, activate: bool = True, norm: bool = True) -> Tensor:
        """(B, C_in, H, W) to (B, C, H, W)."""
        if not norm or self.norm.training or torch.is_grad_enabled():
            return super().forward(x, activate, norm)
        conv, bn = self.conv, self.norm
        statistics = bn.running_mean, bn.running_var, bn.eps
        weight, bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics, bn.weight, bn.bias)
        x = conv._conv_forward(x, weight, bias)
        return self.activate(x) if activate and self.with_activation else x


def fold_batch_norms(head: nn.Module) -> None:
    """Make the modules of a head with a batch norm behind a convolution :class:`FoldedConvModule`."""
    for module in head.modules():
        if (
            type(module) is ConvModule
            and isinstance(module.norm, nn.modules.batchnorm._BatchNorm)
            and module.norm.track_running_stats
            and module.order == ("conv", "norm", "act")
            and not module.with_explicit_padding
            and not module.with_spectral_norm
        ):
            module.__class__ = FoldedConvModule
