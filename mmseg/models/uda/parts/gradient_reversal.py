"""Gradient reversal (Ganin and Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", ICML 2015)."""

from typing import Any

import torch
from torch import Tensor


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return -ctx.factor * gradients[0], None


def reverse_gradient(x: Tensor, factor: float = 1.0) -> Tensor:
    """The same values; gradients are multiplied by ``-factor`` on their way back.

    What comes behind (a discriminator) so minimises a loss that what lies before (an encoder) maximises, both
    in one backward pass and with one optimizer.
    """
    return _Reversal.apply(x, factor)
