"""Values of training steps in the log, and the check that losses are finite."""

import math
import resource
from dataclasses import dataclass

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.optim import OptimWrapperDict

from mmseg.errors import TrainingError
from mmseg.registry import HOOKS


def summary_of(metrics: dict | None) -> dict:
    """The scores without those of single classes, whose names hold a dot."""
    return {name: value for name, value in (metrics or {}).items() if "." not in name}


def file_names(data_batch: dict | None) -> list[str]:
    """The images of a batch, source and target."""
    batch = data_batch or {}
    metas = [*batch.get("img_metas", []), *batch.get("target_img_metas", [])]
    return [meta["img_path"] for meta in metas]


def not_finite(name: str, value: float, step: "StepRecord") -> str:
    """Message about a loss that is not a number or infinite."""
    return (
        f"iteration {step.iteration}: {name} is {value}; the batch was {', '.join(step.files) or 'unknown'}. "
        "The checkpoint before is not affected. Lower the learning rate, use bf16 instead of fp16, limit the "
        "gradients (optim_wrapper.clip_grad=dict(max_norm=1.0)) or leave such steps out "
        "(optim_wrapper.skip_nonfinite=True), then continue with --resume"
    )


def skips_steps(optim_wrapper) -> bool:
    """Whether steps that are not finite are left out instead of ending the run."""
    wrappers = optim_wrapper.values() if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]
    return all(getattr(wrapper, "skip_nonfinite", False) for wrapper in wrappers)


@HOOKS.register_module()
class BufferedRuntimeInfoHook(RuntimeInfoHook):
    """mmengine's :class:`RuntimeInfoHook` without its device synchronisation in every iteration.

    Scalars of a step stay on the device and are read together when a log line is due.
    """

    def __init__(self) -> None:
        self._pending: list[StepRecord] = []
        self._interval = 1

    def before_train(self, runner) -> None:
        super().before_train(runner)
        self._pending = []
        self._interval = next((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), 50)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        scalars = {k: v for k, v in (outputs or {}).items() if isinstance(v, torch.Tensor) and v.numel() == 1}
        self._pending.append(StepRecord(batch_idx + 1, scalars, file_names(data_batch)))
        if (batch_idx + 1) % self._interval == 0 or batch_idx + 1 == runner.max_iters:
            self._flush(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        if get_world_size() == 1:
            self._flush(runner)
        else:  # the other processes are not here to average the log values with
            self._check(runner, self._read())
        checkpoint["message_hub"] = runner.message_hub.state_dict()

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        super().after_val_epoch(runner, summary_of(metrics))

    def after_test_epoch(self, runner, metrics: dict | None = None) -> None:
        super().after_test_epoch(runner, summary_of(metrics))

    def _read(self, average: bool = False) -> list[list[float]]:
        """The pending scalars of each step, in one transfer."""
        values = [value.reshape(()).float() for step in self._pending for value in step.scalars.values()]
        if not values:
            return []
        stacked = torch.stack(values)
        if average:
            all_reduce(stacked, op="mean")
        numbers = iter(stacked.tolist())
        return [[next(numbers) for _ in step.scalars] for step in self._pending]

    def _check(self, runner, values: list[list[float]]) -> None:
        """Refuse losses that are not finite.

        Raises:
            TrainingError: Names the loss, the iteration and the images.
        """
        if skips_steps(runner.optim_wrapper):
            return
        for step, row in zip(self._pending, values, strict=False):
            for name, value in zip(step.scalars, row, strict=True):
                if ".loss" in name and not math.isfinite(value):
                    raise TrainingError(not_finite(name, value, step))

    def _flush(self, runner) -> None:
        """Hand the pending scalars, averaged over the processes, to the log."""
        values = self._read(average=get_world_size() > 1)
        self._check(runner, values)
        for step, row in zip(self._pending, values, strict=False):
            for name, value in zip(step.scalars, row, strict=True):
                runner.message_hub.update_scalar(f"train/{name}", value)
        self._pending = []
        if not torch.cuda.is_available():  # with a GPU mmengine logs its peak memory
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            runner.message_hub.update_scalar("train/memory", peak)  # MB


@dataclass(frozen=True)
class StepRecord:
    """What is kept of a step until its scalars are read.

    Attributes:
        iteration: Counted from 1.
        scalars: On the device.
        files: Names of the images of the batch.
    """

    iteration: int
    scalars: dict[str, torch.Tensor]
    files: list[str]
