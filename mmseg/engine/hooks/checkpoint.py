"""When checkpoints are written and which are kept."""

import json
import math
from pathlib import Path

from mmengine.dist import is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmseg.checkpoints.atomic import replacing, write_text
from mmseg.checkpoints.files import POINTER, iteration_of, numbered_checkpoints
from mmseg.engine.distributed import average_buffers
from mmseg.errors import CheckpointError
from mmseg.registry import HOOKS

BEST = "best_checkpoint"  # no suffix: a run folder holds one config, and that may be JSON


@HOOKS.register_module()
class SafeCheckpointHook(Hook):
    """Write ``iter_N.pth`` every ``interval`` iterations and ``best_<score>_iter_N.pth`` after evaluations.

    An older checkpoint is removed only after a newer one is whole on the disk. When writing fails (a full
    disk), training goes on with the older one and tries again at the next interval; only a failure after the
    last iteration is an error.

    Args:
        interval: Iterations between checkpoints.
        max_keep_ckpts: How many to keep, -1 = all; with two there is one to fall back to when the newest is
            damaged.
        save_last: Write one after the last iteration, too.
        save_best: Score whose best checkpoint (weights alone) is kept; None = none.
        rule: ``'greater'`` or ``'less'`` is better.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        interval: int = 4000,
        max_keep_ckpts: int = 2,
        save_last: bool = True,
        save_best: str | None = "mIoU",
        rule: str = "greater",
    ) -> None:
        self.interval = interval
        self.max_keep_ckpts = max_keep_ckpts
        self.save_last = save_last
        self.save_best = save_best
        self.sign = {"greater": 1, "less": -1}[rule]
        self.best: tuple[float, str] | None = None
        self.saved = 0

    def before_train(self, runner) -> None:
        """Continue with the best score of the run that is resumed."""
        self.saved = runner.iter or -1  # also at the start of a run there is something to store
        if is_main_process():
            for unfinished in Path(runner.work_dir).glob(".*.pth*.tmp"):  # of a killed process
                unfinished.unlink()
        file = Path(runner.work_dir) / BEST
        if runner.iter > 0 and file.is_file():
            content = json.loads(file.read_text())
            if (file.parent / content["file"]).is_file() and content["iteration"] <= runner.iter:
                self.best = content["score"], content["file"]

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        finished = batch_idx + 1
        last = finished == runner.max_iters
        if finished % self.interval == 0 or (last and self.save_last):
            self.save(runner, finished, required=last)

    def save(self, runner, finished: int, required: bool = False) -> None:
        """Check the steps and :meth:`write` the checkpoint; all processes call it together.

        Raises:
            CheckpointError: It cannot be written, and it is ``required``.
            TrainingError: A step since the last check was not finite.
        """
        average_buffers(runner.model)
        runner.call_hook("check_steps")
        self.write(runner, finished, required)

    @master_only
    def write(self, runner, finished: int, required: bool = False) -> None:
        """Write the checkpoint of ``finished`` iterations, unless there is one; remove the outdated ones."""
        if finished <= self.saved:
            return
        work_dir = Path(runner.work_dir)
        name = f"iter_{finished}.pth"
        runner.logger.info(f"Saving checkpoint at {finished} iterations")
        meta = dict(_meta(runner), iter=finished, processes=runner.world_size)
        try:
            with replacing(work_dir / name) as temporary:
                runner.save_checkpoint(runner.work_dir, temporary.name, meta=meta, by_epoch=False)
            write_text(work_dir / POINTER, str(work_dir / name))
        except OSError as error:
            message = f"{work_dir / name}: the checkpoint cannot be written ({error}); "
            if required:
                before = f"iteration {self.saved}" if self.saved >= 0 else "none"
                raise CheckpointError(
                    message + f"free some space and continue with --resume (last checkpoint: {before})"
                ) from error
            runner.logger.error(message + f"training goes on, next try in {self.interval} iterations")
            return
        self.saved = finished
        older = [path for path in numbered_checkpoints(work_dir) if iteration_of(path) < finished]
        for path in older[self.max_keep_ckpts - 1 :] if self.max_keep_ckpts > 0 else []:
            path.unlink(missing_ok=True)

    @master_only
    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        score = (metrics or {}).get(self.save_best or "")
        if score is None or not math.isfinite(score) or runner.iter == 0:
            return
        if self.best is not None and self.sign * score <= self.sign * self.best[0]:
            return
        work_dir, previous = Path(runner.work_dir), self.best
        name = f"best_{self.save_best}_iter_{runner.iter}.pth"
        try:
            with replacing(work_dir / name) as temporary:
                runner.save_checkpoint(
                    runner.work_dir, temporary.name, meta=dict(_meta(runner), iter=runner.iter),
                    by_epoch=False, save_optimizer=False, save_param_scheduler=False,
                )  # fmt: skip
            entry = dict(score=float(score), file=name, iteration=runner.iter)
            write_text(work_dir / BEST, json.dumps(entry))
        except OSError as error:
            runner.logger.error(f"{work_dir / name}: the best checkpoint cannot be written ({error})")
            return
        self.best = float(score), name
        if previous is not None and previous[1] != name:
            (work_dir / previous[1]).unlink(missing_ok=True)
        runner.logger.info(f"Best {self.save_best} so far: {score:.2f}, saved as {name}")


def _meta(runner) -> dict:
    """What every checkpoint says beside the weights: how the images were normalised that they expect."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    statistics = getattr(getattr(model, "data_preprocessor", None), "statistics", None)
    return dict(epoch=runner.epoch, **({"normalization": statistics} if statistics else {}))
