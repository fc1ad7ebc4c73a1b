"""Values of training steps in the log, and the end of a run whose losses or gradients are not finite."""

import math
from dataclasses import dataclass

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict

from mmseg.engine.environment import peak_memory
from mmseg.errors import TrainingError
from mmseg.models.uda.uda_decorator import UDADecorator
from mmseg.registry import HOOKS

NORM = "grad_norm"
MANY = 20  # steps without an end: fp16 needs a few to find its scale


def summary_of(metrics: dict | None) -> dict:
    """The scores without those of single classes, whose names hold a dot."""
    return {name: value for name, value in (metrics or {}).items() if "." not in name}


def file_names(data_batch: dict | None) -> list[str]:
    """The images of a batch, source and target."""
    batch = data_batch or {}
    metas = [*batch.get("img_metas", []), *batch.get("target_img_metas", [])]
    return [meta["img_path"] for meta in metas]


def not_finite(place: str, files: list[str]) -> TrainingError:
    """About a step whose loss or gradient is not a number or infinite."""
    return TrainingError(
        f"{place}; the batch was {', '.join(files) or 'unknown'}. Nothing of this step is stored, the "
        "checkpoint before is not affected. Lower the learning rate, use bf16 instead of fp16, limit the "
        "gradients (optim_wrapper.clip_grad=dict(max_norm=1.0)) or leave such steps out "
        "(optim_wrapper.skip_nonfinite=True), then continue with --resume"
    )


def named_wrappers(optim_wrapper) -> dict[str, OptimWrapper]:
    """Prefix of the names in the log -> optimizer wrapper."""
    if isinstance(optim_wrapper, OptimWrapperDict):
        return {f"{name}.": wrapper for name, wrapper in optim_wrapper.items()}
    return {"": optim_wrapper}


@HOOKS.register_module()
class BufferedRuntimeInfoHook(RuntimeInfoHook):
    """mmengine's :class:`RuntimeInfoHook` without its device synchronisation in every iteration.

    Scalars of a step stay on the device and are read together when a log line is due. Before each checkpoint
    and evaluation every process looks at them for itself: all see the same norm of the gradients
    (:attr:`~mmseg.engine.SegmentationOptimWrapper.grad_norm`), so all stop together.
    """

    def __init__(self) -> None:
        self._pending: list[StepRecord] = []
        self._interval = 1
        self._left_out = self._in_a_row = 0

    def before_train(self, runner) -> None:
        super().before_train(runner)
        self._pending = []
        self._interval = next((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), 50)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        scalars = {k: v for k, v in (outputs or {}).items() if isinstance(v, torch.Tensor) and v.numel() == 1}
        for prefix, wrapper in named_wrappers(runner.optim_wrapper).items():
            if (norm := getattr(wrapper, "grad_norm", None)) is not None:
                scalars[f"{prefix}{NORM}"] = norm
        self._pending.append(StepRecord(batch_idx + 1, scalars, file_names(data_batch)))
        if (batch_idx + 1) % self._interval == 0 or batch_idx + 1 == runner.max_iters:
            self._flush(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        if get_world_size() == 1:  # else the other processes are not here to average the log values with
            self._flush(runner)
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

    def check_steps(self, runner) -> None:
        """Refuse steps that are not finite, and what the method refuses, before the weights are used.

        Raises:
            TrainingError: Names the loss or the gradient, the iteration and the images; or see
                :meth:`~mmseg.models.uda.UDADecorator.check_values`.
        """
        self._check(runner, self._read())

    def _check(self, runner, values: list[list[float]]) -> None:
        wrappers = named_wrappers(runner.optim_wrapper)
        ending = {f"{p}{NORM}" for p, w in wrappers.items() if not getattr(w, "leaves_out_nonfinite", False)}
        steps_read = list(zip(self._pending, values, strict=False))
        bad = [
            (name, value, step)
            for step, row in steps_read
            for name, value in zip(step.scalars, row, strict=True)
            if not math.isfinite(value) and (".loss" in name or name.endswith(NORM))
        ]
        if any(name in ending for name, _, _ in bad):
            name, value, step = bad[0]
            what = name.replace(NORM, "the norm of the gradients")
            raise not_finite(f"iteration {step.iteration}: {what} is {value}", step.files)
        method = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if isinstance(method, UDADecorator):
            for step, row in steps_read:
                method.check_values(step.iteration, dict(zip(step.scalars, row, strict=True)))

    def _flush(self, runner) -> None:
        """Hand the pending scalars, averaged over the processes, to the log."""
        values = self._read(average=get_world_size() > 1)
        self._check(runner, values)
        for step, row in zip(self._pending, values, strict=False):
            for name, value in zip(step.scalars, row, strict=True):
                runner.message_hub.update_scalar(f"train/{name}", value)
                if name.endswith(NORM):
                    self._in_a_row = 0 if math.isfinite(value) else self._in_a_row + 1
                    self._left_out += self._in_a_row > 0
        if self._left_out:
            runner.message_hub.update_scalar("train/skipped_steps", self._left_out)
        if self._in_a_row >= MANY:
            runner.logger.warning(f"the last {self._in_a_row} steps were left out: they were not finite")
        self._pending = []
        if not torch.cuda.is_available():  # with a GPU mmengine logs its peak memory
            runner.message_hub.update_scalar("train/memory", peak_memory())


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
