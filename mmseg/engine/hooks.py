"""What happens around a training step: random numbers, log values, debug pictures."""

import math
import resource
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import all_reduce, get_rank, get_world_size, master_only
from mmengine.hooks import Hook, LoggerHook, RuntimeInfoHook
from mmengine.optim import OptimWrapperDict

from mmseg.errors import TrainingError
from mmseg.registry import HOOKS
from mmseg.visualization.debug_pictures import draw_step


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
class IterationRandomnessHook(Hook):
    """Make every random number of a step a function of (seed, iteration, rank).

    Drop path, dropout, mixing and augmentation all draw from torch's generators, which are seeded anew before
    each step. A resumed run therefore needs no replay.
    """

    priority = "VERY_HIGH"

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        key = np.random.SeedSequence([runner.seed, runner.iter, get_rank()])
        torch.manual_seed(int(key.generate_state(1, np.uint64)[0] >> np.uint64(1)))


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


@HOOKS.register_module()
class DebugPicturesHook(Hook):
    """Draw what a UDA step saw: images, labels, pseudo-labels, the mixed image, weights, masks.

    Writes ``WORK_DIR/debug/{iteration:06d}_{sample}.png`` in the first iteration and then every ``interval``.

    Args:
        interval: Iterations between pictures.
    """

    priority = "LOW"

    def __init__(self, interval: int = 1000) -> None:
        self.interval = interval

    @master_only
    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        pictures = (outputs or {}).get("pictures")
        if not pictures or batch_idx % self.interval:
            return
        model = getattr(runner.model, "module", runner.model)
        draw_step(
            pictures,
            denormalize=model.data_preprocessor.denormalize,
            palette=runner.train_dataloader.dataset.metainfo["palette"],
            out_dir=Path(runner.work_dir) / "debug",
            prefix=f"{batch_idx + 1:06d}",
        )
