"""Runs as a Slurm job array, submitted with submitit.

How a run survives the time limit: ``warn_seconds`` before it, Slurm sends SIGUSR1 to all processes of the
job. The trainer finishes its step, writes a checkpoint and leaves with exit status 75. submitit, which gets
the signal as well, calls :meth:`SlurmRun.checkpoint`, which waits for that, and puts the job back into the
queue; when its turn comes, it finds the checkpoint in the run's folder and continues. submitit's usual
signal, SIGUSR2, would kill the trainer. On SIGTERM (``scancel``, preemption) the checkpoint is written as
well, but whether the job comes back is left to Slurm.
"""

import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config

from mmseg.errors import ConfigError, Preempted
from mmseg.launch.local import TrainingFailed
from mmseg.launch.process import Job, Stop, train_in_a_process
from mmseg.launch.run_folders import ROOT
from mmseg.launch.run_state import JOB_FILE, QUEUED, RunState, read_state, write_state

if TYPE_CHECKING:
    from submitit import SlurmExecutor

WARNING_SIGNAL = "USR1"
DEFAULTS: dict[str, Any] = {"time": 24 * 60, "gpus": 1, "warn_seconds": 300, "max_requeues": 20}
RENAMED = {"gpus": "gpus_per_node", "cpus": "cpus_per_task", "extra": "additional_parameters"}
"""Settings that submitit calls otherwise; all its other parameters are settings under their own names."""
DURATION = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


def minutes(time: int | str) -> int:
    """A time limit as Slurm writes it, in minutes; seconds are rounded up.

    Raises:
        ConfigError: It is none.
    """
    total = 0
    if match := DURATION.fullmatch(str(time).strip()):
        days, *clock = match.groups()
        numbers = [int(part) for part in clock if part is not None]
        units = (60, 1) if days is None and len(numbers) < 3 else (3600, 60, 1)
        seconds = sum(number * unit for number, unit in zip(numbers, units, strict=False))
        total = -(-(86400 * int(days or 0) + seconds) // 60)
    if total == 0:
        raise ConfigError(f"time limit {time!r}: expected minutes, HH:MM:SS or D-HH:MM:SS")
    return total


def read_settings(profile: str | Path | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """What each run asks Slurm for: a profile file (YAML, or Python with one variable each) and options.

    Args:
        profile: The file; its names are in docs/many_runs.md.
        options: Settings of the command line, which win; None = not given. ``extra`` is merged.

    Raises:
        ConfigError: The file cannot be read, or a setting that is used here does not fit.
    """
    content: dict[str, Any] = {}
    if profile is not None:
        if not Path(profile).is_file():
            raise ConfigError(f"--profile {profile}: no such file")
        try:
            content = Config.fromfile(profile).to_dict()
        except Exception as error:  # a Python profile is a program
            raise ConfigError(
                f"--profile {profile}: cannot be read: {type(error).__name__}: {error}"
            ) from error
    given = {name: value for name, value in options.items() if value is not None}
    extra = {**(content.get("extra") or {}), **given.get("extra", {})}
    settings = {**DEFAULTS, **content, **given, "extra": extra}
    for name, least in (("gpus", 0), ("warn_seconds", 1), ("max_requeues", 0)):
        if not isinstance(settings[name], int) or settings[name] < least:
            raise ConfigError(
                f"Slurm settings: {name}={settings[name]!r}; expected a whole number from {least} on"
            )
    limit = settings["time"] = minutes(settings["time"])
    if settings["warn_seconds"] >= 60 * limit:
        raise ConfigError(
            f"Slurm settings: warn_seconds={settings['warn_seconds']} is not shorter than the time limit of "
            f"{limit} minutes; nothing would be trained"
        )
    return settings


def executor_for(settings: Mapping[str, Any], exp: str, max_parallel: int | None = None) -> "SlurmExecutor":
    """What submits runs; nothing is written yet.

    Args:
        settings: See :func:`read_settings`.
        exp: Folder in work_dirs; submitit's files and the output of the jobs go to ``slurm`` in it.
        max_parallel: How many runs are trained at a time; None = as Slurm likes.

    Raises:
        ConfigError: submitit is missing, this is no cluster, or a setting is unknown.
    """
    if find_spec("submitit") is None:
        raise ConfigError("--launcher slurm needs submitit; run: pip install -e '.[slurm]'")
    for program in ("sbatch", "srun"):
        if shutil.which(program) is None:
            raise ConfigError(
                f"--launcher slurm: found no {program} here; start it on a login node of the cluster"
            )
    import submitit

    parameters = {RENAMED.get(name, name): value for name, value in settings.items() if value is not None}
    setup, warn_seconds = parameters.pop("setup", []), parameters.pop("warn_seconds")
    executor = submitit.SlurmExecutor(Path("work_dirs", exp, "slurm"), parameters.pop("max_requeues"))
    further = {
        "signal": f"{WARNING_SIGNAL}@{warn_seconds}",  # in place of submitit's USR2
        "requeue": True,
        "chdir": str(Path.cwd()),
    }
    parameters |= {
        "setup": [
            f'export PYTHONPATH="{ROOT}${{PYTHONPATH:+:$PYTHONPATH}}"',
            f"export SUBMITIT_PREEMPT_SIGNAL={WARNING_SIGNAL}",
            *([setup] if isinstance(setup, str) else setup),
        ],
        "additional_parameters": further | parameters["additional_parameters"],
    }
    if not parameters["gpus_per_node"]:
        del parameters["gpus_per_node"]
    if max_parallel is not None:
        parameters["array_parallelism"] = max_parallel
    try:
        executor.update_parameters(**{"job_name": exp, "nodes": 1, "ntasks_per_node": 1, **parameters})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Slurm settings: {error}") from error
    return executor


def submit(jobs: Sequence[Job], executor: "SlurmExecutor") -> list[str]:
    """Submit runs as one job array.

    Args:
        jobs: What to train; all of them may run at the same time.
        executor: See :func:`executor_for`.

    Returns:
        The Slurm job of each run.

    Raises:
        ConfigError: sbatch refuses.
    """
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    before = {job.work_dir: read_state(job.work_dir) for job in jobs}
    for job in jobs:  # before the submission: a job may start at once and then writes its own state
        state = before[job.work_dir] or RunState(QUEUED, job.max_iters)
        (job.work_dir / JOB_FILE).unlink(missing_ok=True)
        write_state(job.work_dir, replace(state, phase=QUEUED, scheduler_job="", exit_status=None, error=""))
    try:
        numbers = [job.job_id for job in executor.submit_array([SlurmRun(job) for job in jobs])]
    except (FailedJobError, FailedSubmissionError) as error:
        for job in jobs:
            _forget(job, before[job.work_dir])
        raise ConfigError(f"sbatch refused the job: {str(error).strip()}") from error
    for job, number in zip(jobs, numbers, strict=True):
        (job.work_dir / JOB_FILE).write_text(f"{number}\n")
    return numbers


def _forget(job: Job, before: RunState | None) -> None:
    """Leave a run that was not submitted as it was."""
    if before is not None:
        write_state(job.work_dir, before)
    else:
        shutil.rmtree(job.work_dir)
        job.config.unlink(missing_ok=True)


class SlurmRun:
    """What a Slurm job does: train a run, and come back when its time is over.

    Args:
        job: The run.

    Raises:
        TrainingFailed: The run ended with an error.
        SystemExit: With status 75, when it was cancelled after a checkpoint.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    def __call__(self) -> str:
        import submitit

        stop = Stop()
        signal.signal(signal.SIGTERM, lambda *_: stop.ask.set())  # in place of submitit's, which ignores it
        # in a thread, so that checkpoint() can wait for it from within submitit's signal handler
        with ThreadPoolExecutor(1) as thread:
            number = submitit.JobEnvironment().job_id
            training = thread.submit(train_in_a_process, self.job, stop=stop, scheduler_job=number)
            self.stop, self.training = stop, training
            error = training.result()
        if error is None:
            return str(self.job.work_dir)
        if _was_preempted(self.job):
            raise SystemExit(Preempted.exit_code)
        raise TrainingFailed(error)

    def checkpoint(self) -> Any:
        """What is put back into the queue, called by submitit when the time is over; None = nothing."""
        import submitit

        self.stop.ask.set()
        self.training.result()
        if not _was_preempted(self.job):
            return None  # it has finished, or failed, in the meantime
        state = read_state(self.job.work_dir)
        assert state is not None
        write_state(self.job.work_dir, replace(state, phase=QUEUED))
        return submitit.helpers.DelayedSubmission(SlurmRun(self.job))


def _was_preempted(job: Job) -> bool:
    state = read_state(job.work_dir)
    return state is not None and state.exit_status == Preempted.exit_code
