"""Runs as a Slurm job array, submitted with submitit.

How a run survives the time limit: ``warn_seconds`` before it, Slurm sends SIGUSR1 to all processes of the
job. The trainer finishes its step, writes a checkpoint and leaves with exit status 75. submitit, which gets
the signal as well, calls :meth:`SlurmRun.checkpoint`, which waits for that, and puts the job back into the
queue; when its turn comes, it finds the checkpoint in the run's folder and continues. submitit's usual
signal, SIGUSR2, would kill the trainer. On SIGTERM (``scancel``, preemption) the checkpoint is written as
well, but whether the job comes back is left to Slurm.
"""

import os
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg.config.load import closest_hint
from mmseg.errors import ConfigError, Preempted
from mmseg.launch.local import TrainingFailed
from mmseg.launch.process import Job, Stop, train_in_a_process
from mmseg.launch.run_folders import ROOT
from mmseg.launch.run_state import JOB_FILE, QUEUED, RunState, read_state, write_state

WARNING_SIGNAL = "USR1"
DURATION = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


@dataclass(frozen=True)
class SlurmSettings:
    """What a run asks Slurm for.

    Attributes:
        time: Time limit: minutes, or ``HH:MM:SS``, ``D-HH``, ``D-HH:MM``, ``D-HH:MM:SS``.
        gpus: GPUs of each run; more than one make a run of several processes.
        cpus: CPU cores of each run; None = as Slurm decides.
        partition, account, qos, mem: As in sbatch; None = as Slurm decides.
        warn_seconds: How long before the limit the run is asked to write its checkpoint.
        max_requeues: How often a run comes back after its time limit.
        setup: Shell commands before the run, as ``module load cuda``.
        extra: Further options of sbatch, name -> value.
    """

    time: int | str = 24 * 60
    gpus: int = 1
    cpus: int | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    mem: str | None = None
    warn_seconds: int = 300
    max_requeues: int = 20
    setup: Sequence[str] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        limit = minutes(self.time)
        for name, least in (("gpus", 0), ("warn_seconds", 1), ("max_requeues", 0), ("cpus", 1)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise ConfigError(
                    f"Slurm settings: {name}={value!r}; expected a whole number from {least} on"
                )
        if self.warn_seconds >= 60 * limit:
            raise ConfigError(
                f"Slurm settings: warn_seconds={self.warn_seconds} is not shorter than the time limit of "
                f"{limit} minutes; nothing would be trained"
            )
        if isinstance(self.setup, str):
            raise ConfigError("Slurm settings: setup is a text; expected a list of shell commands")
        if not isinstance(self.extra, Mapping):
            raise ConfigError(f"Slurm settings: extra={self.extra!r}; expected names and values")


def minutes(time: int | str) -> int:
    """A time limit as Slurm writes it, in minutes; seconds are rounded up.

    Raises:
        ConfigError: It is none.
    """
    match = DURATION.fullmatch(str(time).strip())
    with_days = match is not None and match[1] is not None
    days, first, second, third = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    if with_days or (match and match[4]):  # D-HH, D-HH:MM, D-HH:MM:SS, HH:MM:SS
        total = 86400 * days + 3600 * first + 60 * second + third
    else:  # MM, MM:SS
        total = 60 * first + second
    if total == 0:
        raise ConfigError(f"time limit {time!r}: expected minutes, HH:MM:SS or D-HH:MM:SS")
    return -(-total // 60)


def read_settings(profile: str | Path | None, options: Mapping[str, Any]) -> SlurmSettings:
    """Settings of a profile file (YAML, or Python with one variable each); those of the command line win.

    Args:
        profile: The file; names are those of :class:`SlurmSettings`.
        options: The same names; None = not given. ``extra`` is merged.

    Raises:
        ConfigError: The file cannot be read, or a setting is unknown or does not fit.
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
    known = {each.name for each in fields(SlurmSettings)}
    for name in content:
        if name not in known:
            raise ConfigError(f"--profile {profile}: unknown setting {name!r}{closest_hint(name, known)}")
    extra = {**(content.get("extra") or {}), **(options.get("extra") or {})}
    given = {name: value for name, value in options.items() if value is not None}
    return SlurmSettings(**{**content, **given, "extra": extra})


def executor_parameters(settings: SlurmSettings, name: str, max_parallel: int | None) -> dict[str, Any]:
    """The settings in submitit's words."""
    further: dict[str, Any] = {
        "signal": f"{WARNING_SIGNAL}@{settings.warn_seconds}",  # in place of submitit's USR2
        "requeue": True,
        "chdir": str(Path.cwd()),
        **settings.extra,
    }
    optional = dict(
        partition=settings.partition, account=settings.account, qos=settings.qos, mem=settings.mem,
        cpus_per_task=settings.cpus, gpus_per_node=settings.gpus or None, array_parallelism=max_parallel,
    )  # fmt: skip
    return {
        "job_name": name,
        "time": minutes(settings.time),
        "nodes": 1,
        "ntasks_per_node": 1,
        "setup": [
            f'export PYTHONPATH="{ROOT}${{PYTHONPATH:+:$PYTHONPATH}}"',
            f"export SUBMITIT_PREEMPT_SIGNAL={WARNING_SIGNAL}",
            *settings.setup,
        ],
        "additional_parameters": further,
        **{key: value for key, value in optional.items() if value is not None},
    }


def check_cluster() -> None:
    """See that runs can be submitted from here, before anything is written.

    Raises:
        ConfigError: submitit is missing, or this is no cluster.
    """
    if find_spec("submitit") is None:
        raise ConfigError("--launcher slurm needs submitit; run: pip install -e '.[slurm]'")
    for program in ("sbatch", "srun"):
        if shutil.which(program) is None:
            raise ConfigError(
                f"--launcher slurm: found no {program} here; start it on a login node of the cluster"
            )


def submit(jobs: Sequence[Job], exp: str, settings: SlurmSettings, max_parallel: int | None) -> list[str]:
    """Submit runs as one job array.

    Args:
        jobs: What to train; all of them may run at the same time.
        exp: Folder in work_dirs; submitit's files and the output of the jobs go to ``slurm`` in it.
        settings: What each run asks for.
        max_parallel: How many run at a time; None = as Slurm likes.

    Returns:
        The Slurm job of each run.

    Raises:
        ConfigError: sbatch refuses.
    """
    import submitit

    executor = submitit.SlurmExecutor(Path("work_dirs", exp, "slurm"), settings.max_requeues)
    executor.update_parameters(**executor_parameters(settings, exp, max_parallel))
    before = {job.work_dir: read_state(job.work_dir) for job in jobs}
    for job in jobs:  # before the submission: a job may start at once and then writes its own state
        state = before[job.work_dir] or RunState(QUEUED, job.max_iters)
        (job.work_dir / JOB_FILE).unlink(missing_ok=True)
        write_state(job.work_dir, replace(state, phase=QUEUED, scheduler_job="", exit_status=None, error=""))
    try:
        submitted = executor.submit_array([SlurmRun(_absolute(job)) for job in jobs])
        numbers = [job.job_id for job in submitted]
    except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
        for job in jobs:
            _forget(job, before[job.work_dir])
        raise ConfigError(f"sbatch refused the job: {str(error).strip()}") from error
    for job, number in zip(jobs, numbers, strict=True):
        (job.work_dir / JOB_FILE).write_text(f"{number}\n")
    return numbers


def _absolute(job: Job) -> Job:
    return replace(job, config=job.config.resolve(), work_dir=job.work_dir.resolve())


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
        stop = Stop()
        signal.signal(signal.SIGTERM, lambda *_: stop.ask.set())  # in place of submitit's, which ignores it
        # in a thread, so that checkpoint() can wait for it from within submitit's signal handler
        with ThreadPoolExecutor(1) as thread:
            number = job_number(os.environ)
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


def job_number(environment: Mapping[str, str]) -> str:
    """The Slurm job that this process belongs to, ``<array>_<index>`` in an array."""
    array = environment.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{environment['SLURM_ARRAY_TASK_ID']}" if array else environment.get("SLURM_JOB_ID", "")
