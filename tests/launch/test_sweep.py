"""Sweeps: a config file with several seeds and settings."""

import json
from pathlib import Path

import pytest
from launched_runs import write_trainer

from mmseg.errors import ConfigError
from mmseg.experiments.sweep import in_name, short_names, sweep
from mmseg.launch import process
from mmseg.launch.main import launch

CONFIG = """
iterations = 2
uda = dict(type="DACS", alpha=0.9)
optim_wrapper = dict(optimizer=dict(lr=0.1))
train_cfg = dict(max_iters=2)
randomness = dict(seed=0)
"""


@pytest.fixture
def config(tmp_path, monkeypatch) -> str:
    """A config of the stand-in trainer, in a folder of its own to write into."""
    monkeypatch.setattr(process, "TRAIN", (str(write_trainer(tmp_path)),))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    Path("roads.py").write_text(CONFIG)
    return "roads.py"


def words(config: str, *more: str) -> list[str]:
    return ["--config", config, "--seeds", "0", "3", "--grid", "uda.alpha=0.99,0.999", *more]


def test_every_combination_is_a_row(config):
    experiment = sweep(
        config, (0, 1, 1), {"uda.alpha": [0.99, 0.5], "optim_wrapper.optimizer.lr": [1e-4, 6e-5]}
    )
    assert [run.name for run in experiment.runs("x")][:3] == [
        "roads_alpha0.99_lr0.0001_s0",
        "roads_alpha0.99_lr0.0001_s1",
        "roads_alpha0.99_lr6e-05_s0",
    ]
    assert len(experiment.runs("x")) == 8
    last = experiment.runs("x")[-1].config()
    assert (last.uda.alpha, last.optim_wrapper.optimizer.lr, last.randomness.seed) == (0.5, 6e-5, 1)
    assert experiment.title == "roads.py: 2 uda.alpha x 2 optim_wrapper.optimizer.lr"


def test_names_have_as_many_words_as_they_need():
    assert short_names(["uda.alpha", "a.lr", "b.lr"]) == {
        "uda.alpha": "alpha",
        "a.lr": "a.lr",
        "b.lr": "b.lr",
    }
    assert short_names(["lr", "b.lr"]) == {"lr": "lr", "b.lr": "b.lr"}
    assert [in_name(value) for value in ((512, 256), "a b/c", 1e-5, None)] == [
        "512-256",
        "a-b-c",
        "1e-05",
        "None",
    ]


def test_rows_of_one_name_and_settings_that_do_not_fit(config):
    with pytest.raises(ConfigError, match="several combinations of values have the name 'roads_typea-b'"):
        sweep(config, (0,), {"uda.type": ["a b", "a/b"]})
    with pytest.raises(ConfigError, match=r"there is no 'udaa' in roads\.py; did you mean 'uda'"):
        sweep(config, (0,), {"udaa.alpha": [1]})
    with pytest.raises(ConfigError, match=r"roads2\.py: no such config file"):
        sweep("roads2.py", (0,), {})


def test_runs_are_trained_listed_and_not_repeated(config, capsys):
    assert launch({}, words(config, "--max-parallel", "2")) == 0
    said = capsys.readouterr().out
    assert "All runs are finished: python tools/results_table.py work_dirs/local-sweep_roads/*/" in said
    folders = sorted(Path("work_dirs/local-sweep_roads").glob("*/results.json"))
    assert len(folders) == 4 and json.loads(folders[0].read_text())["iteration"] == 2
    generated = Path("configs/generated/local-sweep_roads").glob("*.py")
    assert sum("alpha=0.999" in path.read_text() for path in generated) == 2
    assert launch({}, words(config, "--list")) == 0
    assert capsys.readouterr().out.splitlines() == [
        "sweep_roads: roads.py: 2 uda.alpha (4 runs, 4 finished)",
        "    roads_alpha0.99: finished s0 s3",
        "    roads_alpha0.999: finished s0 s3",
    ]
    assert launch({}, words(config, "--runs", "*0.999_s3")) == 0
    assert "Skip roads_alpha0.999_s3: finished" in capsys.readouterr().out


def test_seeds_alone_and_options_without_a_config(config, capsys):
    assert launch({}, ["--config", config, "--seeds", "5", "6", "--dry-run"]) == 0
    assert [line.split(" -> ")[0] for line in capsys.readouterr().out.splitlines()] == [
        "roads_s5",
        "roads_s6",
    ]
    for arguments, message in {
        ("--seeds", "1", "--exp", "1"): "--seeds and --grid belong to --config",
        ("--config", config, "--runs", "x"): "--runs belongs to --exp, or to --config with --seeds",
        ("--config", config, "--list"): "or a --config with --seeds or --grid",
    }.items():
        with pytest.raises(SystemExit):
            launch({}, list(arguments))
        assert message in capsys.readouterr().err
