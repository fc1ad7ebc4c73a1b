"""A metric of a user's own, registered in a config: wherever scores are shown or stored, it is among them."""

import csv
import io
import json

import numpy as np
import pytest
import torch
from tested_run import label_of, run_tool, val_images
from toy_run import log_entries, run_training, toy_config, write_config

from mmseg.checkpoints.files import find_config
from mmseg.config.load import load_config
from mmseg.evaluation.report import format_scores, write_results
from mmseg.registry import METRICS
from tools import results_table


@pytest.fixture(scope="module")
def run(toy_data, tmp_path_factory):
    """A run whose config registers two metrics."""
    work_dir = tmp_path_factory.mktemp("own") / "own_s0"
    cfg = toy_config("source_only", toy_data, work_dir, {"train_cfg.max_iters": 2})
    cfg.custom_imports = dict(imports=["own_metrics"])
    cfg.val_evaluator = [dict(type="IoUMetric"), dict(type="LabelledShare"), dict(type="Images")]
    cfg.test_evaluator = cfg.val_evaluator
    return run_training(load_config(write_config(cfg, work_dir / "own_s0.py")))


def labelled_share(toy_data) -> float:
    return np.mean([(label_of(image) != 255).mean() for image in val_images(toy_data)])


def test_it_is_logged_and_stored_in_training(run, toy_data):
    results = json.loads((run.work_dir / "results.json").read_text())
    assert results["iteration"] == 2 and "IoU.road" in results
    assert results["own/labelled"] == pytest.approx(labelled_share(toy_data))
    assert (results["data/images"], results["data/images_squared"], results["own/Share.road"]) == (2, 4, 0.25)
    table = json.loads((run.work_dir / "data_table.json").read_text())
    assert table == [{"number": 2, "nothing": None}]
    (evaluation,) = [entry for entry in log_entries(run.work_dir) if "mIoU" in entry]
    assert (
        evaluation["own/labelled"] == pytest.approx(labelled_share(toy_data))
        and evaluation["data/images"] == 2
    )
    log = next(run.work_dir.glob("*/*.log")).read_text()
    assert "own/labelled" in log and "images_squared" not in log


def test_it_is_in_the_tables_of_a_test(run, toy_data, tmp_path, capsys):
    options = ["--calibration", "--confusion-matrix", tmp_path, "--eval", "mFscore", "--work-dir", tmp_path]
    assert run_tool(run, *options) == 0
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    header = ["aAcc", "mFscore", "mPrecision", "mRecall", "own/labelled", "data/images", "ECE"]
    means = rows[rows.index(header) + 2]
    assert float(means[4]) == pytest.approx(labelled_share(toy_data), rel=1e-4) and means[5] == "2"
    classes = rows.index(["Class", "Fscore", "Precision", "Recall", "own/Share"])
    assert rows[classes + 2][0] == "road" and rows[classes + 2][-1] == "0.25"
    assert rows[classes + 3][0] == "sidewalk" and rows[classes + 3][-1] == "-"
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["data/images_squared"] == 4 and results["ECE"] > 0 and results["mIoU"] > 0
    assert (tmp_path / "confusion_matrix.csv").is_file() and (tmp_path / "calibration.json").is_file()


def test_it_is_in_the_table_over_runs(run, capsys):
    assert results_table.main([str(run.work_dir), "--format", "csv"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    stored = json.loads((run.work_dir / "results.json").read_text())
    for name in ("mIoU", "own/labelled", "data/images", "data/images_squared"):
        assert float(row[name]) == stored[name]
    assert not {"aAcc", "mDice", "own/Share.road", "IoU.road"} & set(row)


def test_its_files_are_no_configs(run):
    """``test.sh RUN_DIR`` looks for the config among them."""
    assert find_config(run.work_dir).suffix == ".py"


def test_names_of_files_and_texts_of_numbers(tmp_path):
    metric = METRICS.get("LabelledShare")()
    metric.report = lambda: {"table": {"a": 1}, "labelled": 0.123456}
    write_results(tmp_path, None, {"own/labelled": 0.12, "mIoU": torch.tensor(float("nan"))}, [metric])
    stored = json.loads((tmp_path / "results.json").read_text())
    assert stored == {"iteration": None, "own/labelled": 0.123456, "mIoU": None}
    assert json.loads((tmp_path / "own_table.json").read_text()) == {"a": 1}
    text = format_scores({"a": 0.00012345678, "b": 68.5, "c": float("nan"), "d": 3, "e": [1]}, ())
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert cells[0] == ["a", "b", "c", "d"] and cells[2] == ["0.00012346", "68.50", "-", "3"]
