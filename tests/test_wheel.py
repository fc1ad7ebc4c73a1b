"""The package as pip installs it: away from the checkout, every command runs in an empty folder."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from toy_run import ROOT

from mmseg.config.base import CONFIGS
from mmseg.experiments.table import runs

SETTINGS = [
    "model.backbone.type=mit_b0", "train_cfg.max_iters=2", "train_cfg.val_interval=2",
    "default_hooks.checkpoint.interval=2", "train_dataloader.num_workers=0", "val_dataloader.num_workers=0",
]  # fmt: skip
OLD_RUN = ROOT / "tests/golden/legacy/daformer.json"


def run(*words: object, cwd: Path) -> str:
    """The output of a program that finds no checkout."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, words)], cwd=cwd, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel; what the package needs is taken from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("mmseg", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, source, cwd=folder)
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv/bin/python"
    (site,) = (folder / "venv/lib").glob("*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))  # an editable install there is not seen
    (wheel,) = folder.glob("*.whl")
    run(*pip, "--python", python, "install", "-q", "--no-deps", wheel, cwd=folder)
    return folder / "venv/bin"


@pytest.mark.slow
def test_the_wheel_trains_and_predicts_from_an_empty_folder(environment, tmp_path):
    def mmseg(*words: object) -> str:
        return run(environment / "mmseg-uda", *words, cwd=tmp_path)

    assert "train a config" in mmseg("--help")
    mmseg("toy", "data/toy", "--sets", "gta,cityscapes", "--size", "256x128", "--train", 4, "--val", 2)
    for name in ("gta", "cityscapes"):
        assert "labels converted" in mmseg("convert", name, f"data/toy/{name}", "--nproc", 1)
    config = "mmseg::quickstart/dacs.py"
    mmseg("train", config, "--work-dir", "run", "--cfg-options", *SETTINGS)
    assert (tmp_path / "run/results.json").is_file()
    mmseg("test", "run/dacs.py", "run/iter_2.pth", "--show-dir", "shown")
    images = tmp_path / "data/toy/cityscapes/leftImg8bit/val"
    shown = mmseg(
        "predict", next(images.rglob("*.png")), config, "run/iter_2.pth", "--out-dir", "predictions"
    )
    assert (tmp_path / shown.splitlines()[-1]).is_file()
    mmseg("publish", "run/iter_2.pth", "network", "--config", "run/dacs.py")
    mmseg("export", "network", "network", "--format", "pt2", "--out", "net.pt2", "--size", 256, 512)
    for name in ("network", "net.pt2"):
        mmseg("predict", images, name, "--out-dir", f"predictions of {name}", "--save", "ids")
        assert len([*(tmp_path / f"predictions of {name}").rglob("*_ids.png")]) == 2

    mmseg("configs", "configs")
    copied = {path.relative_to(tmp_path / "configs") for path in tmp_path.glob("configs/**/*.py")}
    assert copied == {
        path.relative_to(CONFIGS) for path in CONFIGS.rglob("*.py") if "generated" not in path.parts
    }
    mmseg("verify", "configs/quickstart/dacs.py", "--quick")


@pytest.mark.slow
def test_the_wheel_knows_the_experiments(environment, tmp_path):
    command = environment / "mmseg-uda"
    assert "    toy_oracle: open s0 s1 s2\n" in run(command, "run", "--list", cwd=tmp_path)
    shown = run(command, "run", "--exp", 0, "--dry-run", cwd=tmp_path).splitlines()
    assert len(shown) == len(runs(0)) and shown[0].startswith("toy_source_only_s0 -> work_dirs/local-exp0/")
    table = run(command, "results", "--exp", 7, "--format", "markdown", cwd=tmp_path)
    assert "| gta" not in table and "| syn2cs_dacs" in table and "| 60.9 (mIoU16) |" in table
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_wheel_reads_a_config_of_the_published_code(environment, tmp_path):
    config = tmp_path / "old.json"
    config.write_text(json.dumps(json.loads(OLD_RUN.read_text())["config"]))
    code = f"from mmseg.config.load import load_config; print(load_config({str(config)!r}).train_cfg.type)"
    assert "Loop" in run(environment / "python", "-c", code, cwd=tmp_path)
