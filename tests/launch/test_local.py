"""Runs side by side on one machine: slots, interrupts, failures, continuation."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from launched_runs import write_job, write_trainer
from toy_run import toy_config, weights, write_config

from mmseg.errors import ConfigError
from mmseg.launch import process
from mmseg.launch.local import slots, train_all
from mmseg.launch.process import Job, Stop, train_in_a_process
from mmseg.launch.run_state import birth_of, is_alive, read_state

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where runs of the fake trainer are written."""
    monkeypatch.setattr(process, "TRAIN", (str(write_trainer(tmp_path)),))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(process, "REMIND_SECONDS", 0.2)
    return tmp_path


def gpus(monkeypatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def train_side_by_side(jobs: list[Job], environments: list[dict]) -> tuple[dict, dict]:
    by_name = {job.name: job for job in jobs}
    return train_all(dict.fromkeys(by_name), lambda name, start: by_name[name], {}, environments)


def notes(job: Job) -> list[dict]:
    return [json.loads(line) for line in (job.work_dir / "starts").read_text().splitlines()]


def wait_for(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


# ---------------------------------------------------------------------------------------------------- slots


def test_slots_are_the_visible_gpus(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    gpus(monkeypatch, 4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,2,5,0")
    devices = [environment["CUDA_VISIBLE_DEVICES"] for environment in slots(2, 2)]
    assert devices == ["7,2", "5,0"]
    assert slots(None, None, default=2) == [{"CUDA_VISIBLE_DEVICES": "7"}, {"CUDA_VISIBLE_DEVICES": "2"}]
    assert len(slots(None, 3, default=2)) == 1, "a default gives way to what is there"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert [each["CUDA_VISIBLE_DEVICES"] for each in slots(4, None)] == ["0", "1", "2", "3"]
    for number, each in ((5, 1), (3, 2), (1, 5)):
        with pytest.raises(ConfigError, match=r"found 4 GPU\(s\), enough for"):
            slots(number, each)


def test_one_run_at_a_time_has_what_the_launcher_has(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: pytest.fail("torch takes seconds to load"))
    assert slots(None, None) == [{}]


def test_cpu_slots_share_the_cores(monkeypatch):
    gpus(monkeypatch, 0)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(12)))
    assert slots(3, None) == [{"OMP_NUM_THREADS": "4"}] * 3
    assert slots(20, None)[0] == {"OMP_NUM_THREADS": "1"}
    assert slots(1, None) == [{}]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert slots(3, None) == [{}] * 3, "the user's choice stays"
    with pytest.raises(ConfigError, match="no GPU"):
        slots(1, 2)


def test_no_gpu_is_used_by_two_runs_at_a_time(folder, monkeypatch):
    gpus(monkeypatch, 2)
    jobs = [write_job(folder, f"run{index}", seconds=0.05) for index in range(6)]
    trained, failures = train_side_by_side(jobs, slots(2, 1))
    assert not failures and trained == {job.name: job.work_dir for job in jobs}
    found = [note for job in jobs for note in notes(job)]
    by_device = {device: [n for n in found if n["CUDA_VISIBLE_DEVICES"] == device] for device in "01"}
    assert sorted(map(len, by_device.values())) in ([2, 4], [3, 3])
    for uses in by_device.values():
        uses.sort(key=lambda note: note["begin"])
        assert all(a["end"] <= b["begin"] for a, b in pairwise(uses))
    spans = sorted((note["begin"], note["end"]) for note in found)
    assert any(second[0] < first[1] for first, second in pairwise(spans)), "two at a time"


def test_configs_are_prepared_one_at_a_time(folder):
    busy, most = [], []

    def prepare(name: str, start: Path | None) -> Job:
        busy.append(name)
        most.append(len(busy))
        time.sleep(0.1)
        busy.remove(name)
        return write_job(folder, name)

    _, failures = train_all(dict.fromkeys("abcd"), prepare, {}, [{}, {}])
    assert not failures and most == [1, 1, 1, 1]


# ------------------------------------------------------------------------------------- failing and stopping


def test_two_real_runs_side_by_side(toy_data, tmp_path, monkeypatch, capfd):
    """Trained by the program itself; the one whose data are missing does not stop the other."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    gpus(monkeypatch, 0)
    short = {"train_cfg.max_iters": 2, "train_cfg.val_begin": 9, "default_hooks.checkpoint.interval": 2}
    settings = {"fine": {}, "broken": {"train_dataloader.dataset.data_root": "nowhere"}}
    jobs = []
    for name, further in settings.items():
        cfg = toy_config("source_only", toy_data, tmp_path / name, {**short, **further})
        jobs.append(Job(name, write_config(cfg, tmp_path / f"{name}.py"), tmp_path / name, 2))
    trained, failures = train_side_by_side(jobs, slots(2, None))
    assert trained == {"fine": tmp_path / "fine"} and weights(tmp_path / "fine/iter_2.pth")
    assert list(failures) == ["broken"] and "nowhere" in failures["broken"]
    fine, broken = (read_state(job.work_dir) for job in jobs)
    assert (fine.phase, fine.exit_status, fine.error) == ("ended", 0, "")
    assert (broken.exit_status, broken.error) == (1, failures["broken"])
    printed, errors = capfd.readouterr()
    assert printed.splitlines().count("Finished fine") == 1 and "Finished broken" not in printed
    assert "nowhere" in errors and "Iter(train)" not in printed, "side by side only errors are shown"


def test_a_stopped_run_continues_in_its_folder(folder):
    """Asked while it is still loading, when signals are not handled yet."""
    job, stop = write_job(folder, "long", iterations=60, seconds=0.1, loading=0.5), Stop()
    stop.ask.set()
    error = train_in_a_process(job, stop=stop)
    assert error.startswith("SIGUSR1: stopped after iteration") and "error" not in error
    state = read_state(job.work_dir)
    assert state.exit_status == 75 and not is_alive(job.work_dir, state)
    reached = max(int(path.stem[5:]) for path in job.work_dir.glob("iter_*.pth"))
    assert reached < 60

    write_job(folder, "long", iterations=60)
    assert train_in_a_process(job) is None
    assert notes(job)[0]["arguments"] == ["--resume"]
    assert read_state(job.work_dir).exit_status == 0 and len(list(job.work_dir.glob("*/vis_data"))) == 2


LAUNCHER = """
import signal, sys
from pathlib import Path
from mmseg.cli import command
from mmseg.launch import process
from mmseg.launch.local import train_all
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a shell
process.TRAIN = (sys.argv[1],)
configs = map(Path, sys.argv[3:])
jobs = {path.stem: process.Job(path.stem, path, Path(sys.argv[2], path.stem), 600) for path in configs}
runs = dict.fromkeys(jobs), lambda name, start: jobs[name], {}, [{}, {}]
sys.exit(command(lambda: print(train_all(*runs)) or 0)())
"""


@pytest.mark.parametrize(
    ("number", "status"),
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 75), (signal.SIGKILL, -9)],
)
def test_end_of_the_launcher(number, status, folder):
    """Asked to, it stops its runs in order; killed, it leaves them running, which a new one can see."""
    jobs = [write_job(folder, name, iterations=600, seconds=0.1) for name in "abc"]
    words = [sys.executable, "-c", LAUNCHER, *process.TRAIN, str(folder / "work")]
    launcher = subprocess.Popen(
        [*words, *(str(job.config) for job in jobs)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    wait_for(lambda: all(list(job.work_dir.glob("*/vis_data/scalars.json")) for job in jobs[:2]), 60)
    launcher.send_signal(number)
    assert launcher.wait(30) == status
    assert not jobs[2].work_dir.exists(), "the next one was not started"
    for job in jobs[:2]:
        state = read_state(job.work_dir)
        if number != signal.SIGKILL:
            assert (state.phase, state.exit_status) == ("ended", 75) and list(job.work_dir.glob("iter_*.pth"))
            continue
        assert state.phase == "running" and is_alive(job.work_dir, state)
        os.kill(state.pid, signal.SIGKILL)
        wait_for(lambda state=state: not birth_of(state.pid))
        assert not is_alive(job.work_dir, state)


def test_a_second_interrupt_ends_runs_at_once(folder):
    job, stop = write_job(folder, "deaf", iterations=600, loading=600), Stop()
    thread = threading.Thread(target=train_in_a_process, kwargs=dict(job=job, stop=stop))
    thread.start()
    wait_for(lambda: read_state(job.work_dir) is not None)
    stop.ask.set()
    time.sleep(0.5)
    assert thread.is_alive(), "it does not listen yet"
    stop.kill.set()
    thread.join(10)
    assert not thread.is_alive() and read_state(job.work_dir).exit_status == -9


# ----------------------------------------------------------------------------------------------- processes


def test_command(tmp_path):
    job = Job("a", Path("configs/a.py"), tmp_path, 10)
    train = ["-m", "mmseg.commands.train", "configs/a.py"]
    assert job.command() == [sys.executable, *train]
    several = Job("a", Path("configs/a.py"), tmp_path, 10, processes=4)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=4"]
    assert several.command() == [sys.executable, *torchrun, *train, "--launcher", "pytorch"]


@pytest.mark.slow
def test_several_processes_stop_in_order(toy_data, tmp_path, monkeypatch):
    """The real trainer under torchrun, two CPU processes: the signal reaches both, status 75 comes back."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    parts = {
        "train_cfg.max_iters": 400,
        "train_cfg.val_interval": 400,
        "default_hooks.checkpoint.interval": 400,
        "default_hooks.preemption.interval": 2,
        "model.decode_head.norm_cfg": dict(type="GN", num_groups=4),
    }
    cfg = toy_config("source_only", toy_data, tmp_path / "work", parts)
    job = Job("two", write_config(cfg, tmp_path / "two.py"), tmp_path / "work", 400, processes=2)
    stop, result = Stop(), []
    thread = threading.Thread(target=lambda: result.append(train_in_a_process(job, quiet=True, stop=stop)))
    thread.start()
    wait_for(lambda: list(job.work_dir.glob("*/vis_data/scalars.json")), 120)
    stop.ask.set()
    thread.join(60)
    assert "stopped after iteration" in result[0]
    assert read_state(job.work_dir).exit_status == 75
    (checkpoint,) = job.work_dir.glob("iter_*.pth")
    assert 0 < int(checkpoint.stem[5:]) < 400 and weights(checkpoint)
