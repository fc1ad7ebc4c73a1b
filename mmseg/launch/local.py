"""Runs side by side on this machine, each on GPUs or CPU cores of its own."""

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from mmseg.errors import CheckpointError, ConfigError, DataError, MMSegError, Preempted
from mmseg.launch.process import Job, Stop, train_in_a_process


class TrainingFailed(MMSegError):
    """A run ended with an error, or could not start for that of another one."""


class TrainedElsewhere(MMSegError):
    """Another launcher was faster."""


# ---------------------------------------------------------------------------------------------------- slots


def visible_gpus() -> list[str]:
    """What to write to CUDA_VISIBLE_DEVICES, one entry for each GPU that this process may use."""
    import torch  # takes seconds; most launchers need not ask

    count = torch.cuda.device_count()
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return [str(index) for index in range(count)]
    return [name.strip() for name in listed.split(",") if name.strip()][:count]


def slots(max_parallel: int | None, gpus_per_run: int | None, default: int = 1) -> list[dict[str, str]]:
    """The environment of each of the runs that are trained at the same time.

    With GPUs, each slot has ``gpus_per_run`` of them (default: 1). Without, the slots share the CPU cores. A
    single slot without the wish of the user has what this process has: one process uses the first GPU.

    Args:
        max_parallel: Number of slots; None = ``default``, or what the GPUs suffice for if that is less.
        gpus_per_run: GPUs of each slot.
        default: Number of slots without the wish of the user.

    Raises:
        ConfigError: There are not as many GPUs.
    """
    if max_parallel is None and gpus_per_run is None and default == 1:
        return [{}]
    gpus = visible_gpus()
    if gpus_per_run and not gpus:
        raise ConfigError(
            f"--gpus {gpus_per_run}: found no GPU on this machine; leave it out to train on the CPU"
        )
    environments: list[dict[str, str]] = []
    if gpus:
        each = gpus_per_run or 1
        room = len(gpus) // each
        number = max_parallel or max(1, min(default, room))
        if number > room:
            raise ConfigError(
                f"--max-parallel {number} with {each} GPU(s) per run: found {len(gpus)} GPU(s), enough for "
                f"{room} run(s) at a time; lower --max-parallel or --gpus"
            )
        groups = [gpus[index * each : (index + 1) * each] for index in range(number)]
        environments = [{"CUDA_VISIBLE_DEVICES": ",".join(group)} for group in groups]
    else:
        number = max_parallel or default
        environments = [{} for _ in range(number)]
    if number > 1 and "OMP_NUM_THREADS" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        for environment in environments:
            environment["OMP_NUM_THREADS"] = str(max(1, cores // number))
    return environments


# --------------------------------------------------------------------------------------------------- launcher


def train_all(
    starts: Mapping[str, str | None],
    prepare: Callable[[str, Path | None], Job],
    finished: Mapping[str, Path],
    environments: Sequence[Mapping[str, str]],
    done: Callable[[str, Path], None] = lambda name, folder: None,
) -> tuple[dict[str, Path], dict[str, str]]:
    """Train runs in the given order, as many at a time as there are environments.

    A failing run does not stop the others. An interrupt, SIGTERM or SIGUSR1 stops all of them: those that are
    on their way write a checkpoint first; a second one ends them at once.

    Args:
        starts: Names of the runs, with the name of the earlier run whose weights each starts from, if any.
        prepare: Writes the config of a run when its turn comes, from its name and the folder of the run that
            it starts from.
        finished: Folders of runs that were trained before, by name.
        environments: See :func:`slots`; each run gets one that is free, in turn.
        done: Called with name and folder of each run as soon as it is trained, never twice at a time.

    Returns:
        By name, the folders of the trained runs and what made the others fail.

    Raises:
        ConfigError: An option does not fit; no further run is started.
        Preempted: By SIGTERM or SIGUSR1.
    """
    free: queue.SimpleQueue[Mapping[str, str]] = queue.SimpleQueue()
    for environment in environments:
        free.put(environment)
    stop, quiet = Stop(), len(environments) > 1
    # CPython 3.11 counts the nesting of syntax trees for all threads together and refuses what two of them
    # compile side by side
    preparing = threading.Lock()
    trained: dict[str, Path] = {}
    failures: dict[str, str] = {}
    futures: dict[str, Future[Path]] = {}

    def train(name: str) -> Path:
        if stop.ask.is_set():
            raise TrainingFailed("not started")
        earlier = starts[name]
        source = _start_folder(earlier, futures, finished) if earlier else None
        environment = free.get()
        try:
            with preparing:
                job = prepare(name, source)
            print(f"Run job {name}", flush=True)
            if error := train_in_a_process(job, environment, quiet, stop):
                raise TrainingFailed(error)
            if quiet:
                print(f"Finished {name}", flush=True)
            with preparing:
                done(name, job.work_dir)
            return job.work_dir
        finally:
            free.put(environment)

    pool = ThreadPoolExecutor(len(environments))
    with _signals_as_exceptions():
        try:
            futures.update((name, pool.submit(train, name)) for name in starts)
            for name, future in futures.items():
                try:
                    trained[name] = future.result()
                except (TrainingFailed, CheckpointError, DataError) as error:
                    failures[name] = str(error)
                except TrainedElsewhere as error:
                    print(f"Skip {name}: {error}", flush=True)
        except BaseException as error:
            stop.ask.set()
            if isinstance(error, KeyboardInterrupt | Preempted):
                print("Stopping; the runs write a checkpoint first (again: at once)", file=sys.stderr)
            try:
                pool.shutdown(wait=True, cancel_futures=True)
            except BaseException:
                stop.kill.set()
            raise
        finally:
            pool.shutdown(wait=True)
    return trained, failures


def _start_folder(name: str, futures: Mapping[str, Future[Path]], finished: Mapping[str, Path]) -> Path:
    """The folder of a run whose weights another one starts from, once it is trained."""
    if name in futures:
        try:
            return futures[name].result()
        except TrainingFailed as reason:
            raise TrainingFailed("the run whose weights it starts from failed") from reason
        except TrainedElsewhere as reason:
            raise TrainedElsewhere(f"the run whose weights it starts from is {reason}") from reason
    if name not in finished:
        raise TrainingFailed(f"the run whose weights it starts from, {name}, is not finished")
    return finished[name]


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """A scheduler's SIGTERM or SIGUSR1 ends the launcher like an interrupt, with exit status 75."""

    def stopped(number: int, frame: object) -> None:
        raise Preempted(
            f"{signal.Signals(number).name}: stopped; the same command continues the interrupted runs"
        )

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stopped) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
