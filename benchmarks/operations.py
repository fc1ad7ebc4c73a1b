"""What a step asks of the machine, counted instead of timed."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from mmseg.models.layers.depthwise_conv import ShiftedSumConv2d

READ = "aten::_local_scalar_dense"


@dataclass
class Operations:
    """Of one step.

    Attributes:
        flops: Of matrix products, convolutions and attention.
        kernels: ATen operations that compute; what only looks at memory in another shape is not counted. A
            dilated depthwise convolution counts as one, as on a GPU, also where the host makes it of several.
        host_reads: Scalars that the host reads (``.item()`` and the like), without those of the optimizer,
            whose counters lie on the host. On a CPU they include numbers that the host draws for itself.
        host_copies: Tensors that are copied from the device to the host.
        backward_passes: Calls of the autograd engine.
        encoder_passes: Forward passes of encoders of all networks.
        encoded_images: Images in those.
        optimizer_groups: Parameter groups.
        optimizer_tensors: Parameters in those.
    """

    flops: int = 0
    kernels: int = 0
    host_reads: int = 0
    host_copies: int = 0
    backward_passes: int = 0
    encoder_passes: int = 0
    encoded_images: int = 0
    optimizer_groups: int = 0
    optimizer_tensors: int = 0

    def as_dict(self) -> dict[str, int]:
        """The attributes by name."""
        return asdict(self)


class KernelCounter(TorchDispatchMode):
    """Counts the ATen operations that are not views, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if not is_view(func):
            self.counts[func._schema.name] += 1
        return func(*args, **(kwargs or {}))


def is_view(func: Any) -> bool:
    """Whether an operation only returns another view of its argument."""
    results = func._schema.returns
    return any(result.alias_info is not None and not result.alias_info.is_write for result in results)


@contextmanager
def counted(method: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Operations]:
    """Count what happens inside.

    Args:
        method: Holds the networks ``model``, ``ema_model`` and ``imnet_model``.
        optimizer: Whose groups are counted.
    """
    operations, backward = Operations(), torch.autograd.backward
    counter, flops = KernelCounter(), FlopCounterMode(display=False, custom_mapping=FLOPS)

    def encoder(module: nn.Module, inputs: tuple) -> None:
        operations.encoder_passes += 1
        operations.encoded_images += len(inputs[0])

    def counted_backward(*args: Any, **kwargs: Any) -> None:
        operations.backward_passes += 1
        backward(*args, **kwargs)

    def counted_cpu(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        operations.host_copies += 1
        return cpu(tensor, *args, **kwargs)

    def reads() -> int:
        return counter.counts[READ]

    def before_step(*_: Any) -> None:
        operations.host_reads += reads()

    def after_step(*_: Any) -> None:
        operations.host_reads -= reads()

    cpu = torch.Tensor.cpu
    with ExitStack() as stack:
        for network in ("model", "ema_model", "imnet_model"):
            first = method.get_submodule(f"{network}.backbone.patch_embed1.proj")
            stack.callback(first.register_forward_pre_hook(encoder).remove)
        stack.callback(optimizer.register_step_pre_hook(before_step).remove)
        stack.callback(optimizer.register_step_post_hook(after_step).remove)
        stack.enter_context(mock.patch("torch.autograd.backward", counted_backward))
        stack.enter_context(mock.patch("torch.Tensor.cpu", counted_cpu))
        stack.enter_context(mock.patch.object(ShiftedSumConv2d, "_conv_forward", nn.Conv2d._conv_forward))
        stack.enter_context(flops)
        stack.enter_context(counter)
        yield operations
    operations.flops = flops.get_total_flops()
    operations.kernels = counter.counts.total()
    operations.host_reads += reads()
    operations.optimizer_groups = len(optimizer.param_groups)
    operations.optimizer_tensors = sum(len(group["params"]) for group in optimizer.param_groups)


def _attention_flops(query, key, value, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward_flops(gradient, query, key, value, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


def _convolution_backward_flops(gradient, input, weight, *rest: Any, out_shape: Any = None) -> int:
    wanted = rest[-1]  # gradients of input, weight, bias
    return 2 * math.prod(gradient) * math.prod(weight[1:]) * (wanted[0] + wanted[1])


aten = torch.ops.aten
FLOPS = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flops,
    aten.convolution_backward: _convolution_backward_flops,
}
"""Where torch's counter knows nothing (fused attention on the host) or takes grouped convolutions for dense
ones (their backward pass); functions of the shapes of the arguments."""
