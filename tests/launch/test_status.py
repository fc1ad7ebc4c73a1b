"""What the files in run folders say about where runs stand."""

import json
import os
import time
import zipfile
from pathlib import Path

import pytest

from mmseg.launch.run_state import (
    JOB_FILE,
    QUEUED,
    RUNNING,
    SILENT_SECONDS,
    STATE_FILE,
    STDERR_FILE,
    RunState,
    birth_of,
    read_state,
    this_host,
    write_state,
)
from mmseg.launch.status import in_queue, status_of

EXP = "local-exp7"


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    """A folder of its own with a program squeue that knows the jobs in the file ``jobs``."""
    monkeypatch.chdir(tmp_path)
    squeue = tmp_path / "bin" / "squeue"
    squeue.parent.mkdir()
    squeue.write_text(
        f'#!/bin/sh\nfor w in "$@"; do :; done\ngrep -x "${{w#--jobs=}}" {tmp_path}/jobs || true\n'
    )
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "jobs").touch()
    return tmp_path


def run_dir(name: str = "run_s0", stamp: str = "260101_1200", number: str = "0abc1") -> Path:
    path = Path("work_dirs", EXP, f"{stamp}_{name}_{number}")
    path.mkdir(parents=True)
    return path


def log(folder: Path, *iterations: int, seconds: float = 2.0) -> None:
    file = folder / "20260101_120000" / "vis_data" / "scalars.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [dict(iter=iteration, step=iteration, time=seconds, loss=1.0) for iteration in iterations]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def checkpoint(folder: Path, iteration: int) -> None:
    with zipfile.ZipFile(folder / f"iter_{iteration}.pth", "w") as archive:
        archive.writestr("weights", "x")


def running(**values) -> RunState:
    process = dict(host=this_host(), pid=os.getpid(), pid_birth=birth_of(os.getpid()))
    return RunState(RUNNING, 1000, **{**process, **values})


def where(name: str = "run_s0", iterations: int = 1000) -> tuple[str, str]:
    status = status_of(name, EXP, iterations)
    return status.state, status.detail


def test_waiting():
    assert where() == ("waiting", "")
    run_dir("run_s0_other")
    assert where() == ("waiting", ""), "the folder belongs to another run"


def test_running_with_the_time_left():
    folder = run_dir()
    write_state(folder, running())
    assert where() == ("running", f"no iteration logged yet on {this_host()}")
    log(folder, 50, 100, seconds=4.0)
    assert where() == ("running", f"iteration 100 of 1000, ETA 1:00:00 on {this_host()}")


@pytest.mark.parametrize("values", [dict(pid_birth=1), dict(pid=2**22 + 1)])
def test_a_dead_process_is_not_running(values):
    """Also when another process has got its number."""
    folder = run_dir()
    write_state(folder, running(**values))
    log(folder, 50, 100)
    assert where() == ("interrupted", "iteration 100 of 1000, no checkpoint")
    checkpoint(folder, 80)
    assert where() == ("interrupted", "iteration 100 of 1000, checkpoint of iteration 80")
    (folder / STDERR_FILE).write_text("warning: slow\nerror: data/gta: missing\n")
    assert where() == ("failed", "data/gta: missing")


def test_a_silent_run_of_another_machine_is_not_running():
    folder = run_dir()
    write_state(folder, running(host="elsewhere", pid=1, pid_birth=0, scheduler_job="12_3"))
    assert where() == ("running", "no iteration logged yet on elsewhere (Slurm job 12_3)")
    long_ago = time.time() - SILENT_SECONDS - 1
    os.utime(folder / STATE_FILE, (long_ago, long_ago))
    assert where()[0] == "interrupted"


@pytest.mark.parametrize(
    ("exit_status", "state"),
    [(75, "interrupted"), (-15, "interrupted"), (130, "interrupted"), (1, "failed"), (-9, "failed")],
)
def test_ended_too_early(exit_status, state):
    folder = run_dir()
    write_state(folder, RunState("ended", 1000, exit_status=exit_status, error="what it said"))
    checkpoint(folder, 300)
    detail = "what it said" if state == "failed" else "iteration 300 of 1000, checkpoint of iteration 300"
    assert where() == (state, detail)


def test_finished():
    folder = run_dir()
    checkpoint(folder, 1000)
    (folder / "results.json").write_text(json.dumps(dict(iteration=900, mIoU=40.0)))
    assert where()[0] == "interrupted", "the last evaluation is missing"
    (folder / "results.json").write_text(json.dumps(dict(iteration=1000, mIoU=61.25)))
    assert where() == ("finished", "mIoU 61.2")
    (folder / "results.json").write_text(json.dumps({"iteration": 1000, "own/labelled": 93.75}))
    assert where() == ("finished", "own/labelled 93.8"), "a metric of the user's own alone"
    (folder / "results.json").write_text(json.dumps(dict(iteration=1000, mIoU=61.25)))
    write_state(run_dir(stamp="260102_1200"), running())
    assert where() == ("finished", "mIoU 61.2"), "an attempt to run it again does not undo it"
    assert where(iterations=2000)[0] == "running"


def test_finished_without_evaluation():
    write_state(run_dir(), RunState("ended", 2, exit_status=0))
    assert where(iterations=2) == ("finished", "not evaluated")
    assert where(iterations=1000)[0] == "interrupted"


def test_the_latest_folder_counts():
    write_state(run_dir(number="fffff"), RunState("ended", 1000, exit_status=1, error="old", created=1.0))
    write_state(run_dir(number="00000"), RunState("ended", 1000, exit_status=1, error="new", created=2.0))
    assert where() == ("failed", "new")
    write_state(run_dir(stamp="260102_0000"), RunState("ended", 1000, exit_status=1, error="newest"))
    assert where() == ("failed", "newest")


def test_in_the_queue_of_slurm(checkout, monkeypatch):
    folder = run_dir()
    write_state(folder, RunState(QUEUED, 1000))
    assert where() == ("waiting", "being submitted")
    (folder / JOB_FILE).write_text("77_1\n")
    (checkout / "jobs").write_text("77_0\n77_1\n")
    assert where() == ("waiting", "Slurm job 77_1") and status_of("run_s0", EXP, 1000).queued
    checkpoint(folder, 300)
    assert where() == ("waiting", "Slurm job 77_1, iteration 300 of 1000, checkpoint of iteration 300")
    (checkout / "jobs").write_text("77_0\n")
    state, detail = where()
    assert state == "interrupted" and detail.startswith("Slurm job 77_1 is gone; iteration 300")
    monkeypatch.setenv("PATH", "/nowhere")
    assert in_queue("77_1"), "what cannot be asked is believed"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"phase": "running"}', '{"phase": "ended", "max_iters": 5, "new": 1}']
)
def test_states_that_are_damaged_or_of_another_version(content):
    folder = run_dir()
    (folder / STATE_FILE).write_text(content)
    state = read_state(folder)
    assert state == (RunState("ended", 5, created=state.created) if "new" in content else None)
    assert where()[0] == "interrupted"
