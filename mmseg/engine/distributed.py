"""What several processes of one run have to have in common, and which signals reach which of them."""

import os
import signal
import threading
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.distributed as dist
from mmengine.dist import all_reduce_params, broadcast, get_world_size
from torch import nn


def shelter_worker(number: int, initialise: Callable[[int], None] | None = None) -> None:
    """Start a data worker so that a signal to the whole process group stops the trainer alone.

    Ctrl-C, Slurm and torchrun signal every process. A worker that dies of it would break the step that the
    trainer is finishing. Only the trainer's own SIGTERM ends it (Linux; elsewhere anybody's does).

    Args:
        number: Counts the workers.
        initialise: What else the worker starts with.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # a handler would not learn who has sent the signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_exit_when_parent_asks, daemon=True).start()
    if initialise is not None:
        initialise(number)


def _exit_when_parent_asks() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        continue
    os._exit(0)


def broadcast_state(model: nn.Module) -> None:
    """Give all processes the parameters and buffers of the first."""
    for tensor in (*model.parameters(), *model.buffers()):
        broadcast(tensor.data, src=0)


def average_buffers(model: nn.Module) -> None:
    """Average the running statistics of batch normalisation, which every process collects on its own data.

    All processes have to call it together, right before the model is tested or stored.
    """
    if get_world_size() > 1:
        all_reduce_params([buffer for buffer in model.buffers() if buffer.is_floating_point()], op="mean")


def in_any_process(flag: bool) -> bool:
    """Whether a flag is set in any process; all of them have to ask together.

    The hosts exchange it among themselves: no GPU has to finish its work for that.
    """
    if get_world_size() == 1:
        return flag
    value = torch.tensor(int(flag))
    dist.all_reduce(value, op=dist.ReduceOp.MAX, group=_group_of_hosts(dist.group.WORLD))
    return bool(value)


@lru_cache(maxsize=1)
def _group_of_hosts(world: dist.ProcessGroup) -> dist.ProcessGroup:
    return world if dist.get_backend(world) == "gloo" else dist.new_group(backend="gloo")
