"""``sh test.sh RUN_DIR``: scores and prediction files of a finished run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from toy_run import IMAGE_SIZE, NUM_VAL, ROOT, toy_config

from mmseg import apis
from mmseg.checkpoints.files import find_checkpoint, find_config
from mmseg.datasets.classes import CITYSCAPES_PALETTE
from mmseg.errors import CheckpointError, ConfigError
from mmseg.launch.run_dir import main as run_dir_tool
from mmseg.visualization.palette_image import blend


def call_test_sh(*arguments):
    environment = {**os.environ, "PYTHON": sys.executable}
    command = ["sh", "test.sh", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def tested(uda_run):
    """The adapted run after ``sh test.sh "…/my daformer run/"``, and what that printed."""
    assert " " in uda_run.work_dir.name
    done = call_test_sh(f"{uda_run.work_dir}/")
    assert done.returncode == 0, done.stderr
    return uda_run.work_dir, done.stdout


def test_prints_what_it_uses_and_the_table(tested):
    run_dir, printed = tested
    assert f"Config File: {run_dir}/daformer.py\n" in printed
    assert f"Checkpoint File: {run_dir}/iter_4.pth\n" in printed
    assert f"Predictions Output Directory: {run_dir}/preds\n" in printed
    results = json.loads((run_dir / "results.json").read_text())
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if "|" in line]
    assert ["Class", "IoU", "Acc"] in rows
    for name in ("road", "car", "bicycle"):
        shown = [f"{results[f'{score}.{name}']:.2f}" for score in ("IoU", "Acc")]
        assert [name, *shown] in rows
    means = [f"{results[name]:.2f}" for name in ("aAcc", "mIoU", "mAcc")]
    assert rows[rows.index(["aAcc", "mIoU", "mAcc"]) + 2] == means


def test_scores_are_those_of_the_last_evaluation_in_training(tested):
    run_dir, _ = tested
    in_training = json.loads((run_dir / "results.json").read_text())
    afterwards = json.loads((run_dir / "test" / "results.json").read_text())
    assert in_training.pop("iteration") == 4 and afterwards.pop("iteration") is None
    assert afterwards == in_training


def test_predictions_are_paletted_train_ids_at_original_size(tested, toy_data):
    run_dir, _ = tested
    images = toy_data / "cityscapes/leftImg8bit/val"
    names = {path.relative_to(images) for path in images.rglob("*.png")}
    written = {
        path.relative_to(run_dir / "preds") for path in (run_dir / "preds").rglob("*") if path.is_file()
    }
    assert written == names and len(names) == NUM_VAL
    for name in names:
        path = str(run_dir / "preds" / name)
        with Image.open(path) as file:
            assert file.mode == "P" and file.size == IMAGE_SIZE
            assert file.getpalette()[: 3 * 19] == [value for color in CITYSCAPES_PALETTE for value in color]
            label = np.array(file)
        assert label.max() < 19
        read = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        assert read.shape[:2] == IMAGE_SIZE[::-1]
        shown = read if read.ndim == 3 else np.array(CITYSCAPES_PALETTE, np.uint8)[read][..., ::-1]
        np.testing.assert_array_equal(shown[..., ::-1], np.array(CITYSCAPES_PALETTE, np.uint8)[label])


def test_predictions_give_the_scores(tested, toy_data):
    """The files themselves, compared with the labels, have the accuracy of the table."""
    run_dir, _ = tested
    right = total = 0
    for path in (run_dir / "preds").rglob("*.png"):
        label_name = (
            path.relative_to(run_dir / "preds").as_posix().replace("leftImg8bit", "gtFine_labelTrainIds")
        )
        label = np.array(Image.open(toy_data / "cityscapes/gtFine/val" / label_name))
        right += ((np.array(Image.open(path)) == label) & (label != 255)).sum()
        total += (label != 255).sum()
    results = json.loads((run_dir / "results.json").read_text())
    assert results["aAcc"] == pytest.approx(100 * right / total)


def test_run_folder_can_be_moved_and_further_options_are_passed_on(source_run, tmp_path):
    """Relative path without slash at the end; colours blended with the image."""
    moved = Path(shutil.copytree(source_run.work_dir, tmp_path / "moved run"))
    options = ["--cfg-options", "test_dataloader.num_workers=1", "--opacity", "0.5"]
    done = call_test_sh(os.path.relpath(moved, ROOT), *options)
    assert done.returncode == 0, done.stderr
    assert f"{os.path.relpath(moved, ROOT)}/iter_4.pth" in done.stdout
    path = next((moved / "preds").rglob("*.png"))
    with Image.open(path) as file:
        assert file.mode == "RGB" and file.size == IMAGE_SIZE


@pytest.mark.parametrize("arguments", [[], ["/no/such folder"]])
def test_usage_is_explained(arguments):
    done = call_test_sh(*arguments)
    assert done.returncode == 2
    assert "usage: sh test.sh RUN_DIR" in done.stderr
    assert all(f"error: {argument} is not a folder" in done.stderr for argument in arguments)


def test_run_without_checkpoint_is_explained(source_run, tmp_path):
    shutil.copy(source_run.work_dir / "source_only.py", tmp_path)
    done = call_test_sh(tmp_path)
    assert done.returncode == 1
    assert f"error: {tmp_path}: no checkpoint" in done.stderr and "Traceback" not in done.stderr


def test_config_and_checkpoint_of_a_run_folder(tmp_path):
    with pytest.raises(ConfigError, match=r"expected one config file .* found none"):
        find_config(tmp_path)
    for name in ("config.py", "results.json", "20220101_1200.log.json"):
        (tmp_path / name).write_text("{}")
    assert find_config(tmp_path) == tmp_path / "config.py"
    (tmp_path / "other.json").write_text("")
    with pytest.raises(ConfigError, match=r"found config\.py, other\.json"):
        find_config(tmp_path)

    with pytest.raises(CheckpointError, match="no checkpoint"):
        find_checkpoint(tmp_path)
    for iteration in (900, 4000, 10000):
        torch.save({}, tmp_path / f"iter_{iteration}.pth")
    assert find_checkpoint(tmp_path) == tmp_path / "iter_10000.pth"
    (tmp_path / "last_checkpoint").write_text("/somewhere/else/iter_4000.pth")
    assert find_checkpoint(tmp_path) == tmp_path / "iter_4000.pth"
    (tmp_path / "latest.pth").write_text("")
    assert find_checkpoint(tmp_path) == tmp_path / "latest.pth"


def test_run_dir_tool(source_run, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run_dir", str(source_run.work_dir)])
    assert run_dir_tool() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [str(source_run.work_dir / "source_only.py"), str(source_run.checkpoint)]
    monkeypatch.setattr(sys, "argv", ["run_dir"])
    assert run_dir_tool() == 1
    assert "usage" in capsys.readouterr().err


def test_api_returns_scores_and_leaves_the_config_alone(uda_run, tmp_path):
    cfg = Config.fromfile(uda_run.work_dir / "daformer.py")
    cfg.work_dir, cfg.experiment_name = str(tmp_path), "test_api"
    before = cfg.pretty_text
    scores = apis.test(cfg, uda_run.checkpoint)
    assert cfg.pretty_text == before
    expected = json.loads((uda_run.work_dir / "results.json").read_text())
    assert scores["mIoU"] == pytest.approx(expected["mIoU"], abs=0.006)
    assert scores["IoU.road"] == pytest.approx(expected["IoU.road"], abs=0.006)


def test_blended_pictures_show_image_and_colours(source_run, toy_data, tmp_path):
    cfg = toy_config("source_only", toy_data, tmp_path / "work")
    apis.test(cfg, source_run.checkpoint, show_dir=tmp_path / "ids")
    cfg.experiment_name += "_blended"
    apis.test(cfg, source_run.checkpoint, show_dir=tmp_path / "blended", opacity=0.25)
    name = next((tmp_path / "ids").rglob("*.png")).relative_to(tmp_path / "ids")
    image = cv2.imread(str(toy_data / "cityscapes/leftImg8bit/val" / name))[..., ::-1]
    expected = blend(image, np.array(Image.open(tmp_path / "ids" / name)), CITYSCAPES_PALETTE, 0.25)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "blended" / name))[..., ::-1], expected)
