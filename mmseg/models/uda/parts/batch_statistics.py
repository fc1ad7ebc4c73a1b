"""Running statistics of norms in passes that may not count."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def kept_unless(count: Tensor, network: nn.Module) -> Iterator[None]:
    """What forward passes inside change in the buffers of a network is undone on leaving, unless they count.

    Args:
        count: Shape (), bool, on the device of the network; the host does not read it.
        network: Whose buffers are meant.
    """
    buffers = list(network.buffers())
    before = [buffer.clone() for buffer in buffers]
    yield
    for buffer, value in zip(buffers, before, strict=True):
        buffer.copy_(torch.where(count, buffer, value))
