"""Parts that stay in float32 whatever the precision of a forward pass."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Switch autocast off; nothing to do on devices that have none, such as ``meta``."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def full_precision(values: Tensor) -> Tensor:
    """In float32 what a forward pass left in half precision; float64 stays float64."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
