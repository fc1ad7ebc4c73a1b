"""Stop in order when the scheduler or the user says so."""

import signal
import sys

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce, barrier, get_world_size, is_main_process
from mmengine.hooks import Hook

from mmseg.engine.distributed import in_any_process
from mmseg.engine.hooks.checkpoint import SafeCheckpointHook
from mmseg.errors import Preempted
from mmseg.registry import HOOKS

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]  # Windows: one


@HOOKS.register_module()
class PreemptionHook(Hook):
    """On SIGTERM or SIGUSR1 finish the step, write a checkpoint, and leave with exit status 75.

    Status 75 (EX_TEMPFAIL) tells a scheduler that the job is worth another try; it then continues with
    ``--resume``. An interrupt (Ctrl-C, SIGINT) does the same, but leaves as interrupts do; a second one ends
    the run at once.

    Args:
        interval: With several processes, iterations between the exchanges by which they agree to stop.
    """

    priority = "LOWEST"  # after the checkpoint hook

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval
        self.received: int | None = None
        self._handlers: dict = {}

    def before_train(self, runner) -> None:
        # an interrupt only if it is neither ignored, as in the background of a shell, nor handled by others
        ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        try:
            for number in [*SIGNALS, signal.SIGINT] if ours else SIGNALS:
                self._handlers[number] = signal.signal(number, self._receive)
        except ValueError:  # not in the main thread: the program around us handles signals
            runner.logger.warning("training outside of the main thread: signals do not stop it in order")

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if self._agreed(batch_idx):
            self._leave(runner, finished=batch_idx + 1)

    def before_val_epoch(self, runner) -> None:
        """Count the batches that every process has; one of them may have an image more."""
        batches = torch.tensor(len(runner.val_dataloader), device=get_device())
        all_reduce(batches, op="min")
        self.common_batches = int(batches)

    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if runner.iter > 0 and batch_idx < self.common_batches and self._agreed(batch_idx):
            self._leave(runner, finished=runner.iter)

    def _receive(self, number: int, frame) -> None:
        if number == signal.SIGINT:
            if self.received == number:
                raise KeyboardInterrupt
            if is_main_process():
                print("Stopping after this step, with a checkpoint (again: at once)", file=sys.stderr)
        self.received = number

    def _agreed(self, batch_idx: int) -> bool:
        """Whether any process was asked to stop; all of them come to the same answer."""
        if get_world_size() > 1 and (batch_idx + 1) % self.interval:
            return False
        return in_any_process(self.received is not None)

    def _leave(self, runner, finished: int) -> None:
        for hook in runner.hooks:
            if isinstance(hook, SafeCheckpointHook):
                hook.save(runner, finished, required=True)
        barrier()  # nobody leaves, and has the others killed, while the first process is writing
        interrupted = self.received == signal.SIGINT
        name = "another process's signal" if self.received is None else signal.Signals(self.received).name
        if interrupted:
            raise KeyboardInterrupt
        raise Preempted(f"{name}: stopped after iteration {finished}; continue with --resume")

    def leave_train(self, runner) -> None:
        """Give the signals back, however the training ends."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
