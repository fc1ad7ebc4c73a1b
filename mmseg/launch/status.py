"""Where runs stand, from the files in their folders."""

import shutil
import subprocess
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median

from mmseg.checkpoints.files import iteration_of, last_written, numbered_checkpoints
from mmseg.errors import DataError, Preempted
from mmseg.launch.process import logged_error
from mmseg.launch.run_folders import folders_of, is_finished
from mmseg.launch.run_state import ENDED, JOB_FILE, QUEUED, RunState, is_alive, read_state
from mmseg.reports.collect import read_result
from mmseg.reports.curves import read_training_log

WAITING, RUNNING, INTERRUPTED = "waiting", "running", "interrupted"
FINISHED, FAILED = "finished", "failed"
STATES = (WAITING, RUNNING, INTERRUPTED, FINISHED, FAILED)
RECENT = 20
"""Log lines that the speed is measured by."""
ENDED_ON_PURPOSE = (130, -15, -2, -1)  # interrupt; SIGTERM, SIGINT, SIGHUP


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Attributes:
        state: One of :data:`STATES`.
        detail: Iteration, score or error, for the reader.
        folder: Where it was found.
        queued: It waits in Slurm's queue.
    """

    state: str
    detail: str = ""
    folder: Path | None = None
    queued: bool = False


def status_of(name: str, exp: str, iterations: int) -> Status:
    """Where a run of an experiment stands.

    Of several folders a finished one counts, otherwise the one that was started last.

    Args:
        name: Of the run, without date and ID.
        exp: Folder in work_dirs.
        iterations: Length of the run.
    """
    folders = folders_of(name, exp)
    finished = [folder for folder in folders if is_finished(folder, iterations)]
    return status_of_folder((finished or folders)[0], iterations) if folders else Status(WAITING)


def status_of_folder(run_dir: Path, iterations: int) -> Status:
    """Where the run in a folder stands."""
    state = read_state(run_dir)
    if state is not None and is_alive(run_dir, state):
        return Status(RUNNING, _progress(run_dir, state), run_dir)
    if state is not None and state.phase == QUEUED:
        return _queued(run_dir, state)
    if is_finished(run_dir, iterations):
        return Status(FINISHED, _score(run_dir), run_dir)
    if state is not None and state.phase == ENDED:
        if state.exit_status not in (None, 0, Preempted.exit_code, *ENDED_ON_PURPOSE):
            return Status(FAILED, state.error, run_dir)
    elif error := logged_error(run_dir):
        return Status(FAILED, error, run_dir)
    return Status(INTERRUPTED, _reached(run_dir, iterations), run_dir)


def _queued(run_dir: Path, state: RunState) -> Status:
    job_file = run_dir / JOB_FILE
    job = state.scheduler_job or (job_file.read_text().strip() if job_file.is_file() else "")
    if job and not in_queue(job):
        detail = f"Slurm job {job} is gone; {_reached(run_dir, state.max_iters)}"
        return Status(INTERRUPTED, detail, run_dir)
    reached = f", {_reached(run_dir, state.max_iters)}" if numbered_checkpoints(run_dir) else ""
    return Status(WAITING, f"Slurm job {job}{reached}" if job else "being submitted", run_dir, queued=True)


def in_queue(job: str) -> bool:
    """Whether Slurm still has a job; where it cannot be asked, the answer is yes."""
    if shutil.which("squeue") is None:
        return True
    words = ["squeue", "--noheader", "--format=%i", f"--jobs={job}"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return True
    if done.returncode:
        return "Invalid job id" not in done.stderr  # any other trouble says nothing about the job
    return bool(done.stdout.strip())


def _timing(run_dir: Path) -> dict[int, float]:
    """Seconds per iteration, by logged iteration."""
    try:
        return read_training_log(run_dir).curves.get("time", {})
    except DataError:
        return {}


def _progress(run_dir: Path, state: RunState) -> str:
    timing = _timing(run_dir)
    where = f" on {state.host}" + (f" (Slurm job {state.scheduler_job})" if state.scheduler_job else "")
    if not timing:
        return f"no iteration logged yet{where}"
    iteration = max(timing)
    seconds = median([timing[key] for key in sorted(timing)[-RECENT:]])
    left = timedelta(seconds=round(seconds * max(0, state.max_iters - iteration)))
    return f"iteration {iteration} of {state.max_iters}, ETA {left}{where}"


def _reached(run_dir: Path, iterations: int) -> str:
    logged = max(_timing(run_dir), default=0)
    last = last_written(run_dir)
    saved = iteration_of(last) if last else 0
    where = f"checkpoint of iteration {saved}" if saved else "no checkpoint"
    return f"iteration {max(logged, saved)} of {iterations}, {where}"


def _score(run_dir: Path) -> str:
    try:
        name, score = read_result(run_dir).first_score
    except DataError:
        return "not evaluated"
    return f"{name} {score:.1f}"
