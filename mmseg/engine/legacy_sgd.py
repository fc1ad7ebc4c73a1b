"""SGD with the arithmetic of early PyTorch."""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import SGD

from mmseg.registry import OPTIMIZERS


@OPTIMIZERS.register_module()
class LegacySGD(SGD):
    """SGD as in PyTorch 0.2 to 1.x, with which AdaptSegNet, ADVENT, CLAN and FDA were trained.

    It adds the weight decay into the stored gradient. That makes a difference only for parameters that are
    listed several times (``published_duplicate_parameters``): with k occurrences the decay of a step is
    1 + 2 + … + k times, and the momentum buffer, which the occurrences share from the first step on, is fed k
    times. The encoder so learns at about k times the stated rate.

    Args:
        decay_in_gradient: Whether the decay is added into the stored gradient, as until 1.0; otherwise each
            of k occurrences decays once, as in FDA's runs.
        params, lr, momentum, weight_decay: As in :class:`torch.optim.SGD`; its other options did not exist or
            were not used.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        decay_in_gradient: bool = True,
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay, foreach=False)
        self.decay_in_gradient = decay_in_gradient

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every occurrence of every parameter, in the order of the groups."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient = parameter.grad if self.decay_in_gradient else parameter.grad.clone()
                direction = gradient.add_(parameter, alpha=group["weight_decay"])
                if group["momentum"]:
                    state = self.state[parameter]
                    if state.get("momentum_buffer") is None:
                        state["momentum_buffer"] = torch.zeros_like(parameter)
                    direction = state["momentum_buffer"].mul_(group["momentum"]).add_(direction)
                parameter.add_(direction, alpha=-group["lr"])
        return loss
