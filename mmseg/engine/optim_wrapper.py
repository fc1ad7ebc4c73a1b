"""One optimizer step: precision, accumulation over iterations, averaging over processes, clipping."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from mmengine.dist import all_reduce_params, get_world_size
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.optim import Optimizer

from mmseg.errors import ConfigError
from mmseg.registry import OPTIM_WRAPPERS

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@OPTIM_WRAPPERS.register_module()
class SegmentationOptimWrapper(OptimWrapper):
    """Drives an optimizer for methods with one or with several backward passes per iteration.

    An iteration is :meth:`begin_iteration`, any number of :meth:`backward`, :meth:`end_iteration`. The
    gradients of all of them are averaged over the processes once, right before the optimizer steps; no
    wrapper around the network is needed.

    Gradients of a step whose loss or gradients are not finite never reach the weights, and where such steps
    are left out, neither do the statistics of norms that saw its images. The device alone knows of it: the
    host reads :attr:`grad_norm` later, together with the losses
    (:class:`~mmseg.engine.BufferedRuntimeInfoHook`), and then ends the run.

    Args:
        optimizer: The optimizer.
        precision: ``'fp32'``, ``'bf16'`` or ``'fp16'`` (with dynamic loss scaling; needs a GPU) for the
            forward passes; weights, losses and optimizer stay in float32.
        accumulative_counts: Iterations whose mean gradient makes one step.
        clip_grad: ``dict(max_norm=…)``: limit of the gradients' norm.
        skip_nonfinite: Leave out steps that are not finite and go on; costs a copy of weights and state with
            an optimizer that is not ``fused``. ``'fp16'`` always leaves them out.
        published_zero_gradients: Clear gradients to 0 instead of removing them, as PyTorch did before 2.0:
            what had a gradient once goes on moving by momentum and weight decay in steps that give it none.

    Attributes:
        statistics: Buffers that forward passes change, as the running statistics of batch norms; put back
            when a step is left out.
        grad_norm: Norm of the gradients of all processes before clipping, a scalar on the device; not finite
            also when a loss is not; the largest of several steps. None in an iteration without a step.

    Raises:
        ConfigError: The precision is unknown or not supported by the device, or ``clip_grad`` has no limit.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        precision: str = "fp32",
        accumulative_counts: int = 1,
        clip_grad: dict | None = None,
        skip_nonfinite: bool = False,
        published_zero_gradients: bool = False,
    ) -> None:
        if precision not in PRECISIONS:
            raise ConfigError(
                f"optim_wrapper: precision={precision!r} is unknown; expected one of {', '.join(PRECISIONS)}"
            )
        self.device_type = optimizer.param_groups[0]["params"][0].device.type
        if precision == "fp16" and self.device_type == "cpu":
            raise ConfigError("optim_wrapper: precision='fp16' needs a GPU; take 'bf16' on a CPU")
        if clip_grad and "max_norm" not in clip_grad:
            raise ConfigError(f"optim_wrapper: clip_grad={clip_grad!r}; expected dict(max_norm=1.0)")
        super().__init__(optimizer, accumulative_counts, dict(clip_grad) if clip_grad else None)
        self.dtype = PRECISIONS[precision]
        self.scaler = torch.amp.GradScaler(self.device_type) if precision == "fp16" else None
        self.leaves_out_nonfinite = skip_nonfinite or self.scaler is not None
        self.published_zero_gradients = published_zero_gradients
        self.grad_norm: Tensor | None = None
        self.statistics: list[Tensor] = []
        self._statistics_before: list[Tensor] = []

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run a forward pass in the chosen precision."""
        if self.leaves_out_nonfinite and not self._statistics_before:  # the first one since the last step
            self._statistics_before = [buffer.clone() for buffer in self.statistics]
        with nullcontext() if self.dtype is None else torch.autocast(self.device_type, self.dtype):
            yield

    def begin_iteration(self) -> int | None:
        """Clear the gradients, unless those of the iterations before are still to be used.

        Returns:
            How many steps have been made when a new one begins, otherwise None.
        """
        self.grad_norm = None
        steps, accumulated = divmod(self._inner_count, self._accumulative_counts)
        if accumulated:
            return None
        self._clear()
        return steps

    def _clear(self) -> None:
        """Start again without gradients."""
        self.optimizer.zero_grad(set_to_none=not self.published_zero_gradients)
        self._loss = torch.zeros(1, device=self.optimizer.param_groups[0]["params"][0].device)
        self._trained = False

    def backward(self, loss: Tensor, **kwargs) -> None:
        """Add the gradients of a loss."""
        loss = loss / self._accumulative_counts
        self._loss += loss.detach()
        self._trained = True
        (loss if self.scaler is None else self.scaler.scale(loss)).backward(**kwargs)

    def end_iteration(self) -> bool:
        """Step when enough iterations have been accumulated.

        Returns:
            Whether this iteration was the last one of a step.
        """
        self._inner_count += 1
        due = self._inner_count % self._accumulative_counts == 0
        if due:
            self.step()
            self._statistics_before = []
        return due

    def step_within_iteration(self, when: Tensor | None = None) -> None:
        """Step before the end of the iteration, if it is the last one of a step, and clear the gradients.

        Args:
            when: Shape (), bool, the same in all processes: whether the step is taken. The device alone needs
                to know. None = it is.
        """
        if (self._inner_count + 1) % self._accumulative_counts == 0:
            self.step(when)
            self._clear()

    def update_params(self, loss: Tensor, step_kwargs=None, zero_kwargs=None) -> None:
        """A whole iteration of one loss; what segmentors without adaptation call."""
        self.begin_iteration()
        self.backward(loss)
        self.end_iteration()

    def step(self, when: Tensor | None = None, **kwargs) -> None:
        """Average over the processes, clip, and change the weights if loss and gradients are finite.

        Without gradients nothing happens.

        Args:
            when: See :meth:`step_within_iteration`; the gradients of a step that is not taken count nowhere.
            kwargs: Of the optimizer.
        """
        parameters = list(
            {
                parameter: None  # once, also where a group lists it several times
                for group in self.optimizer.param_groups
                for parameter in group["params"]
                if parameter.grad is not None
            }
        )
        if not parameters or (self.published_zero_gradients and not self._trained):
            return
        gradients = [parameter.grad for parameter in parameters]
        if get_world_size() > 1:
            all_reduce_params([*gradients, self._loss], op="mean")
        if self.scaler is not None:
            gradients[0] += 0 * self._loss.sum()  # the scaler leaves out what has no finite gradient
            self.scaler.unscale_(self.optimizer)
        clip = self.clip_grad_kwargs or {}
        norm = torch.nn.utils.get_total_norm(gradients, clip.get("norm_type", 2.0))
        checked = norm + 0 * self._loss.sum()  # 0 * inf is not a number
        if when is not None:
            checked = torch.where(when, checked, torch.zeros_like(checked))
        self.grad_norm = checked if self.grad_norm is None else torch.maximum(self.grad_norm, checked)
        if clip:
            torch.nn.utils.clip_grads_with_norm_(parameters, clip["max_norm"], norm)
        for buffer, before in zip(self.statistics, self._statistics_before, strict=False):
            buffer.copy_(torch.where(torch.isfinite(checked), buffer, before))
        finite = torch.isfinite(checked)
        self._step_if(finite if when is None else finite & when, when is not None, gradients, **kwargs)
        if self.scaler is not None:
            self.scaler.update()

    def _step_if(self, taken: Tensor, without_trace: bool, gradients: list[Tensor], **kwargs) -> None:
        """Step unless a flag forbids it, which the device alone reads.

        Args:
            taken: Shape (), bool.
            without_trace: Whether a step that is not taken leaves weights and state as they are also where
                steps that are not finite end the run.
            gradients: Of the step.
            kwargs: Of the optimizer.
        """
        if all(group.get("fused") and not group.get("dampening") for group in self.optimizer.param_groups):
            start_momentum(self.optimizer)
            self.optimizer.found_inf = (~taken).float()
            self.optimizer.step(**kwargs)
            del self.optimizer.found_inf
        elif without_trace or self.leaves_out_nonfinite:
            parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
            before = [parameter.detach().clone() for parameter in parameters]
            states = {p: {k: v.clone() for k, v in tensors(state).items()}
                      for p, state in self.optimizer.state.items()}  # fmt: skip
            self.optimizer.step(**kwargs)
            with torch.no_grad():
                for parameter, value in zip(parameters, before, strict=True):
                    parameter.copy_(torch.where(taken, parameter, value))
            for parameter, state in self.optimizer.state.items():
                for name, value in tensors(state).items():
                    old = states.get(parameter, {}).get(
                        name, torch.zeros_like(value)
                    )  # none yet: it begins at 0
                    value.copy_(torch.where(taken.to(value.device), value, old))
        else:  # the run is going to end: the weights only have to stay finite
            for gradient in gradients:
                gradient.masked_fill_(~taken, 0.0)
            self.optimizer.step(**kwargs)

    def state_dict(self) -> dict:
        """Of the optimizer, the position within an accumulation, and the loss scale."""
        state = super().state_dict()
        if self.scaler is not None:
            state["loss_scaler"] = self.scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        """Restore what :meth:`state_dict` gave."""
        state_dict = dict(state_dict)
        scale = state_dict.pop("loss_scaler", None)
        if self.scaler is not None and scale:
            self.scaler.load_state_dict(scale)
        super().load_state_dict(state_dict)


def tensors(state: dict) -> dict[str, Tensor]:
    """What an optimizer keeps of a parameter in tensors."""
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def start_momentum(optimizer: Optimizer) -> None:
    """Give SGD the momentum 0 for parameters that take their first step.

    The step is the same (without dampening). SGD would take over the first gradient instead, and in its fused
    form leave the momentum undefined if that step is not taken.
    """
    if not isinstance(optimizer, torch.optim.SGD):
        return
    for group in optimizer.param_groups:
        for parameter in group["params"] if group["momentum"] else ():
            if parameter.grad is not None and optimizer.state[parameter].get("momentum_buffer") is None:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
