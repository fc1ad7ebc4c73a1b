"""One run in a process of its own, watched from its start to its end."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import psutil

from mmseg.checkpoints.files import last_written
from mmseg.errors import Preempted
from mmseg.launch.run_folders import ROOT
from mmseg.launch.run_state import (
    ENDED,
    HEARTBEAT_SECONDS,
    STDERR_FILE,
    claim_run,
    write_state,
)

TRAIN = ("-m", "mmseg.commands.train")
ERROR_LINE = re.compile(r"error: |([\w.]+)?(Error|Exception|Interrupt)\b")
FOREIGN_ERROR = re.compile(r"torch\.distributed\.elastic")
"""What torchrun adds to the error of a process."""
PREEMPTED_UNDER_TORCHRUN = re.compile(rf"exitcode\s*: {Preempted.exit_code}\b")
IGNORING_USR1 = ["/bin/sh", "-c", 'trap "" USR1; exec "$@"', "sh"]
"""Programs that handle SIGUSR1 set their own handler; torchrun and a trainer that is still loading would die
of it."""
POLL_SECONDS = 0.2
REMIND_SECONDS = 2.0
COUNT_SECONDS = 2.0


@dataclass(frozen=True)
class Job:
    """A run to be trained.

    Attributes:
        name: Of the run, without date and ID.
        config: Its complete config.
        work_dir: Its folder, as in the config. If it holds a checkpoint, the run continues.
        max_iters: Its length.
        processes: One per GPU; more than one are started by torchrun.
    """

    name: str
    config: Path
    work_dir: Path
    max_iters: int
    processes: int = 1

    def command(self) -> list[str]:
        """The training command."""
        words = [*TRAIN, str(self.config)]
        if last_written(self.work_dir):
            words.append("--resume")
        if self.processes == 1:
            return [sys.executable, *words]
        # standalone: a free port of its own for each run on the machine
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={self.processes}"]
        return [sys.executable, *torchrun, *words, "--launcher", "pytorch"]


@dataclass
class Stop:
    """Asks runs to write a checkpoint and end (``ask``), or ends them (``kill``)."""

    ask: threading.Event = field(default_factory=threading.Event)
    kill: threading.Event = field(default_factory=threading.Event)


def train_in_a_process(
    job: Job,
    environment: Mapping[str, str] | None = None,
    quiet: bool = False,
    stop: Stop | None = None,
    scheduler_job: str = "",
) -> str | None:
    """Train a run in a process of its own, which leaves no memory behind; its state is kept in its folder.

    Args:
        job: What to train.
        environment: What to change in this process's environment.
        quiet: Show warnings and errors only; the log is a file in the run's folder anyway.
        stop: When and how to end before the run is done.
        scheduler_job: The Slurm job that this is a part of.

    Returns:
        None, or the line that says why it ended too early.
    """
    stop = stop or Stop()
    job.work_dir.mkdir(parents=True, exist_ok=True)
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    changed = {**os.environ, **(environment or {}), "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    stderr = job.work_dir / STDERR_FILE
    # a file instead of a pipe: if this process dies, the run goes on and its last words are not lost
    with stderr.open("wb") as sink, stderr.open(encoding="utf-8", errors="replace") as shown:
        process = subprocess.Popen(
            [*IGNORING_USR1, *job.command()], env=changed, stdout=subprocess.DEVNULL if quiet else None,
            stderr=sink, start_new_session=True,
        )  # fmt: skip
        state = claim_run(job.work_dir, job.max_iters, process.pid, scheduler_job)
        before = state.cpu_seconds
        for used in _watch(process, job, stop, shown):
            state = replace(state, cpu_seconds=round(before + used, 1))
            with suppress(OSError):  # the file system is away for a moment; the next sign of life comes soon
                write_state(job.work_dir, state)
    status = process.returncode
    lines = _last_lines(stderr)
    if status and any(PREEMPTED_UNDER_TORCHRUN.search(line) for line in lines):
        status = Preempted.exit_code
    error = "" if status == 0 else error_line(lines) or "no message"
    if status < 0:
        error += f" (killed by signal {-status})"
    write_state(job.work_dir, replace(state, phase=ENDED, exit_status=status, error=error))
    return error or None


def _watch(process: subprocess.Popen, job: Job, stop: Stop, shown: IO[str]) -> Iterator[float]:
    """Until the process ends: show what it says, pass on the wish to stop; regularly and at the end yield the
    processor time in seconds that it and its children have used."""
    trainer = psutil.Process(process.pid)
    reminded = alive = counted = time.monotonic()
    used: dict[int, float] = {}
    asked = killed = False
    while process.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL_SECONDS)
        sys.stderr.write(shown.read())
        now = time.monotonic()
        if now - counted > COUNT_SECONDS:
            counted = now
            used.update(_processor_times(trainer))
        if now - alive > HEARTBEAT_SECONDS:
            alive = now
            yield sum(used.values())
        if stop.kill.is_set() and not killed:
            killed = True
            _send(signal.SIGKILL, [trainer, *trainer.children(recursive=True)])
        # again and again, as a trainer that is still loading does not listen
        elif stop.ask.is_set() and (not asked or now - reminded > REMIND_SECONDS):
            asked, reminded = True, now
            _send(signal.SIGUSR1, [trainer] if job.processes == 1 else trainer.children())
    sys.stderr.write(shown.read())
    yield sum(used.values())


def _processor_times(trainer: psutil.Process) -> dict[int, float]:
    """Seconds on the processor of each process of a run that is alive, by its number."""
    times: dict[int, float] = {}
    with suppress(psutil.NoSuchProcess):
        for process in [trainer, *trainer.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                spent = process.cpu_times()
                times[process.pid] = spent.user + spent.system
    return times


def _send(number: int, processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _last_lines(path: Path, size: int = 20000) -> list[str]:
    """The lines in the last bytes of a file, without empty ones."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        text = file.read().decode(errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def error_line(lines: list[str]) -> str:
    """The last line that looks like an error, otherwise the last line."""
    errors = [line for line in lines if ERROR_LINE.match(line) and not FOREIGN_ERROR.match(line)]
    explained = [line for line in errors if line.startswith("error: ")]
    preempted = [line for line in lines if "continue with --resume" in line]
    return (preempted[-1:] or explained[-1:] or errors[-1:] or lines[-1:] or [""])[0].removeprefix("error: ")


def logged_error(run_dir: Path) -> str:
    """The error that the last process of a run left behind, for runs whose end nobody watched."""
    path = run_dir / STDERR_FILE
    lines = _last_lines(path) if path.is_file() else []
    return error_line(lines) if any(ERROR_LINE.match(line) for line in lines) else ""
