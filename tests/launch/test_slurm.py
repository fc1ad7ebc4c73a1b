"""Runs through Slurm, with programs in place of its own: what is submitted, and what a job does."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from launched_runs import write_job, write_trainer

import run_experiments
from mmseg.errors import ConfigError
from mmseg.launch import process
from mmseg.launch.run_state import JOB_FILE, read_state
from mmseg.launch.slurm import executor_for, minutes, read_settings, submit

pytest.importorskip("submitit")
ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "sbatch": 'cp "$1" {folder}/submitted.sh; echo "Submitted batch job 4711"',
    "srun": "exit 1",
    "scontrol": 'echo "$@" >> {folder}/scontrol.txt',
}


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A login node: sbatch keeps what it is given, scontrol notes what it is asked for."""
    (tmp_path / "bin").mkdir()
    for name, script in PROGRAMS.items():
        path = tmp_path / "bin" / name
        path.write_text("#!/bin/sh\n" + script.format(folder=tmp_path) + "\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process, "TRAIN", (str(write_trainer(tmp_path)),))
    return tmp_path


def usual(**settings):
    """An executor with default settings but for those that are given."""
    return executor_for(read_settings(None, settings), "local-exp7")


def options_of(script: str) -> dict[str, str]:
    lines = [line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH")]
    return {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}


# -------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("time_limit", "expected"),
    [(90, 90), ("90", 90), ("90:30", 91), ("2:00:00", 120), ("0:00:30", 1), ("1-12", 2160), ("1-12:30", 2190),
     ("2-00:00:01", 2881)],
)  # fmt: skip
def test_time_limits(time_limit, expected):
    assert minutes(time_limit) == expected


@pytest.mark.parametrize("time_limit", ["", "soon", "1:2:3:4", "-5", 0, "1-"])
def test_what_is_no_time_limit(time_limit):
    with pytest.raises(ConfigError, match="expected minutes"):
        minutes(time_limit)


def test_the_command_line_wins_over_the_profile(tmp_path):
    text = (
        "time: 1-00:00:00\ngpus: 2\npartition: long\nsetup: [module load cuda]\n"
        "extra: {constraint: a100, nice: 5}\n"
    )
    yaml, python = tmp_path / "cluster.yaml", tmp_path / "cluster.py"
    yaml.write_text(text)
    python.write_text(
        "time = '1-00:00:00'\ngpus = 2\npartition = 'long'\nsetup = ['module load cuda']\n"
        "extra = dict(constraint='a100', nice=5)\n"
    )
    options = dict(partition="short", account=None, extra={"nice": 9})
    for profile in (yaml, python):
        settings = read_settings(profile, options)
        assert (settings["partition"], settings["gpus"], settings.get("account")) == ("short", 2, None)
        assert settings["time"] == 1440 and settings["setup"] == ["module load cuda"]
        assert settings["extra"] == {"constraint": "a100", "nice": 9}


@pytest.mark.parametrize(
    ("text", "message"),
    [("partitoin: a", r"(?s)\['partitoin'\].*- partition "), ("gpus: -1", "gpus=-1"),
     ("gpus: two", "gpus='two'"), ("time: soon", "time limit 'soon'"), ("{", "cannot be read"),
     ("time: 5", "nothing would be trained")],
)  # fmt: skip
def test_profiles_that_make_no_sense(text, message, cluster):
    (cluster / "cluster.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        executor_for(read_settings(cluster / "cluster.yaml", {}), "local-exp7")
    assert not (cluster / "work_dirs").exists(), "nothing is written"


# ------------------------------------------------------------------------------------------------ submission


def test_runs_are_one_job_array(cluster):
    jobs = [write_job(cluster, name) for name in "abc"]
    settings = dict(
        time="1-00:00:00", gpus=2, cpus=12, partition="long", account="vision", qos="high", mem="64G",
        warn_seconds=200, setup=["module load cuda"], extra={"constraint": "a100", "mail-user": "a@b.c"},
        nodelist="node7",  # one of submitit's own
    )  # fmt: skip
    executor = executor_for(read_settings(None, settings), "local-exp7", max_parallel=2)
    assert submit(jobs, executor) == ["4711_0", "4711_1", "4711_2"]
    script = (cluster / "submitted.sh").read_text()
    options = options_of(script)
    expected = {
        "array": "0-2%2", "time": "1440", "gpus-per-node": "2", "cpus-per-task": "12", "partition": "long",
        "account": "vision", "qos": "high", "mem": "64G", "signal": "USR1@200", "constraint": "a100",
        "mail-user": "a@b.c", "chdir": str(cluster), "job-name": "local-exp7", "ntasks-per-node": "1",
        "nodes": "1", "requeue": "", "open-mode": "append", "nodelist": "node7",
    }  # fmt: skip
    assert {name: options.get(name) for name in expected} == expected
    assert {"module load cuda", "export SUBMITIT_PREEMPT_SIGNAL=USR1"} < set(script.splitlines())
    assert "submitit.core._submit" in script
    for job, number in zip(jobs, ("4711_0", "4711_1", "4711_2"), strict=True):
        assert read_state(job.work_dir).phase == "queued"
        assert (job.work_dir / JOB_FILE).read_text() == f"{number}\n"


def test_a_refused_submission_leaves_nothing_behind(cluster):
    (cluster / "bin" / "sbatch").write_text("#!/bin/sh\necho 'invalid partition: nowhere' >&2; exit 1\n")
    job = write_job(cluster, "a")
    with pytest.raises(ConfigError, match="invalid partition: nowhere"):
        submit([job], usual())
    assert not job.work_dir.exists() and not job.config.exists()


def test_away_from_a_cluster(cluster, monkeypatch):
    (cluster / "bin" / "sbatch").unlink()
    with pytest.raises(ConfigError, match="found no sbatch here"):
        usual()
    assert run_experiments.main(["--exp", "7", "--launcher", "slurm"]) == 1
    assert not list(cluster.rglob("*exp7*")), "nothing is written"


# ------------------------------------------------------------------------------------------------------ jobs

RUN_JOB = """
import sys
from pathlib import Path
from mmseg.launch import process
process.TRAIN, process.REMIND_SECONDS = (sys.argv[1],), 0.2
from submitit.core.submission import process_job
process_job(sys.argv[2])
"""


def start_job(cluster: Path, index: int, **environment: str) -> subprocess.Popen:
    """What srun would start: submitit's own program with Slurm's variables."""
    slurm = {
        "SLURM_JOB_ID": "4712", "SLURM_ARRAY_JOB_ID": "4711", "SLURM_ARRAY_TASK_ID": str(index),
        "SUBMITIT_EXECUTOR": "slurm", "SUBMITIT_PREEMPT_SIGNAL": "USR1",
        "PYTHONPATH": str(ROOT), "SLURM_PROCID": "0", "SLURM_NTASKS": "1",
    }  # fmt: skip
    words = [sys.executable, "-c", RUN_JOB, *process.TRAIN, "work_dirs/local-exp7/slurm"]
    return subprocess.Popen(words, cwd=cluster, env={**os.environ, **slurm, **environment})


def wait_for_iterations(job) -> None:
    end = time.monotonic() + 60
    while not list(job.work_dir.glob("*/vis_data/scalars.json")):
        assert time.monotonic() < end
        time.sleep(0.05)


SHORT = dict(time=5, warn_seconds=60, max_requeues=1)
"""Limits of less than ten minutes count as over whenever the signal comes."""


def test_time_is_over_and_the_job_comes_back(cluster):
    """SIGUSR1 → checkpoint → requeue → the same job again, which continues; max_requeues times."""
    jobs = [write_job(cluster, name, iterations=400, seconds=0.1) for name in "ab"]
    submit(jobs, usual(**SHORT))
    running = start_job(cluster, 1)
    wait_for_iterations(jobs[1])
    running.send_signal(signal.SIGUSR1)
    assert running.wait(60) != 0
    assert (cluster / "scontrol.txt").read_text() == "requeue 4711_1\n"
    state = read_state(jobs[1].work_dir)
    assert (state.phase, state.exit_status, state.scheduler_job) == ("queued", 75, "4711_1")
    assert list(jobs[1].work_dir.glob("iter_*.pth")) and not jobs[0].work_dir.joinpath("starts").exists()

    running = start_job(cluster, 1)
    while len(list(jobs[1].work_dir.glob("*/vis_data/*"))) < 2:
        time.sleep(0.05)
    running.send_signal(signal.SIGUSR1)
    assert running.wait(60) != 0
    assert (cluster / "scontrol.txt").read_text() == "requeue 4711_1\n", "once was enough"
    assert read_state(jobs[1].work_dir).exit_status == 75

    write_job(cluster, "b", iterations=400)
    assert start_job(cluster, 1).wait(60) == 0
    state = read_state(jobs[1].work_dir)
    assert (state.phase, state.exit_status) == ("ended", 0)
    assert len(list(jobs[1].work_dir.glob("*/vis_data"))) == 3, "started as often"
    (note,) = (jobs[1].work_dir / "starts").read_text().splitlines()
    assert json.loads(note)["arguments"] == ["--resume"]


def test_a_cancelled_job_does_not_come_back(cluster):
    """The checkpoint is there, the rest is the user's choice."""
    job, _ = jobs = [write_job(cluster, name, iterations=400, seconds=0.1) for name in "ab"]
    submit(jobs, usual(**SHORT))
    running = start_job(cluster, 0)
    wait_for_iterations(job)
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 75
    assert not (cluster / "scontrol.txt").exists()
    state = read_state(job.work_dir)
    assert (state.phase, state.exit_status) == ("ended", 75) and list(job.work_dir.glob("iter_*.pth"))


@pytest.mark.slow
def test_a_failing_job(cluster):
    jobs = [write_job(cluster, "a", fails="data: missing"), write_job(cluster, "b")]
    submit(jobs, usual())
    assert start_job(cluster, 0).wait(60) == 1
    assert read_state(jobs[0].work_dir).error == "data: missing"
