"""Encoders as CUDA graphs: their kernels are launched together instead of one by one.

An encoder's pass is the part of a step whose shapes and operations are the same in every iteration; what is
drawn, mixed and decoded around it changes. One graph is captured for each size of images and mode.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

WARM_UP = 3
"""Passes before a capture, as torch asks for: workspaces and libraries are set up in them."""
Pass = Callable[[Tensor], list[Tensor]]


def encoders(method: nn.Module) -> Iterator[nn.Module]:
    """Those of all segmentors in a method."""
    parts = (getattr(part, "backbone", None) for part in method.modules())
    return (part for part in parts if isinstance(part, nn.Module))


def graph_encoders(method: nn.Module) -> None:
    """Have the encoders captured when they see a size for the first time; graphs from before are dropped."""
    for encoder in encoders(method):
        encoder.forward = GraphedForward(encoder)


def plain_encoders(method: nn.Module) -> None:
    """Undo :func:`graph_encoders`."""
    for encoder in encoders(method):
        encoder.__dict__.pop("forward", None)


def keep_gradients(optimizer: torch.optim.Optimizer) -> None:
    """Keep gradients in their memory from step to step.

    The first gradient of a parameter would otherwise be the memory of a graph, which the next one overwrites.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    clear = optimizer.zero_grad
    optimizer.zero_grad = lambda set_to_none=True: clear(set_to_none=False)


class Plain(nn.Module):
    """An encoder's own forward pass, as a module of its own for torch to capture.

    Args:
        encoder: The network.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> list[Tensor]:
        """The levels of (B, 3, H, W)."""
        return type(self.encoder).forward(self.encoder, image)


class GraphedForward:
    """Stands for the forward pass of an encoder.

    The levels it returns are overwritten by its next call with images of that size: back-propagate before.

    Args:
        encoder: The network; MiT, whose pass has no branch that depends on values.
    """

    def __init__(self, encoder: nn.Module) -> None:
        self.encoder = encoder
        self.captured: dict[Any, Pass] = {}

    def __call__(self, image: Tensor) -> list[Tensor]:
        """The levels of (B, 3, H, W)."""
        with_gradients = torch.is_grad_enabled()
        key = (image.shape, image.dtype, with_gradients, self.encoder.training)
        if key not in self.captured:
            capture = capture_training if with_gradients else capture_prediction
            with without_cache(image.device.type):
                self.captured[key] = capture(Plain(self.encoder), image.clone())
        return self.captured[key](image)


def capture_training(plain: Plain, held: Tensor) -> Pass:
    """Forward and backward pass of images of one size."""
    return torch.cuda.make_graphed_callables(plain, (held,), WARM_UP)


def capture_prediction(plain: Plain, held: Tensor) -> Pass:
    """Forward pass without gradients."""
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            plain(held)
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph):
        levels = plain(held)

    def replay(image: Tensor) -> list[Tensor]:
        held.copy_(image)
        graph.replay()
        return levels

    return replay


def without_cache(device: str) -> AbstractContextManager:
    """Autocast as it is set, but without its cache of weights, which lies outside of a graph."""
    if not torch.is_autocast_enabled(device):
        return nullcontext()
    return torch.autocast(device, torch.get_autocast_dtype(device), cache_enabled=False)
