"""The training loop, and what happens when something fails between two steps."""

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from traceback import walk_tb

import torch
from mmengine.dist import is_main_process
from mmengine.optim import OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop
from torch import nn

from mmseg.checkpoints.atomic import claim
from mmseg.engine.distributed import average_buffers, in_any_process
from mmseg.engine.hooks.checkpoint import SafeCheckpointHook
from mmseg.errors import CheckpointError, TrainingError
from mmseg.registry import LOOPS

MAX_COMPILED = 64  # versions of a layer: stages, sizes, with and without gradient; torch stops at eight
DEAD_WORKER = re.compile(r"DataLoader worker \(pid.*(killed by signal|exited unexpectedly)")


@LOOPS.register_module()
class SafeTrainLoop(IterBasedTrainLoop):
    """Steps and evaluations until ``max_iters``::

        for t in range(max_iters):
            batch = next(data)
            step(batch)
            if evaluation is due:
                evaluate()

    When loading data or evaluating fails, the steps done so far are saved before the error is raised: both
    happen between two steps, where the state is whole. A step begins when every process has its batch; if one
    cannot load it, all of them end. A resumed run first makes up for an evaluation that was due and did not
    take place.
    """

    def run(self) -> nn.Module:
        """Train; see the class.

        Raises:
            CheckpointError: Another process trains in the folder of the run.
        """
        with alone_in(Path(self.runner.work_dir)), self._compiled(True):
            try:
                return self._run()
            finally:
                self.runner.call_hook("leave_train")

    def _run(self) -> nn.Module:
        wrapper = self.runner.optim_wrapper
        for each in wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]:
            each.initialize_count_status(self.runner.model, self._iter, self._max_iters)
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        self.dataloader_iterator.skip_iter(self._iter)
        self.runner.model.train()
        with explaining_dead_workers():
            if self._iter > 0 and self._evaluation_due() and not self._evaluated():
                self._evaluate()
            while self._iter < self._max_iters and not self.stop_training:
                self.run_iter(self._next_batch())
                self._decide_current_val_interval()
                if self._evaluation_due():
                    self._evaluate()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def _compiled(self, allowed: bool) -> AbstractContextManager:
        """Where layers are compiled, and where not: the images of evaluations may all differ in size."""
        if not self.runner.cfg.get("compile"):
            return nullcontext()  # torch's compiler is not even imported
        if allowed:
            return torch._dynamo.config.patch(recompile_limit=MAX_COMPILED)
        return torch.compiler.set_stance("force_eager")

    def _evaluation_due(self) -> bool:
        due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
        return self.runner.val_loop is not None and self._iter >= self.val_begin and due

    def _evaluated(self) -> bool:
        """Whether the scores in the run folder are those of this iteration."""
        try:
            results = json.loads((Path(self.runner.work_dir) / "results.json").read_text())
        except (OSError, ValueError):
            return False
        return results.get("iteration") == self._iter

    def _evaluate(self) -> None:
        self.runner.call_hook("check_steps")
        average_buffers(self.runner.model)
        try:
            with self._compiled(False):
                self.runner.val_loop.run()
        except Exception:
            for hook in self._checkpoint_hooks():
                hook.write(self.runner, self._iter)
            raise
        self.runner.model.train()

    def _next_batch(self) -> dict:
        """The next batch of this process; all processes raise an error when one cannot load its own."""
        failure: Exception | None = None
        try:
            batch = next(self.dataloader_iterator)
        except Exception as error:
            failure = error
        if not in_any_process(failure is not None):
            return batch
        for hook in self._checkpoint_hooks() if self._iter else []:
            hook.save(self.runner, self._iter)
        in_any_process(False)  # nobody leaves, and has the others killed, while the first process is writing
        raise failure or TrainingError(
            f"another process could not load its data after iteration {self._iter} and says why; remove the "
            "cause, then continue with --resume"
        )

    def _checkpoint_hooks(self) -> list[SafeCheckpointHook]:
        return [hook for hook in self.runner.hooks if isinstance(hook, SafeCheckpointHook)]


@contextmanager
def alone_in(work_dir: Path) -> Iterator[None]:
    """Keep other runs out of a folder.

    Raises:
        CheckpointError: There is one.
    """
    if not is_main_process():
        yield
        return
    with claim(work_dir / ".training") as free:
        if not free:
            raise CheckpointError(
                f"{work_dir}: another process is training in this folder; wait for it, end it, or choose "
                "another --work-dir"
            )
        yield


@contextmanager
def explaining_dead_workers() -> Iterator[None]:
    """Say what to do when a process that loads data was killed.

    torch raises this from a signal handler, so it can hide behind the error of whatever ran at that moment,
    or be lost there; then the connection to the process breaks.
    """
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not DEAD_WORKER.search(str(cause)):
            cause = cause.__cause__ or cause.__context__
        frames = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
        lost = isinstance(error, ConnectionError) and any("torch/utils/data" in name for name in frames)
        if cause is None and not lost:
            raise
        reason = str(cause).splitlines()[0] if cause else "DataLoader worker is gone while it sent a batch."
        raise TrainingError(
            f"a data worker died: {reason} Often memory is short: lower "
            "train_dataloader.num_workers, then continue with --resume"
        ) from error
