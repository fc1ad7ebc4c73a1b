"""The programs as they are called from a terminal."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from toy_run import ROOT, log_entries, toy_config, uda_config, write_config

import run_experiments
from mmseg.apis import training
from mmseg.cli import command
from mmseg.commands import train as train_tool
from mmseg.errors import ConfigError, DataError
from mmseg.launch import run_folders

PROGRAMS = [
    "run_experiments.py",
    "tools/train.py",
    "tools/test.py",
    "tools/verify_dataset.py",
    "tools/make_toy_dataset.py",
    "tools/quickstart.py",
    "demo/image_demo.py",
    *(f"tools/{name}.py" for name in ("print_config", "browse_dataset", "get_param_count")),
    *(f"tools/{name}.py" for name in ("analyze_logs", "compare_runs", "results_table")),
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_printed(program, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [program, "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / program), run_name="__main__")
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: {Path(program).name} ") and len(printed.splitlines()) > 5


def test_errors_are_explained_without_traceback(tmp_path):
    command = [sys.executable, "tools/train.py", str(tmp_path / "nothing.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == "" and done.stderr == f"error: {tmp_path}/nothing.py: no such config file\n"


def test_a_training_shows_its_progress_and_nothing_else(toy_data, tmp_path):
    options = {"train_cfg.max_iters": 2, "uda.imnet_feature_dist_lambda": 0}
    options["param_scheduler.0.warmup_iters"] = 1
    config = write_config(uda_config(toy_data, tmp_path / "run", options), tmp_path / "quiet.py")
    command = [sys.executable, "tools/train.py", str(config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Iter(train) [2/2]" in done.stdout and "| road " in done.stdout
    for noise in ("WARNING", "Warning", "deprecated", "Environment:", "Hooks will be", "SyncBatchNorm"):
        assert noise not in done.stdout


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("program", ["run_experiments.py --list", "tools/print_config.py --exp 80"])
def test_a_reader_of_the_output_may_leave(program, buffered):
    """As ``| head`` does; Python notices when it prints, or not before it ends."""
    read, write = os.pipe()
    os.close(read)
    environment = {**os.environ, "PYTHONUNBUFFERED": buffered}
    process = [sys.executable, *program.split()]
    done = subprocess.run(process, cwd=ROOT, env=environment, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


# -------------------------------------------------------------------------------------------- run_experiments


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git repository of its own to write into."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    monkeypatch.setattr(run_folders, "ROOT", tmp_path)
    subprocess.run([*git, "init", "-q", str(tmp_path)], check=True)
    commit = [*git, "-C", str(tmp_path), "commit", "-q", "--allow-empty", "-m", "empty"]
    subprocess.run(commit, check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def revision(checkout):
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_run_experiments_writes_a_child_config_and_runs_it(checkout, toy_data, capsys):
    cfg = uda_config(toy_data, checkout / "not used", {"train_cfg.max_iters": 1})
    cfg.name, cfg.exp = "toy", "first"
    parent = write_config(cfg, checkout / "configs" / "mine" / "parent.py")
    options = ["--cfg-options", "train_cfg.val_interval=1", "uda.alpha=0.5"]
    assert run_experiments.main(["--config", str(parent), *options]) == 0
    shown = capsys.readouterr().out
    assert "Run job toy" in shown and "Saving checkpoint at 1 iterations" in shown

    (child,) = (checkout / "configs/generated/local-first").iterdir()
    assert re.fullmatch(r"\d{6}_\d{4}_toy_[0-9a-f]{5}", child.stem)
    written = Config.fromfile(child)
    assert written.name == child.stem and written.git_rev == revision(checkout)
    assert written.work_dir == f"work_dirs/local-first/{child.stem}"
    assert written.model == cfg.model and written.uda == {**cfg.uda, "alpha": 0.5}

    work_dir = checkout / written.work_dir
    (log,) = work_dir.glob("*/*.log")
    for message in ("Environment:", "Hooks will be executed", '"FileClient" will be deprecated'):
        assert message in log.read_text() and message not in shown, "that is for the file"
    stored = Config.fromfile(work_dir / child.name)
    assert stored.uda.alpha == 0.5, "overrides are part of what the run stores"
    assert (work_dir / "iter_1.pth").is_file() and (work_dir / "results.json").is_file()
    assert log_entries(work_dir)[0]["iter"] == 1
    assert not (checkout / "not used").exists()


def test_every_run_has_its_own_name(checkout, monkeypatch):
    started = []

    class Runner:
        def __init__(self, cfg):
            self.cfg = cfg

        def train(self):
            started.append((self.cfg.name, self.cfg.work_dir))

    monkeypatch.setattr(training, "check_before_training", lambda cfg: None)
    monkeypatch.setattr(training, "build_runner", Runner)
    parent = checkout / "my config.py"
    parent.write_text("model = dict()")
    for _ in range(2):
        assert run_experiments.main(["--config", str(parent)]) == 0
    assert len(set(started)) == 2
    for name, work_dir in started:
        assert re.fullmatch(r"\d{6}_\d{4}_my config_[0-9a-f]{5}", name)
        assert work_dir == f"work_dirs/local-basic/{name}"
    assert len(list((checkout / "configs/generated/local-basic").iterdir())) == 2
    with pytest.raises(ConfigError, match="exists already"):
        run_folders.write_config(Config(), started[0][0], "local-basic")


def test_outside_of_git_there_is_no_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(run_folders, "ROOT", tmp_path)
    assert run_folders.git_revision() == ""


def test_run_experiments_explains_a_missing_config(checkout, capsys):
    assert run_experiments.main(["--config", "nothing.py"]) == 1
    assert capsys.readouterr().err == "error: nothing.py: no such config file\n"
    assert not (checkout / "configs").exists()


# ------------------------------------------------------------------------------------------------ tools/train


@pytest.fixture
def started(monkeypatch):
    """Configs that tools/train.py would train."""
    configs = []
    monkeypatch.setattr(training, "train", configs.append)
    return configs


def test_options_of_train_reach_the_config(toy_data, tmp_path, started):
    config = str(write_config(toy_config("source_only", toy_data, tmp_path), tmp_path / "config.py"))
    assert train_tool.main([config]) == 0
    arguments = [
        "--work-dir",
        "there",
        "--load-from",
        "a.pth",
        "--seed",
        "7",
        "--deterministic",
        "--no-validate",
    ]
    assert train_tool.main([config, *arguments]) == 0
    plain, full = started
    assert (plain.work_dir, plain.load_from, plain.resume, plain.randomness.seed) == (
        str(tmp_path),
        None,
        False,
        0,
    )
    assert (full.work_dir, full.load_from, full.resume) == ("there", "a.pth", False)
    assert full.randomness == dict(seed=7, deterministic=True)
    assert full.val_dataloader is full.val_cfg is full.val_evaluator is None
    assert full.test_dataloader is not None


@pytest.mark.parametrize(
    ("arguments", "source"), [(["--resume"], None), (["--resume-from", "b.pth"], "b.pth")]
)
def test_resuming(toy_data, tmp_path, started, arguments, source):
    config = str(write_config(toy_config("source_only", toy_data, tmp_path), tmp_path / "config.py"))
    assert train_tool.main([config, *arguments]) == 0
    assert started[0].resume is True and started[0].load_from == source


def test_overrides_have_types_and_may_have_their_published_name(toy_data, tmp_path, started):
    config = str(write_config(uda_config(toy_data, tmp_path), tmp_path / "config.py"))
    overrides = [
        "uda.alpha=0.5",
        "uda.blur=False",
        "train_dataloader.dataset.target.crop_pseudo_margins=[1,2,3,4]",
    ]
    assert train_tool.main([config, "--options", *overrides, "custom_hooks.0.interval=9"]) == 0
    (cfg,) = started
    assert cfg.uda.alpha == 0.5 and cfg.uda.blur is False
    assert list(cfg.train_dataloader.dataset.target.crop_pseudo_margins) == [1, 2, 3, 4]
    assert cfg.custom_hooks[0].interval == 9


# ------------------------------------------------------------------------------------------------ the wrapper


def test_commands_return_an_exit_status(capsys):
    def main(result):
        if isinstance(result, Exception):
            raise result
        return result

    run = command(main)
    assert (run(None), run(3)) == (0, 3)
    assert run(DataError("data/gta: broken")) == 1
    assert capsys.readouterr().err == "error: data/gta: broken\n"
    with pytest.raises(ZeroDivisionError):  # a defect of the framework keeps its traceback
        run(ZeroDivisionError())


def test_message_of_a_data_worker(capsys):
    text = (
        "Caught DataError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        '  File "x.py", line 1\nmmseg.errors.DataError: a.png: the file is truncated\n'
    )
    assert command(lambda: (_ for _ in ()).throw(DataError(text)))() == 1
    assert capsys.readouterr().err == "error: a.png: the file is truncated\n"


def test_another_package_of_the_same_name_is_refused(tmp_path, monkeypatch, capsys):
    """As when the published package is installed and a tool of this checkout is called."""
    (tmp_path / "mmseg").mkdir()
    (tmp_path / "mmseg" / "__init__.py").write_text("")
    (tmp_path / "run_experiments.py").write_text("")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "run_experiments.py")])
    assert command(lambda: 0)() == 1
    message = capsys.readouterr().err
    assert "the package mmseg is imported from" in message and "pip uninstall mmsegmentation" in message
