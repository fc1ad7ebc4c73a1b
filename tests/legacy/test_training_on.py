"""Training with an old config, from the weights of the old run."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_data import gen
from released_runs import as_json, checkpoint, stored_case
from toy_run import CHANNELS, CROP_SIZE, TEST_SIZE

from mmseg.checkpoints.weights import read_checkpoint
from mmseg.config.load import load_config
from mmseg.registry import MODELS
from tools.train import main as train

SIZES = {"img_scale": list(TEST_SIZE), "crop_size": list(CROP_SIZE), "size": list(CROP_SIZE)}


def shrink(config: Any) -> None:
    """Small images and crops in all pipelines."""
    if isinstance(config, dict):
        config |= {key: value for key, value in SIZES.items() if key in config}
        config = list(config.values())
    for entry in config if isinstance(config, list) else ():
        shrink(entry)


@pytest.fixture
def old_run(tmp_path, toy_data) -> tuple[Path, dict[str, torch.Tensor]]:
    """Config of a DAFormer run on toy data, with ``latest.pth`` beside it, and the student's weights."""
    config = stored_case("daformer")["config"]
    shrink(config["data"])
    for dataset in (
        *map(config["data"]["train"].get, ("source", "target")),
        *map(config["data"].get, ("val", "test")),
    ):
        dataset["data_root"] = str(toy_data / Path(dataset["data_root"]).name)
    config["data"]["train"]["rare_class_sampling"]["min_pixels"] = 0
    config["data"]["workers_per_gpu"] = 0
    config["model"] |= dict(pretrained=None)
    config["model"]["backbone"]["type"] = "mit_b0"
    head = config["model"]["decode_head"]
    head |= dict(in_channels=[32, 64, 160, 256], channels=CHANNELS)
    head["decoder_params"]["embed_dims"] = CHANNELS
    config["uda"] |= dict(imnet_feature_dist_classes=list(range(19)), pseudo_weight_ignore_bottom=20)
    config["runner"]["max_iters"], config["evaluation"]["interval"] = 2, 2
    folder = tmp_path / "old run"
    folder.mkdir()
    path = as_json(config, folder / "daformer")
    student = MODELS.build(load_config(path).model).state_dict()
    gen.fill(student, "model.")
    state = {
        f"{network}.{name}": value for network in ("model", "ema_model") for name, value in student.items()
    }
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2)) for _ in range(3)]).state_dict()
    torch.save({**checkpoint(state), "optimizer": optimizer}, folder / "latest.pth")
    return path, student


def test_weights_are_trained_on(old_run, tmp_path):
    """The first two iterations of the warm-up hardly move the weights."""
    path, student = old_run
    work_dir = tmp_path / "continued"
    arguments = ["--work-dir", str(work_dir), "--load-from", str(path.parent / "latest.pth")]
    assert train([str(path), *arguments]) == 0
    trained = read_checkpoint(work_dir / "iter_2.pth")["state_dict"]
    for name, value in student.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(trained[f"model.{name}"], value, atol=1e-5, rtol=0)
    moved = [name for name, value in student.items() if not torch.equal(trained[f"model.{name}"], value)]
    assert len(moved) > 100 and "mIoU" in json.loads((work_dir / "results.json").read_text())
    assert {p.name for p in path.parent.iterdir()} == {"daformer.json", "latest.pth"}


def test_resuming_an_old_checkpoint_is_refused(old_run, tmp_path, capsys):
    path, _ = old_run
    arguments = ["--work-dir", str(tmp_path / "work"), "--resume-from", str(path.parent / "latest.pth")]
    assert train([str(path), *arguments]) == 1
    message = capsys.readouterr().err
    assert "not the state of a run of this framework" in message and "--load-from" in message
