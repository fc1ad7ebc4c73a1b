"""What happens around a training step: random numbers, log values, debug pictures."""

import resource
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import get_rank, master_only
from mmengine.hooks import Hook, LoggerHook, RuntimeInfoHook

from mmseg.registry import HOOKS
from mmseg.visualization.debug_pictures import draw_step


def summary_of(metrics: dict | None) -> dict:
    """The scores without those of single classes, whose names hold a dot."""
    return {name: value for name, value in (metrics or {}).items() if "." not in name}


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
        self._pending: list[dict[str, torch.Tensor]] = []
        self._interval = 1

    def before_train(self, runner) -> None:
        super().before_train(runner)
        self._pending = []
        self._interval = next((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), 50)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        scalars = {k: v for k, v in (outputs or {}).items() if isinstance(v, torch.Tensor) and v.numel() == 1}
        self._pending.append(scalars)
        if (batch_idx + 1) % self._interval == 0 or batch_idx + 1 == runner.max_iters:
            self._flush(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        self._flush(runner)
        checkpoint["message_hub"] = runner.message_hub.state_dict()

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        super().after_val_epoch(runner, summary_of(metrics))

    def after_test_epoch(self, runner, metrics: dict | None = None) -> None:
        super().after_test_epoch(runner, summary_of(metrics))

    def _flush(self, runner) -> None:
        names = [name for scalars in self._pending for name in scalars]
        values = [value.reshape(()).float() for scalars in self._pending for value in scalars.values()]
        self._pending = []
        if values:
            for name, value in zip(names, torch.stack(values).tolist(), strict=True):
                runner.message_hub.update_scalar(f"train/{name}", value)
        if not torch.cuda.is_available():  # with a GPU mmengine logs its peak memory
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            runner.message_hub.update_scalar("train/memory", peak)  # MB


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
