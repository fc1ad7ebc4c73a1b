"""Starting a run: what is not imported, and the benchmark that measures it."""

import subprocess
import sys

import pytest
from mmengine.config import Config

from benchmarks import startup
from mmseg.datasets import GTADataset, RareClassSampling

SLOW_AND_NOT_NEEDED = ["matplotlib", "tensorboard", "timm", "wandb"]


@pytest.mark.parametrize("program", ["tools.train", "run_experiments"])
def test_programs_do_not_import_what_they_rarely_need(program):
    code = f"import {program}, sys; print(*[name for name in {SLOW_AND_NOT_NEEDED} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=startup.ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []


def test_prepared_data_is_as_large_as_asked_and_readable(tmp_path):
    cfg = Config.fromfile(startup.ROOT / "configs/quickstart/daformer.py")
    cfg.train_dataloader.dataset.source.data_root = "data/gta"
    cfg.train_dataloader.dataset.target.data_root = "data/cityscapes"
    cfg.val_dataloader.dataset.data_root = "data/cityscapes"
    startup.prepare(tmp_path, cfg, (128, 64), images=7)
    source = GTADataset(str(tmp_path / "data/gta"))
    assert len(source) == 7 and len({sample.name for sample in source.samples}) == 7
    rcs = RareClassSampling(source, min_pixels=0)
    assert {index for found in rcs.candidates.values() for index in found} == set(range(7))


def test_times_the_start_of_a_run(capsys):
    config = str(startup.ROOT / "configs/quickstart/daformer.py")
    settings = ["train_dataloader.num_workers=0", "train_dataloader.dataset.rare_class_sampling.min_pixels=0"]
    options = ["--size", "256x128", "--images", "4", "--cfg-options", *settings]
    assert startup.main(["--config", config, *options]) == 0
    shown = capsys.readouterr().out
    assert all(part in shown for part in ("imports", "networks: build", "until the first iteration"))
