"""DAFormer from two games to two cameras: trained, resumed, scored on each."""

import copy
import json
import shutil

import pytest
import torch
from toy_run import IMAGE_SIZE, NUM_TRAIN, NUM_VAL, log_entries, run_training, uda_config

from mmseg.apis import test as evaluate
from mmseg.checkpoints.weights import read_checkpoint
from mmseg.datasets.conversion.cityscapes import convert_cityscapes
from mmseg.datasets.conversion.gta import GTA
from mmseg.datasets.conversion.runner import convert_dataset
from mmseg.datasets.conversion.synthia import SYNTHIA
from mmseg.errors import ConfigError
from mmseg.reports.collect import read_result
from mmseg.reports.table import Group, columns_of
from mmseg.toy import make_toy_dataset


@pytest.fixture(scope="module")
def two_worlds(tmp_path_factory):
    root = tmp_path_factory.mktemp("worlds")
    make_toy_dataset(root, ["gta", "synthia", "cityscapes", "acdc"], IMAGE_SIZE, NUM_TRAIN, NUM_VAL)
    convert_dataset(GTA, str(root / "gta"), nproc=1)
    convert_dataset(SYNTHIA, str(root / "synthia"), nproc=1)
    convert_cityscapes(str(root / "cityscapes"), nproc=1)
    return root


def several_config(root, work_dir, options=None):
    """Both games as sources, clear and bad weather as targets and for validation."""
    cfg = uda_config(root, work_dir)
    train, val = cfg.train_dataloader.dataset, cfg.val_dataloader.dataset
    acdc = dict(type="ACDCDataset", data_root=str(root / "acdc"))
    weather_target = {**train.target, **acdc, "img_dir": "rgb_anon/train"}
    weather_target.pop("ann_dir", None)
    synthia = {**train.source, "type": "SynthiaDataset", "data_root": str(root / "synthia")}
    synthia = {key: value for key, value in synthia.items() if key not in ("img_dir", "ann_dir")}
    train.source = dict(gta=dict(dataset=train.source), synthia=dict(dataset=synthia, weight=2))
    train.target = dict(clear=dict(dataset=train.target), weather=dict(dataset=weather_target))
    weather_val = {**val, **acdc, "img_dir": "rgb_anon/val", "ann_dir": "gt/val"}
    sets = dict(type="SeveralTestSets", datasets=dict(clear=val, weather=weather_val))
    cfg.val_dataloader.dataset, cfg.test_dataloader.dataset = sets, copy.deepcopy(sets)
    cfg.merge_from_dict(options or {})
    return cfg


@pytest.fixture(scope="module")
def several_run(two_worlds, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp("several") / "run"
    return run_training(several_config(two_worlds, work_dir))


def test_daformer_trains_on_two_sources_and_two_targets(several_run):
    assert several_run.checkpoint.is_file()
    losses = [line for line in log_entries(several_run.work_dir) if "mix.decode.loss_seg" in line]
    assert len(losses) == 4 and losses[-1]["src.loss_imnet_feat_dist"] > 0


def test_a_run_with_several_domains_is_resumed_exactly(several_run, two_worlds, tmp_path):
    shutil.copy(several_run.work_dir / "iter_2.pth", tmp_path)
    resumed = run_training(several_config(two_worlds, tmp_path, {"resume": True}))
    expected = read_checkpoint(several_run.checkpoint)["state_dict"]
    found = read_checkpoint(resumed.checkpoint)["state_dict"]
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_scores_of_each_target_and_their_mean(several_run, two_worlds, tmp_path):
    results = json.loads((several_run.work_dir / "results.json").read_text())
    for name in ("mIoU", "aAcc"):
        assert results[name] == pytest.approx((results[f"clear/{name}"] + results[f"weather/{name}"]) / 2)
    assert results["clear/mIoU"] != results["weather/mIoU"]
    last = [line for line in log_entries(several_run.work_dir) if "weather/mIoU" in line][-1]
    assert last["weather/mIoU"] == pytest.approx(results["weather/mIoU"], abs=0.006)
    columns = columns_of([Group("run", [read_result(several_run.work_dir)])], per_class=False)
    assert columns == ["mIoU", "clear/mIoU", "weather/mIoU"]
    # each domain scores as it does alone
    cfg = several_config(two_worlds, tmp_path / "alone")
    cfg.test_dataloader.dataset = cfg.test_dataloader.dataset.datasets.weather
    alone = evaluate(cfg, several_run.checkpoint)
    cfg = several_config(two_worlds, tmp_path / "both")
    both = evaluate(cfg, several_run.checkpoint, calibration=True, show_dir=tmp_path / "pictures")
    assert both["weather/mIoU"] == alone["mIoU"] == round(results["weather/mIoU"], 2)
    assert both["ECE"] == pytest.approx((both["clear/ECE"] + both["weather/ECE"]) / 2)
    assert (tmp_path / "both" / "weather_calibration.json").is_file()
    assert len(list((tmp_path / "pictures").rglob("*.png"))) == 2 * NUM_VAL


def test_options_for_one_test_set(several_run, two_worlds, tmp_path):
    for options in (dict(augment=(0.5, 1.0)), dict(submission="cityscapes"), dict(norm_images=["*.png"])):
        with pytest.raises(ConfigError, match="found several"):
            evaluate(several_config(two_worlds, tmp_path), several_run.checkpoint, **options)
