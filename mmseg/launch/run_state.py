"""What a launcher knows about a run, in a file of the run's folder that outlives the launcher."""

import json
import socket
import time
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import psutil

from mmseg.checkpoints.atomic import write_text

STATE_FILE = "run_state.json"
STDERR_FILE = "stderr.txt"
"""What the process of the last start wrote to stderr."""
JOB_FILE = "slurm_job.txt"
"""Number of the Slurm job; written after the submission, when the job may already write the state."""
HEARTBEAT_SECONDS = 30
SILENT_SECONDS = 300
"""A run of another machine whose file was not touched for so long has died."""

QUEUED, RUNNING, ENDED = "queued", "running", "ended"


@dataclass
class RunState:
    """State of a run.

    Attributes:
        phase: ``queued`` (handed to Slurm), ``running`` or ``ended``.
        max_iters: Length of the run.
        created: When the run was first started or submitted, in seconds since 1970.
        host: Where the process runs.
        pid: Its number there.
        pid_birth: See :func:`birth_of`; tells it from a later process of the same number.
        scheduler_job: The Slurm job.
        exit_status: Of the process; negative = number of the signal that killed it.
        error: The line that says why it failed.
        cpu_seconds: Processor time of all its processes, over all starts.
    """

    phase: str
    max_iters: int
    created: float = field(default_factory=time.time)
    host: str = ""
    pid: int = 0
    pid_birth: int = 0
    scheduler_job: str = ""
    exit_status: int | None = None
    error: str = ""
    cpu_seconds: float = 0.0


def read_state(run_dir: Path) -> RunState | None:
    """The state of a run; None if it was not started by a launcher."""
    try:
        content = json.loads((run_dir / STATE_FILE).read_text(encoding="utf-8"))
        known = {each.name for each in fields(RunState)}
        return RunState(**{name: value for name, value in content.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def write_state(run_dir: Path, state: RunState) -> None:
    """Replace the state file at once, never half."""
    run_dir.mkdir(parents=True, exist_ok=True)
    write_text(run_dir / STATE_FILE, json.dumps(asdict(state), indent=2) + "\n")


def claim_run(run_dir: Path, max_iters: int, pid: int, scheduler_job: str = "") -> RunState:
    """Say that a process of this machine trains the run, or is about to start it."""
    state = replace(
        read_state(run_dir) or RunState(RUNNING, max_iters),
        phase=RUNNING, max_iters=max_iters, host=this_host(), pid=pid, pid_birth=birth_of(pid),
        scheduler_job=scheduler_job, exit_status=None, error="",
    )  # fmt: skip
    write_state(run_dir, state)
    return state


def this_host() -> str:
    """Name under which this machine writes states."""
    return socket.gethostname()


def birth_of(pid: int) -> int:
    """When a process started, in hundredths of a second since boot; 0 if there is none.

    Unlike the time of day, it does not move when the clock is set.
    """
    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return 0
        return round(100 * (process.create_time() - psutil.boot_time()))
    except psutil.Error:
        return 0


def is_alive(run_dir: Path, state: RunState) -> bool:
    """Whether the process of a running state is still there.

    On this machine the process itself is looked up; of others, the file has to be touched regularly.
    """
    if state.phase != RUNNING:
        return False
    if state.host != this_host():
        return time.time() - (run_dir / STATE_FILE).stat().st_mtime < SILENT_SECONDS
    return birth_of(state.pid) == state.pid_birth != 0
