"""Whole training runs: what they leave behind, and that they can be repeated and resumed exactly."""

import json
import math
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy_run import (
    CROP_SIZE,
    NUM_TRAIN,
    ROOT,
    log_entries,
    run_training,
    toy_config,
    uda_config,
    weights,
    write_config,
)

from mmseg import apis
from mmseg.apis import testing, training
from mmseg.checkpoints.weights import read_checkpoint
from mmseg.datasets.classes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.registry import HOOKS, MODELS
from mmseg.visualization.debug_pictures import COLUMNS
from mmseg.visualization.grid import GAP, LINE_HEIGHT, MIN_WIDTH
from tools import train as train_tool

WITHOUT_VALIDATION = {"val_dataloader": None, "val_cfg": None, "val_evaluator": None}
UDA_LOSSES = {"decode.loss_seg", "src.loss_imnet_feat_dist", "mix.decode.loss_seg"}


@HOOKS.register_module()
class PowerFailureHook(Hook):
    """Stops a run in the middle."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 2:
            raise InterruptedError("power failure")


def training_lines(work_dir):
    return [entry for entry in log_entries(work_dir) if "lr" in entry]


def expected_rates(base, max_iters, warmup_iters, start=0):
    """Linear decay, times a linear warm-up that starts at a millionth."""
    for t in range(start, max_iters):
        factor = 1 - (1 - min(t / warmup_iters, 1)) * (1 - 1e-6)
        yield base * (1 - t / max_iters) * factor


def assert_equal_states(found, expected):
    assert found.keys() == expected.keys()
    different = [name for name, value in expected.items() if not torch.equal(found[name], value)]
    assert not different


# ------------------------------------------------------------------------------------------ what a run leaves


def test_functions_are_found_by_name():
    assert apis.train is training.train and apis.test is testing.test
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        apis.trian  # noqa: B018


@pytest.mark.parametrize("name", ["source_run", "uda_run"])
def test_log_holds_finite_losses_and_the_scheduled_rate(name, request):
    run = request.getfixturevalue(name)
    lines = training_lines(run.work_dir)
    assert [line["iter"] for line in lines] == [1, 2, 3, 4]
    names = UDA_LOSSES if name == "uda_run" else {"decode.loss_seg"}
    assert all(names <= line.keys() for line in lines)
    values = [value for line in lines for value in line.values()]
    assert all(math.isfinite(value) for value in values)
    assert lines[0]["decode.loss_seg"] == pytest.approx(math.log(19), rel=0.2), "an untrained network guesses"
    rates = list(expected_rates(run.cfg.optim_wrapper.optimizer.lr, 4, 2))
    assert [line["lr"] for line in lines] == pytest.approx(rates, rel=1e-6)
    assert len(set(rates)) == 4


def test_feature_distance_starts_at_zero_and_grows(uda_run):
    distances = [line["src.loss_imnet_feat_dist"] for line in training_lines(uda_run.work_dir)]
    assert distances[0] == 0, "the encoder starts as the ImageNet branch"
    assert distances[-1] > 0


def test_last_two_and_best_checkpoints_are_kept(source_run, uda_run):
    for run in (source_run, uda_run):
        scores = {line["step"]: line["mIoU"] for line in log_entries(run.work_dir) if "mIoU" in line}
        assert scores.keys() == {2, 4}
        best = max(scores, key=lambda step: (scores[step], -step))
        kept = {path.name for path in run.work_dir.glob("*.pth")}
        assert kept == {"iter_2.pth", "iter_4.pth", f"best_mIoU_iter_{best}.pth"}
        assert (run.work_dir / "last_checkpoint").read_text().strip() == str(run.checkpoint)


def test_results_file(uda_run):
    results = json.loads((uda_run.work_dir / "results.json").read_text())
    assert results["iteration"] == 4
    found = [results[f"IoU.{name}"] for name in CITYSCAPES_CLASSES]
    occurring = [value for value in found if value is not None]
    assert len(occurring) > 5 and all(0 <= value <= 100 for value in occurring)
    assert results["mIoU"] == pytest.approx(sum(occurring) / len(occurring))
    logged = [line["mIoU"] for line in log_entries(uda_run.work_dir) if "mIoU" in line]
    assert results["mIoU"] == pytest.approx(logged[-1], abs=0.005)
    assert {f"Acc.{name}" for name in CITYSCAPES_CLASSES} <= results.keys()


def test_tensorboard_curves(uda_run):
    (file,) = uda_run.work_dir.glob("*/vis_data/events.out.tfevents.*")
    events = EventAccumulator(str(file))
    events.Reload()
    assert {*UDA_LOSSES, "lr", "mIoU", "IoU/road"} <= set(events.Tags()["scalars"])
    logged = [line["mix.decode.loss_seg"] for line in training_lines(uda_run.work_dir)]
    curve = [(event.step, event.value) for event in events.Scalars("mix.decode.loss_seg")]
    assert [step for step, _ in curve] == [1, 2, 3, 4]
    assert [value for _, value in curve] == pytest.approx(logged, rel=1e-5)


def test_debug_pictures_show_what_the_step_saw(uda_run):
    height, width = CROP_SIZE[0] + LINE_HEIGHT + GAP, MIN_WIDTH + GAP
    pictures = sorted((uda_run.work_dir / "debug").iterdir())
    assert [path.name for path in pictures] == [
        "000001_0.png",
        "000001_1.png",
        "000003_0.png",
        "000003_1.png",
    ]
    palette = {tuple(color) for color in [*CITYSCAPES_PALETTE, (0, 0, 0)]}
    for path in pictures:
        grid = cv2.imread(str(path))[..., ::-1]
        assert grid.shape == (2 * height - GAP, COLUMNS * width - GAP, 3)
        tiles = [
            grid[row * height + LINE_HEIGHT :][: CROP_SIZE[0], column * width :][:, : CROP_SIZE[1]]
            for row in range(2)
            for column in range(COLUMNS)
        ]
        source, source_label, target, _, pseudo_label, mixed, mixed_label, weight = tiles
        for label in (source_label, pseudo_label, mixed_label):
            assert {tuple(color) for color in label.reshape(-1, 3).tolist()} <= palette
        assert min(source.std(), target.std(), mixed.std()) > 5
        # margins of 256 of 1024 rows at top and bottom, no confidence threshold
        assert set(np.unique(weight)) == {0, 255}
        assert (weight[16:48] == 255).all()
        untrusted = (weight == 0).all(axis=2)
        assert untrusted.any()
        np.testing.assert_array_equal(mixed_label[untrusted], pseudo_label[untrusted])


def test_source_only_has_nothing_to_draw(source_run):
    assert not (source_run.work_dir / "debug").exists()


def test_teacher_follows_and_takes_no_gradient(uda_run):
    student = weights(uda_run.checkpoint, "model.")
    teacher = weights(uda_run.checkpoint, "ema_model.")
    imnet = weights(uda_run.checkpoint, "imnet_model.")
    names = [name.removeprefix("model.") for name, _ in uda_run.model.named_parameters()]
    names = [name for name in names if f"model.{name}" in student]
    assert sum(not torch.equal(student[f"model.{n}"], teacher[f"ema_model.{n}"]) for n in names) > 0.9 * len(
        names
    )
    assert any(not torch.equal(teacher[f"ema_model.{n}"], imnet[f"imnet_model.{n}"]) for n in names)
    distance = [
        sum((student[f"model.{n}"] - other[n]).abs().sum() for n in names)
        for other in (
            {n: teacher[f"ema_model.{n}"] for n in names},
            {n: imnet[f"imnet_model.{n}"] for n in names},
        )
    ]
    assert distance[0] < distance[1], "the teacher lies between start and student"
    optimized = sum(
        len(group["params"]) for group in read_checkpoint(uda_run.checkpoint)["optimizer"]["param_groups"]
    )
    assert optimized == len(names)
    for name, parameter in uda_run.model.named_parameters():
        assert parameter.requires_grad == name.startswith("model."), name
        assert (parameter.grad is not None) == name.startswith("model."), name


def test_checkpoint_knows_its_classes_and_iteration(uda_run):
    checkpoint = read_checkpoint(uda_run.checkpoint)  # torch.load with weights_only
    meta = checkpoint["meta"]
    assert meta["iter"] == 4
    assert tuple(meta["dataset_meta"]["classes"]) == CITYSCAPES_CLASSES
    assert int(checkpoint["state_dict"]["_extra_state"]) == 4 == uda_run.model.iteration


def test_stored_config_starts_the_same_run_again(uda_run, tmp_path):
    """The config in the run folder keeps network and method apart."""
    (stored,) = uda_run.work_dir.glob("*.py")
    options = ["train_cfg.max_iters=1", "train_cfg.val_interval=1"]
    assert train_tool.main([str(stored), "--work-dir", str(tmp_path), "--cfg-options", *options]) == 0
    first = training_lines(uda_run.work_dir)[0]
    again = training_lines(tmp_path)[0]
    assert {name: again[name] for name in UDA_LOSSES} == {name: first[name] for name in UDA_LOSSES}


# ------------------------------------------------------------------------------------- repeating and resuming


def test_seed_decides_and_workers_and_validation_do_not(uda_run, toy_data, tmp_path):
    expected = weights(uda_run.checkpoint)
    config = write_config(uda_config(toy_data, tmp_path / "same"), tmp_path / "config.py")
    command = [sys.executable, "tools/train.py", str(config), "--no-validate"]
    command += ["--cfg-options", "train_dataloader.num_workers=2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_equal_states(weights(tmp_path / "same" / "iter_4.pth"), expected)
    assert not (tmp_path / "same" / "results.json").exists()

    options = {"train_cfg.max_iters": 1, **WITHOUT_VALIDATION}
    config = write_config(uda_config(toy_data, tmp_path / "other", options), tmp_path / "config.py")
    assert train_tool.main([str(config), "--seed", "1"]) == 0
    first, different = training_lines(uda_run.work_dir)[0], training_lines(tmp_path / "other")[0]
    assert first["decode.loss_seg"] != different["decode.loss_seg"]
    other = weights(tmp_path / "other" / "iter_1.pth", "model.")
    random = [name for name, value in other.items() if value.dim() == 4]
    assert random and not any(torch.equal(other[name], expected[name]) for name in random)


def test_interrupted_run_is_resumed_exactly(uda_run, toy_data, tmp_path):
    work_dir = tmp_path / "run"
    hooks = [*uda_config(toy_data, work_dir).custom_hooks, dict(type="PowerFailureHook")]
    with pytest.raises(InterruptedError):
        run_training(uda_config(toy_data, work_dir, {"custom_hooks": hooks}))
    assert (work_dir / "iter_2.pth").is_file() and not (work_dir / "iter_4.pth").exists()
    config = write_config(uda_config(toy_data, work_dir), tmp_path / "config.py")
    assert train_tool.main([str(config), "--resume"]) == 0

    resumed, expected = (read_checkpoint(d / "iter_4.pth") for d in (work_dir, uda_run.work_dir))
    assert_equal_states(resumed["state_dict"], expected["state_dict"])
    assert resumed["meta"]["iter"] == 4
    for number, state in expected["optimizer"]["state"].items():
        assert_equal_states(resumed["optimizer"]["state"][number], state)
    lines, all_lines = training_lines(work_dir), training_lines(uda_run.work_dir)
    assert [line["iter"] for line in lines] == [1, 2, 3, 4], "goes on after the second"
    assert [line["lr"] for line in lines] == [line["lr"] for line in all_lines]
    assert (work_dir / "iter_2.pth").exists(), "the last two are kept"


def test_resumed_run_can_be_prolonged(source_run, toy_data, tmp_path):
    options = {"train_cfg.max_iters": 6, "train_cfg.val_interval": 6}
    config = write_config(
        toy_config("source_only", toy_data, tmp_path, options), tmp_path / "c" / "config.py"
    )
    assert train_tool.main([str(config), "--resume-from", str(source_run.checkpoint)]) == 0
    kept = {path.name for path in source_run.work_dir.glob("*.pth")}
    assert len(kept) == 3, "files of the run that was resumed stay"
    assert {path.name for path in tmp_path.glob("*.pth")} == {"iter_6.pth", "best_mIoU_iter_6.pth"}
    rates = [line["lr"] for line in training_lines(tmp_path)]
    base = source_run.cfg.optim_wrapper.optimizer.lr
    assert rates == pytest.approx(list(expected_rates(base, 6, 2, start=4)), rel=1e-6)


def test_adaptation_starts_from_source_only_weights(source_run, toy_data, tmp_path):
    """As in the quickstart: student and teacher from load_from, the frozen encoder from model.pretrained."""
    options = {
        "model.pretrained": str(source_run.checkpoint),
        "load_from": str(source_run.checkpoint),
        "train_cfg.max_iters": 1,
        "optim_wrapper.optimizer.lr": 0.0,
        **WITHOUT_VALIDATION,
    }
    run = run_training(uda_config(toy_data, tmp_path, options))
    trained = dict(MODELS.build(source_run.cfg.model).named_parameters())
    state = read_checkpoint(source_run.checkpoint)["state_dict"]
    adapted = weights(run.checkpoint)
    for name in trained:
        assert torch.equal(adapted[f"model.{name}"], state[name]), name
        assert torch.equal(adapted[f"ema_model.{name}"], state[name]), name
        if name.startswith("backbone."):
            assert torch.equal(adapted[f"imnet_model.{name}"], state[name]), name
    assert training_lines(tmp_path)[0]["src.loss_imnet_feat_dist"] == 0


def test_oracle_reads_target_labels(toy_data, tmp_path):
    options = {"train_cfg.max_iters": 1, **WITHOUT_VALIDATION}
    run = run_training(toy_config("oracle", toy_data, tmp_path, options))
    assert run.cfg.train_dataloader.dataset.type == "CityscapesDataset"
    (line,) = training_lines(tmp_path)
    assert math.isfinite(line["decode.loss_seg"])
    assert len(list((toy_data / "cityscapes/leftImg8bit/train").rglob("*.png"))) == NUM_TRAIN
