"""How the runs of an experiment ID are started, skipped, shown and reported."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.config import Config

import experiments
import run_experiments
from experiments import EXPERIMENTS, runs
from mmseg.apis.checks import check_config
from mmseg.apis.config import load_config
from mmseg.datasets.conversion import convert_cityscapes, convert_gta, convert_synthia
from mmseg.datasets.toy import SETS, make_toy_dataset

ROOT = Path(__file__).parents[2]
SMALL_NETWORK = [
    "model.pretrained=None",
    "model.backbone.type=mit_b0",
    "model.decode_head.in_channels=[32,64,160,256]",
]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder of its own to write into."""
    monkeypatch.setattr(run_experiments, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trained(checkout, monkeypatch):
    """Configs that would have been trained; runs with Synthia fail."""
    configs = []

    def train(path: Path) -> str | None:
        cfg = load_config(path)
        configs.append(cfg)
        return "data/synthia: missing" if "syn" in cfg.name else None

    monkeypatch.setattr(run_experiments, "train_in_a_process", train)
    return configs


def finish(name: str, exp: str, iterations: int = 40000, scores: bool = True) -> Path:
    work_dir = Path("work_dirs") / exp / run_experiments.unique_name(name)
    work_dir.mkdir(parents=True)
    (work_dir / f"iter_{iterations}.pth").touch()
    if scores:
        (work_dir / "results.json").touch()
    return work_dir


def files() -> list[Path]:
    return [path for path in Path(".").rglob("*") if path.is_file()]


def test_all_runs_are_started_and_failures_reported(trained, capsys):
    assert run_experiments.main(["--exp", "40"]) == 1
    printed, errors = capsys.readouterr()
    names = [run.name for run in runs(40)]
    assert [line for line in printed.splitlines() if line] == [f"Run job {name}" for name in names]
    assert errors.splitlines() == ["3 of 6 runs failed:"] + [
        f"  {name}: data/synthia: missing" for name in names[3:]
    ]
    assert [re.sub(r"^\d{6}_\d{4}_|_[0-9a-f]{5}$", "", cfg.name) for cfg in trained] == names
    for cfg in trained:
        assert cfg.work_dir == f"work_dirs/local-exp40/{cfg.name}"
        assert Path("configs/generated/local-exp40", f"{cfg.name}.py").is_file()
        assert cfg.train_cfg.max_iters == 40000


def test_finished_runs_are_skipped(trained, capsys):
    first, second, third = (run.name for run in runs(7))
    finished = finish(first, "local-exp7")
    finish(second, "local-exp7", iterations=36000)
    finish(third, "local-exp7", scores=False)
    finish(second, "local-exp8")
    assert run_experiments.main(["--exp", "7"]) == 1
    assert f"Skip {first}: finished in {finished}\n" in capsys.readouterr().out
    assert [cfg.randomness.seed for cfg in trained] == [1, 2]
    trained.clear()
    run_experiments.main(["--exp", "7", "--rerun"])
    assert [cfg.randomness.seed for cfg in trained] == [0, 1, 2]
    trained.clear()
    run_experiments.main(["--exp", "7", "--cfg-options", "train_cfg.max_iters=36000"])
    assert [cfg.randomness.seed for cfg in trained] == [0, 2]


def test_runs_without_network_are_skipped(trained, monkeypatch, capsys):
    axes = runs(85)[0].axes
    rows = [replace(axes, decoder="nothing"), axes]
    monkeypatch.setitem(EXPERIMENTS, 85, experiments.Experiment("two", rows, seeds=[0]))
    assert run_experiments.main(["--exp", "85"]) == 0
    missing, present = runs(85)
    assert f"Skip {missing.name}: network not available yet\n" in capsys.readouterr().out
    assert [cfg.name_decoder for cfg in trained] == [present.axes.decoder]
    run_experiments.main(["--exp", "85", "--list"])
    assert f"    {missing.row_name}: network not available yet s0\n" in capsys.readouterr().out


def test_startup_test_shortens_the_runs_of_the_first_seed(trained):
    assert run_experiments.main(["--exp", "83", "--startup-test", "--debug"]) == 0
    assert [cfg.randomness.seed for cfg in trained] == [0] * 4
    for cfg in trained:
        assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval, cfg.train_cfg.val_begin) == (2, 100, 100)
        assert cfg.log_level == "ERROR" and not cfg.default_hooks.checkpoint.save_last
        assert cfg.work_dir == f"work_dirs/local-exp83-startup/{cfg.name}"
        check_config(cfg)


def test_debugging_and_options(trained):
    options = ["uda.alpha=0.5", "train_cfg.val_interval=7", *SMALL_NETWORK]
    assert run_experiments.main(["--exp", "85", "--debug", "--cfg-options", *options]) == 0
    for cfg in trained:
        intervals = {hook.type: hook.get("interval") for hook in cfg.custom_hooks}
        assert intervals["DebugPicturesHook"] == cfg.default_hooks.logger.interval == 10
        assert cfg.train_cfg.val_interval == 7, "options of the command line win"
        assert cfg.uda.alpha == 0.5 and cfg.model.backbone.type == "mit_b0" and cfg.model.pretrained is None
        check_config(cfg)
    trained.clear()
    assert run_experiments.main(["--exp", "85", "--debug"]) == 0
    assert trained[0].train_cfg.val_interval == 200


def test_an_option_that_does_not_fit_stops_before_the_first_run(trained, capsys):
    assert run_experiments.main(["--exp", "85", "--cfg-options", "modle.pretrained=None"]) == 1
    assert "there is no 'modle'" in capsys.readouterr().err
    assert not trained and not files()


def test_listing(checkout, capsys):
    assert run_experiments.main(["--list"]) == 0
    printed = capsys.readouterr().out
    for exp_id, experiment in EXPERIMENTS.items():
        assert f"\n{exp_id}: {experiment.title} ({len(runs(exp_id))} runs, 0 finished)\n" in f"\n{printed}"
        for run in runs(exp_id):
            assert f"    {run.row_name}: " in printed

    finish(runs(7)[1].name, "local-exp7")
    before = files()
    assert run_experiments.main(["--list", "--exp", "7"]) == 0
    assert capsys.readouterr().out == (
        f"7: {EXPERIMENTS[7].title} (3 runs, 1 finished)\n"
        f"    {runs(7)[0].row_name}: open s0 s2, finished s1\n"
    )
    assert files() == before


def test_dry_run_writes_nothing(trained, capsys):
    finish(runs(7)[1].name, "local-exp7")
    before = files()
    assert run_experiments.main(["--exp", "7", "--dry-run"]) == 0
    printed = capsys.readouterr().out.splitlines()
    for line, run in zip(printed, runs(7), strict=True):
        if run.seed == 1:
            assert line.startswith(f"Skip {run.name}: finished in work_dirs/local-exp7/")
        else:
            assert line == f"{run.name} -> work_dirs/local-exp7/<date>_<time>_{run.name}_<id>"
    assert not trained and files() == before

    config = ROOT / "configs" / "hrda" / "gtaHR2csHR_hrda.py"
    assert run_experiments.main(["--config", str(config), "--dry-run"]) == 0
    assert capsys.readouterr().out == (
        "gtaHR2csHR_hrda_s1 -> work_dirs/local-basic/<date>_<time>_gtaHR2csHR_hrda_s1_<id>\n"
    )
    assert files() == before


@pytest.mark.parametrize(
    "arguments", [[], ["--exp", "7", "--config", "a.py"], ["--list", "--config", "a.py"]]
)
def test_one_of_exp_and_config(arguments, capsys):
    with pytest.raises(SystemExit):
        run_experiments.main(arguments)
    assert "--config" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("print('fine')", None),
        ("import mmseg, sys; sys.exit(0)", None),
        ("import sys; sys.stderr.write('error: data: broken\\nnoise'); sys.exit(1)", "data: broken"),
        ("raise ZeroDivisionError('why')", "ZeroDivisionError: why"),
        ("raise SystemExit(3)", "no message"),
        ("import os; os.kill(os.getpid(), 9)", "no message (killed by signal 9)"),
    ],
)  # fmt: skip
def test_what_a_process_reports(program, error, tmp_path, monkeypatch, capfd):
    """The repository's package is found wherever the program is started."""
    path = tmp_path / "repository" / "tools" / "train.py"
    path.parent.mkdir(parents=True)
    (tmp_path / "repository" / "mmseg.py").touch()
    path.write_text(program)
    monkeypatch.setattr(run_experiments, "TRAIN", path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert run_experiments.train_in_a_process(tmp_path / "config.py") == error
    shown = capfd.readouterr()
    assert error is None or "no message" in error or error in shown.err, "messages are shown as they come"


def test_a_run_without_data_fails_as_explained(tmp_path):
    """The whole way once: the program, its process for the run, the tool."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = ["--exp", "85", "--startup-test", "--cfg-options", *SMALL_NETWORK]
    script = (
        f"import run_experiments as r, pathlib, sys; r.ROOT = pathlib.Path({str(tmp_path)!r}); "
        "sys.exit(r.main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == f"Run job {runs(85)[0].name}\n"
    *_, count, reason = done.stderr.splitlines()
    assert count == "1 of 1 runs failed:" and "Traceback" not in done.stderr
    assert reason.startswith(f"  {runs(85)[0].name}: ") and "data" in reason


# ---------------------------------------------------------------------------------------------- real training


@pytest.mark.slow
def test_startup_test_of_mic_on_all_pairs_of_domains(tmp_path, monkeypatch, capfd):
    """Toy scenes laid out as the real data sets; crops and images are small, all else is as published."""
    data = tmp_path / "data"
    make_toy_dataset(data, list(SETS), (96, 64), 2, 2)
    for name, convert in (
        ("gta", convert_gta),
        ("synthia", convert_synthia),
        ("cityscapes", convert_cityscapes),
    ):
        convert(str(data / name), nproc=1)
    monkeypatch.setattr(run_experiments, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    dataset = "train_dataloader.dataset"
    options = [
        *SMALL_NETWORK, "model.hr_crop_size=(64,64)", "model.test_cfg.crop_size=(128,128)",
        "model.test_cfg.stride=(64,64)", f"{dataset}.rare_class_sampling.min_pixels=0",
        "train_dataloader.num_workers=0",
    ]  # fmt: skip
    for part, resize, crop, pad in (("source", 2, 3, 5), ("target", 1, 2, 4)):
        pipeline = f"{dataset}.{part}.pipeline"
        options += [
            f"{pipeline}.{resize}.scale=(192,128)", f"{pipeline}.{crop}.crop_size=(128,128)",
            f"{pipeline}.{pad}.size=(128,128)",
        ]  # fmt: skip
    status = run_experiments.main(["--exp", "80", "--startup-test", "--cfg-options", *options])
    printed, errors = capfd.readouterr()
    assert status == 0, errors[-3000:]
    assert printed.count("Run job ") == 4
    work_dirs = sorted(Path("work_dirs/local-exp80-startup").iterdir())
    assert len(work_dirs) == 4
    for work_dir in work_dirs:
        assert not list(work_dir.glob("*.pth")) and not (work_dir / "results.json").exists()
        assert list((work_dir / "debug").glob("000001_*.png"))
        written = Config.fromfile(work_dir / f"{work_dir.name}.py")
        assert written.train_cfg.max_iters == 2 and written.uda.masking.mask_generator.mask_block_size == 64
