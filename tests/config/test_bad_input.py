"""What a user can get wrong: each time an explanation before training starts, where that is possible."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from toy_run import CHANNELS, ROOT, copy_data, toy_config, uda_config, write_config

from mmseg import apis
from mmseg.config import checks
from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.datasets.verify import open_parts
from mmseg.errors import CheckpointError, ConfigError, DataError, MMSegError
from tools import test as test_tool
from tools import train as train_tool


@pytest.fixture
def data(toy_data, tmp_path) -> Path:
    """A copy of the toy data that may be damaged."""
    return copy_data(toy_data, tmp_path / "data")


def refusal(cfg: Config, kind: type[MMSegError]) -> str:
    """Why training is refused; nothing has been trained by then."""
    with pytest.raises(kind) as error:
        apis.train(cfg)
    work_dir = Path(cfg.work_dir)
    assert not list(work_dir.glob("*.pth"))
    logs = "".join(path.read_text() for path in work_dir.glob("*/*.log"))
    assert "Iter(train)" not in logs
    return str(error.value)


def call(main, *arguments: object, capsys) -> str:
    """What a command that fails prints to explain it."""
    assert main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    explained = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    assert len(explained) == 1, captured.err
    assert "Traceback" not in captured.out + captured.err
    return "\n".join(lines[explained[0] :])


def truncate(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


# ------------------------------------------------------------------------------------------------------- data


def test_missing_folder(toy_data, tmp_path):
    cfg = uda_config(toy_data, tmp_path / "work")
    cfg.train_dataloader.dataset.source.data_root = "data/nowhere"
    message = refusal(cfg, DataError)
    assert message.startswith("train source: data/nowhere/images: the image folder is missing")
    assert "expected files *.png" in message and "check data_root" in message
    assert not (tmp_path / "work").exists()


def test_empty_folder(data, tmp_path):
    shutil.rmtree(data / "cityscapes/leftImg8bit/train")
    (data / "cityscapes/leftImg8bit/train").mkdir()
    message = refusal(uda_config(data, tmp_path), DataError)
    assert re.match(r"train target: \S+leftImg8bit/train: the image folder holds no file \*", message)


def test_unlabelled_target_needs_no_labels_but_validation_does(data, tmp_path):
    shutil.rmtree(data / "cityscapes/gtFine")
    message = refusal(uda_config(data, tmp_path), DataError)
    assert message.startswith("val: ") and "train target" not in message
    assert f"run python tools/convert_datasets/cityscapes.py {data}/cityscapes" in message


def test_missing_statistics(data, tmp_path):
    (data / "gta/sample_class_stats.json").unlink()
    message = refusal(uda_config(data, tmp_path), DataError)
    assert message == (
        f"train source: {data}/gta: sample_class_stats.json is missing; "
        f"run python tools/convert_datasets/gta.py {data}/gta"
    )


def test_class_that_no_file_has_enough_of(toy_data, tmp_path):
    options = {"train_dataloader.dataset.rare_class_sampling.min_pixels": 2000}
    message = refusal(uda_config(toy_data, tmp_path, options), DataError)
    assert re.search(
        r"gta: no file has more than 2000 pixels of class \d+ \(.+\); it is in \d files", message
    )
    assert "Lower rare_class_sampling.min_pixels or add files" in message


@pytest.mark.parametrize("folder", ["gta/images", "gta/labels", "cityscapes/leftImg8bit/train"])
def test_truncated_first_file(data, tmp_path, folder):
    pattern = "*TrainIds.png" if folder.endswith("labels") else "*.png"
    path = truncate(min((data / folder).rglob(pattern)))
    message = refusal(uda_config(data, tmp_path), DataError)
    assert f"{path}: the file is truncated" in message and message.endswith("copy it again")


def test_file_that_is_no_image(data, tmp_path):
    path = data / "gta/images/00001.png"
    path.write_text("not an image")
    message = refusal(uda_config(data, tmp_path), DataError)
    assert f"{path}: not a readable image (expected PNG, JPEG, TIFF, WebP, BMP" in message


def test_image_and_label_of_different_size(data, tmp_path):
    path = data / "gta/labels/00001_labelTrainIds.png"
    cv2.imwrite(str(path), np.zeros((64, 95), np.uint8))
    message = refusal(uda_config(data, tmp_path), DataError)
    assert f"{path}: the label is 95x64 pixels, its image {data}/gta/images/00001.png is 96x64" in message


def test_label_value_that_is_no_class(data, tmp_path):
    """As when raw ids are given for train ids."""
    path = data / "gta/labels/00001_labelTrainIds.png"
    shutil.copy(data / "gta/labels/00001.png", path)
    message = refusal(uda_config(data, tmp_path), DataError)
    assert re.search(rf"{path}: label values [\d, ]+ found, expected 0 to 18 or 255; convert", message)


def test_crop_larger_than_the_image(toy_data, tmp_path):
    cfg = uda_config(toy_data, tmp_path)
    crop = next(t for t in cfg.train_dataloader.dataset.target.pipeline if t.type == "RandomCrop")
    crop.crop_size = (64, 128)
    message = refusal(cfg, DataError)
    assert "the crop of 128x64 pixels is larger than the resized image, 96x64" in message
    assert "lower crop_size, raise the scale of Resize, or add Pad" in message


def test_damaged_file_in_the_middle_of_a_run_is_named(data, tmp_path, capsys):
    """Only the first file is read before training."""
    path = truncate(data / "gta/images/00003.png")
    config = write_config(toy_config("source_only", data, tmp_path / "work"), tmp_path / "config.py")
    message = call(train_tool.main, config, "--no-validate", capsys=capsys)
    size = path.stat().st_size
    assert message == f"error: {path}: the file is truncated ({size} bytes without end marker); copy it again"


def test_damaged_file_in_a_data_worker_is_named_without_its_traceback(data, tmp_path):
    path = truncate(data / "gta/images/00004.png")
    options = {"train_dataloader.num_workers": 2}
    config = write_config(toy_config("source_only", data, tmp_path / "work", options), tmp_path / "config.py")
    command = [sys.executable, "tools/train.py", str(config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"error: {path}: the file is truncated" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_every_problem_is_listed_at_once(data, tmp_path, capsys):
    shutil.rmtree(data / "cityscapes/leftImg8bit/val")
    (data / "gta/samples_with_class.json").unlink()
    config = write_config(uda_config(data, tmp_path / "work"), tmp_path / "config.py")
    lines = call(train_tool.main, config, capsys=capsys).splitlines()
    assert lines[0] == "error: 2 problems with the data:"
    assert "train source: " in lines[1] and "val: " in lines[2]
    assert not (tmp_path / "work").exists()


# ------------------------------------------------------------------------------------------------ checkpoints


@pytest.mark.parametrize("key", ["model.pretrained", "load_from"])
def test_missing_weights_are_found_before_anything_is_built(toy_data, tmp_path, key):
    cfg = uda_config(toy_data, tmp_path / "work", {key: "pretrained/mit_b0.pth"})
    cfg.model.backbone.type = "never built"
    message = refusal(cfg, CheckpointError)
    assert message.startswith("pretrained/mit_b0.pth: weight file not found")
    assert "https://github.com/NVlabs/SegFormer" in message and "model.pretrained=None" in message
    assert not (tmp_path / "work").exists()


def test_checkpoint_of_another_network(source_run, toy_data, tmp_path, capsys):
    options = {
        "load_from": str(source_run.checkpoint),
        "model.decode_head.channels": 2 * CHANNELS,
    }
    cfg = uda_config(toy_data, tmp_path / "work", options)
    message = refusal(cfg, CheckpointError)
    assert message.startswith(f"{source_run.checkpoint}: the checkpoint is of another network")
    found = rf"decode_head\.\S+ \(\({CHANNELS},.*\) in the file, \({2 * CHANNELS},.*\) in the network\)"
    assert re.search(found, message)
    assert "Use the config that was stored with the checkpoint" in message

    config = write_config(cfg, tmp_path / "config.py")
    assert message in call(test_tool.main, config, source_run.checkpoint, capsys=capsys)
    with pytest.raises(CheckpointError, match="of another network"):
        apis.init_segmentor(cfg, source_run.checkpoint, device="cpu")


def test_pretrained_weights_of_another_backbone(source_run, toy_data, tmp_path):
    options = {
        "model.pretrained": str(source_run.checkpoint),
        "model.backbone.type": "mit_b1",
        "model.decode_head.in_channels": [64, 128, 320, 512],
    }
    message = refusal(uda_config(toy_data, tmp_path, options), CheckpointError)
    assert re.search(r"\d+% of the weights fit the backbone, expected all of its own", message)


def test_damaged_checkpoint(source_run, toy_data, tmp_path, capsys):
    damaged = truncate(Path(shutil.copy(source_run.checkpoint, tmp_path / "damaged.pth")))
    options = {"load_from": str(damaged)}
    message = refusal(toy_config("source_only", toy_data, tmp_path / "work", options), CheckpointError)
    assert message == (
        f"{damaged}: not a readable PyTorch checkpoint: it is damaged; download or train it again"
    )
    for main, *arguments in (
        (train_tool.main, "--resume-from", damaged),
        (train_tool.main, "--load-from", damaged),
        (test_tool.main, damaged),
    ):
        config = write_config(toy_config("source_only", toy_data, tmp_path / "work"), tmp_path / "config.py")
        assert call(main, config, *arguments, capsys=capsys) == f"error: {message}"


def test_missing_checkpoint_to_test_or_resume(source_run, tmp_path, capsys):
    config = source_run.work_dir / "source_only.py"
    missing = tmp_path / "nowhere.pth"
    for message in (
        call(test_tool.main, config, missing, capsys=capsys),
        call(train_tool.main, config, "--work-dir", tmp_path, "--resume-from", missing, capsys=capsys),
    ):
        assert message.startswith(f"error: {missing}: weight file not found")


def test_resuming_with_another_method(source_run, toy_data, tmp_path):
    options = {"resume": True, "load_from": str(source_run.checkpoint)}
    message = refusal(uda_config(toy_data, tmp_path, options), CheckpointError)
    assert message.startswith(f"{source_run.checkpoint}: cannot be resumed with this config, ")
    assert "the networks differ: missing in the file" in message


def test_file_that_is_no_checkpoint(source_run, toy_data, tmp_path):
    file = tmp_path / "list.pth"
    torch.save([1, 2], file)
    cfg = toy_config("source_only", toy_data, tmp_path / "work", {"load_from": str(file)})
    assert refusal(cfg, CheckpointError).startswith(f"{file}: found a list; expected a dict of weights")


# ---------------------------------------------------------------------------------------------------- configs

UNKNOWN_KEYS = {
    "model.backbone.drop_path_rat": r"mit_b0 has no argument 'drop_path_rat'; .* 'drop_path_rate'\?",
    "model.decode_head.chanels": r"DAFormerHead has no argument 'chanels'; did you mean 'channels'\?",
    "model.decode_head.loss_decode.loss_wieght": r"'loss_wieght'; did you mean 'loss_weight'\?",
    "model.pretraind": r"EncoderDecoder has no argument 'pretraind'; did you mean 'pretrained'\?",
    "uda.alhpa": r"DACS has no argument 'alhpa'; did you mean 'alpha'\?",
    "train_dataloader.dataset.rare_class_samplin": r"UDADataset has no .*'rare_class_sampling'\?",
    "train_dataloader.dataset.rare_class_sampling.class_tmp": r"rare_class_sampling has no \['class_tmp'\]",
    "train_dataloader.dataset.source.img_dirr": r"GTADataset has no argument 'img_dirr'; .*'img_dir'\?",
    "train_dataloader.dataset.target.pipeline.1.crop_sze": r"RandomCrop has no .*'crop_sze'; .*'crop_size'\?",
    "val_dataloader.dataset.ann_dri": r"CityscapesDataset has no argument 'ann_dri'; .*'ann_dir'\?",
    "train_dataloader.sampler.shufle": r"train_dataloader\.sampler: PositionSampler has no .*'shufle'",
    "custom_hooks.0.intervall": r"custom_hooks\.0: DebugPicturesHook has no .*'intervall'; .*'interval'\?",
    "default_hooks.checkpoint.intervl": r"SafeCheckpointHook has no .*'interval'\?",
    "default_hooks.logger.intervl": r"default_hooks\.logger: LoggerHook has no .*'interval'\?",
    "val_evaluator.class_subset": r"val_evaluator: IoUMetric has no .*'class_subsets'\?",
    "param_scheduler.0.warmup_iter": r"param_scheduler\.0: PolyWarmupLR has no .*'warmup_iters'\?",
    "optim_wrapper.optimizer.weight_decy": r"optim_wrapper\.optimizer: AdamW has no .*'weight_decay'\?",
    "optim_wrapper.clip_gard": r"optim_wrapper: SegmentationOptimWrapper has no .*'clip_grad'\?",
    "optim_wrapper.paramwise_cfg.custom_key": r"paramwise_cfg knows 'custom_keys'.*; found .*custom_key",
    "train_cfg.max_iter": r"train_cfg: SafeTrainLoop has no argument 'max_iter'; .*'max_iters'\?",
    "visualizer.vis_backends.1.save_dirr": r"vis_backends\.1: TensorboardVisBackend has no .*'save_dir'\?",
}


@pytest.mark.parametrize("key", UNKNOWN_KEYS)
def test_unknown_key_of_a_part(toy_data, tmp_path, key):
    assert re.search(UNKNOWN_KEYS[key], refusal(uda_config(toy_data, tmp_path, {key: 1}), ConfigError))


UNKNOWN_TYPES = {
    "model.backbone.type": ("mit_b9", r"type='mit_b9' is not a registered model; did you mean mit_b\d"),
    "model.decode_head.type": ("DAFormerHed", r"'DAFormerHed' .*did you mean DAFormerHead"),
    "uda.type": ("DAC", r"'DAC' is not a registered model; did you mean .*DACS"),
    "train_dataloader.dataset.source.type": (
        "GTADataSet",
        r"'GTADataSet' .*dataset; did you mean GTADataset",
    ),
    "train_dataloader.dataset.source.pipeline.0.type": ("LoadImg", r"'LoadImg' .*transform; .*LoadImage"),
    "custom_hooks.0.type": ("DebugPictureHook", r"custom_hooks\.0: .*did you mean DebugPicturesHook"),
    "val_evaluator.type": ("IouMetric", r"val_evaluator: type='IouMetric' .*did you mean IoUMetric"),
    "param_scheduler.0.type": ("PolyWarmup", r"param_scheduler\.0: .*did you mean PolyWarmupLR"),
    "train_dataloader.sampler.type": ("PositionSampeler", r"train_dataloader\.sampler: .*PositionSampler"),
    "optim_wrapper.optimizer.type": (
        "Adamm",
        r"optim_wrapper\.optimizer: type='Adamm' .*did you mean .*Adam",
    ),
}


@pytest.mark.parametrize("key", UNKNOWN_TYPES)
def test_unknown_type(toy_data, tmp_path, key):
    name, expected = UNKNOWN_TYPES[key]
    assert re.search(expected, refusal(uda_config(toy_data, tmp_path, {key: name}), ConfigError))


def test_part_without_type(toy_data, tmp_path):
    cfg = uda_config(toy_data, tmp_path)
    del cfg.param_scheduler[0]["type"]
    assert "config, param_scheduler.0: expected dict(type=...)" in refusal(cfg, ConfigError)


@pytest.mark.parametrize("section", ["model", "train_dataloader", "train_cfg", "optim_wrapper"])
def test_missing_section(toy_data, tmp_path, section):
    cfg = toy_config("source_only", toy_data, tmp_path)
    cfg[section] = None
    assert f"source_only.py: {section!r} is missing; see configs/_base_" in refusal(cfg, ConfigError)


def test_misspelt_section(toy_data, tmp_path):
    cfg = toy_config("source_only", toy_data, tmp_path, {"param_schedulers": []})
    assert "unknown key 'param_schedulers'; did you mean 'param_scheduler'?" in refusal(cfg, ConfigError)


def test_number_of_classes_differs_from_the_data(toy_data, tmp_path):
    cfg = uda_config(toy_data, tmp_path, {"model.decode_head.num_classes": 16})
    message = refusal(cfg, ConfigError)
    assert "the network predicts 16 classes, the data set has 19 (road, sidewalk, " in message
    assert "set model.decode_head.num_classes=19" in message


def test_source_and_target_of_different_classes(toy_data, tmp_path):
    cfg = uda_config(toy_data, tmp_path)
    cfg.train_dataloader.dataset.target.update(classes=["a", "b"], palette=[(0, 0, 0), (1, 1, 1)])
    assert "source (19) and target (2) need the same classes" in refusal(cfg, ConfigError)


def test_margins_given_twice(toy_data, tmp_path):
    cfg = uda_config(toy_data, tmp_path, {"uda.pseudo_weight_ignore_top": 8})
    message = refusal(cfg, ConfigError)
    assert "crop_pseudo_margins" in message and "choose one" in message


def test_adaptation_without_a_target(toy_data, tmp_path):
    cfg = uda_config(toy_data, tmp_path)
    cfg.train_dataloader.dataset = cfg.train_dataloader.dataset.source
    assert "needs train_dataloader.dataset of type 'UDADataset'" in refusal(cfg, ConfigError)


# ----------------------------------------------------------------------------------------------- command line


def test_missing_config(tmp_path, capsys):
    path = tmp_path / "nothing.py"
    assert call(train_tool.main, path, capsys=capsys) == f"error: {path}: no such config file"
    assert call(test_tool.main, path, "x.pth", capsys=capsys) == f"error: {path}: no such config file"


@pytest.mark.parametrize("text", ["model = dict(", "raise ValueError", "_base_ = ['missing.py']", "1 / 0"])
def test_config_that_cannot_be_read(tmp_path, capsys, text):
    path = tmp_path / "config.py"
    path.write_text(text)
    assert call(train_tool.main, path, capsys=capsys).startswith(
        f"error: {path}: the config cannot be read: "
    )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "train_cgf.max_iters=1",
            r"--cfg-options train_cgf\.max_iters: there is no 'train_cgf' in \S+; did you",
        ),
        ("nonsense=1", r"there is no 'nonsense' in \S+; known: "),
        ("train_cfg.max_iter=1", r"SafeTrainLoop has no argument 'max_iter'; did you mean 'max_iters'"),
        ("model.backbone.depth=3", r"mit_b0 has no argument 'depth'"),
        ("custom_hooks.9.interval=3", r"--cfg-options cannot be applied"),
        ("load_from.path=3", r"--cfg-options cannot be applied|weight file not found"),
    ],
)
def test_misspelt_override(toy_data, tmp_path, capsys, option, message):
    config = write_config(toy_config("source_only", toy_data, tmp_path / "work"), tmp_path / "config.py")
    assert re.search(message, call(train_tool.main, config, "--cfg-options", option, capsys=capsys))


def test_traceback_on_request(tmp_path, monkeypatch):
    monkeypatch.setenv("MMSEG_TRACEBACK", "1")
    with pytest.raises(ConfigError, match="no such config file"):
        train_tool.main([str(tmp_path / "nothing.py")])


def test_launcher_without_torchrun_and_loss_scaling_of_shared_gradients(toy_data, tmp_path):
    message = refusal(uda_config(toy_data, tmp_path, {"launcher": "pytorch"}), ConfigError)
    assert "RANK is not set" in message and "torchrun" in message
    cfg = uda_config(toy_data, tmp_path)
    cfg.uda = dict(type="AdvSeg", published_double_update=True)
    cfg.optim_wrapper.precision = "fp16"
    assert "bf16" in refusal(cfg, ConfigError)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train_dataloader.batch_sise", 3, "train_dataloader has no 'batch_sise'; did you mean 'batch_size'"),
        ("train_dataloader.batch_size", 0, "train_dataloader.batch_size=0; expected a whole number"),
        ("randomness.sed", 3, "randomness has no 'sed'; did you mean 'seed'"),
        ("env_cfg.cudnn_benchmrk", True, "env_cfg has no 'cudnn_benchmrk'; did you mean 'cudnn_benchmark'"),
        ("train_cfg.max_iters", 1.5, "train_cfg.max_iters=1.5; expected a whole number"),
        ("optim_wrapper.optimizer.lr", "abc", "optim_wrapper.optimizer.lr='abc'; expected a number"),
        ("uda.imnet_feature_dist_lambda", "abc", "imnet_feature_dist_lambda='abc'"),
        ("uda.imnet_feature_dist_classes", [3, 19], r"imnet_feature_dist_classes names [19]"),
    ],
)
def test_values_and_keys_of_plain_sections(toy_data, tmp_path, key, value, message):
    assert message in refusal(uda_config(toy_data, tmp_path, {key: value}), ConfigError)


def test_misspelt_multiplier(toy_data, tmp_path):
    cfg = uda_config(toy_data, tmp_path)
    cfg.optim_wrapper.paramwise_cfg.custom_keys["head"] = dict(lr_mul=10)
    assert "unknown lr_mul; expected lr_mult" in refusal(cfg, ConfigError)


def test_resume_without_checkpoint(toy_data, tmp_path):
    cfg = toy_config("source_only", toy_data, tmp_path / "work", {"resume": True})
    message = refusal(cfg, CheckpointError)
    assert message.startswith(f"{tmp_path / 'work'}: no checkpoint to resume from")


@pytest.mark.parametrize("key", ["optim_wrapper.optimizer.lr", "optim_wrapper.optimizer.weight_decay"])
def test_resume_with_another_optimizer(source_run, toy_data, tmp_path, key):
    options = {key: 0.5, "resume": True, "load_from": str(source_run.checkpoint)}
    message = refusal(toy_config("source_only", toy_data, tmp_path, options), CheckpointError)
    assert "the optimizers differ" in message and "--load-from" in message


def test_resume_with_classes_in_another_order(source_run, toy_data, tmp_path):
    options = {"resume": True, "load_from": str(source_run.checkpoint)}
    cfg = toy_config("source_only", toy_data, tmp_path, options)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.classes = list(CITYSCAPES_CLASSES)[::-1]
    message = refusal(cfg, CheckpointError)
    assert "cannot be resumed with this config, the classes differ: ['road', 'sidewalk'" in message


def test_resume_with_another_network(source_run, toy_data, tmp_path):
    options = {
        "model.decode_head.channels": 24,
        "resume": True,
        "load_from": str(source_run.checkpoint),
    }
    message = refusal(toy_config("source_only", toy_data, tmp_path, options), CheckpointError)
    assert "the networks differ" in message and "other shape" in message and len(message) < 1500


def test_crop_that_does_not_fit_the_stride(toy_data, tmp_path):
    cfg = uda_config(toy_data, tmp_path)
    for domain in ("source", "target"):
        for transform in cfg.train_dataloader.dataset[domain].pipeline:
            if transform["type"] == "RandomCrop":
                transform["crop_size"] = (40, 64)
    assert "multiples of the encoder's stride" in refusal(cfg, ConfigError)


def test_training_needs_no_test_set(toy_data, tmp_path):
    cfg = toy_config("source_only", toy_data, tmp_path, {"test_dataloader.dataset.data_root": "nowhere"})
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.train_cfg.max_iters = 1
    apis.train(cfg)
    assert list(tmp_path.glob("iter_1.pth"))


def test_distance_to_random_features_is_warned_of(toy_data, tmp_path, capsys):
    checks.check_before_training(uda_config(toy_data, tmp_path))
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning:")]
    assert "RANDOM" in warning and "model.pretrained" in warning


# ------------------------------------------------------------------------------------- data that is not there


def test_unlabelled_validation_is_refused_before_training(toy_data, tmp_path):
    cfg = uda_config(toy_data, tmp_path, {"val_dataloader.dataset.load_labels": False})
    message = refusal(cfg, ConfigError)
    assert "leftImg8bit/val, have no labels; set ann_dir" in message and "--no-validate" in message


@pytest.mark.parametrize("left_out", ["val", "test", "both"])
def test_configs_without_validation_or_test_data_train(toy_data, tmp_path, left_out):
    cfg = toy_config("source_only", toy_data, tmp_path, {"train_cfg.max_iters": 1})
    for part in ("val", "test") if left_out == "both" else (left_out,):
        cfg[f"{part}_dataloader"].pop("dataset")  # the loops, metrics and settings of _base_ stay
    apis.train(cfg)
    checkpoint = tmp_path / "iter_1.pth"
    assert checkpoint.is_file()
    if left_out == "both":
        with pytest.raises(
            ConfigError, match="has no test_dataloader with a data set, so there is nothing to test on"
        ):
            apis.test(cfg, checkpoint)
        with pytest.raises(ConfigError, match="has no test_dataloader with a data set, whose pipeline"):
            apis.inference_segmentor(apis.init_segmentor(cfg, device="cpu"), np.zeros((64, 96, 3), np.uint8))
    else:
        assert "mIoU" in apis.test(cfg, checkpoint)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"uda.pseudo_weight_ignore_bottom": 500}, "cover the 64 rows of the crop"),
        ({"uda.imnet_feature_dist_lambda": 0.1}, None),
    ],
)
def test_settings_that_do_not_fit_the_crop_are_warned_of(toy_data, tmp_path, capsys, options, expected):
    cfg = uda_config(toy_data, tmp_path, options)
    warnings = list(checks.check_crops(cfg, open_parts(cfg)))
    assert bool(warnings) == (expected is not None) and (expected or "") in "".join(warnings)


def test_masks_of_one_block_and_crops_that_cannot_be_mixed(toy_data, tmp_path):
    generator = dict(mask_ratio=0.7, mask_block_size=64)
    masking = dict(mask_mode="separatetrg", mask_lambda=1, mask_generator=generator)
    cfg = uda_config(toy_data, tmp_path, {"uda.masking": masking})
    assert "a crop is masked as a whole, or not at all; expected blocks of at most" in refusal(
        cfg, ConfigError
    )
    cfg = uda_config(toy_data, tmp_path)
    for step in cfg.train_dataloader.dataset.source.pipeline:
        if step["type"] == "RandomCrop":
            step["crop_size"] = (60, 64)
    assert "crops of 64x60 pixels from the source and 64x64 from the target" in refusal(cfg, ConfigError)
    generator = dict(mask_ratio=0.7, mask_block_size=16)
    entropy = dict(type="MinEnt", lambda_ent_target=dict(main=0.001))
    cfg.uda = dict(entropy, masking=dict(mask_mode="separate", mask_generator=generator))
    assert "the target; MinEnt mixes them, expected the same crop_size" in refusal(cfg, ConfigError)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda names: [names[1], names[0], *names[2:]], "class 0 is 'road' there and 'sidewalk' here"),
        (lambda names: [*names[:-1], "bike"], "class 18 is 'bicycle' there and 'bike' here"),
    ],
)
def test_validation_has_the_classes_of_training(toy_data, tmp_path, change, expected):
    names = list(CITYSCAPES_CLASSES)
    cfg = uda_config(toy_data, tmp_path, {"val_dataloader.dataset.classes": change(names)})
    assert expected in refusal(cfg, ConfigError)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("load_from", 2024, "config: load_from=2024; expected a text"),
        (
            "train_dataloader.num_workers",
            "two",
            "train_dataloader.num_workers='two'; expected a whole number",
        ),
        ("train_dataloader.dataset.source.split", 2024, "split=2024"),
        ("train_dataloader.dataset.source.img_suffix", 2, "img_suffix=2"),
        ("train_dataloader.dataset.source.data_root", None, "data_root=None"),
        ("train_dataloader.dataset.target.crop_pseudo_margins", 5, "crop_pseudo_margins=5"),
        (
            "train_dataloader.dataset.source.pipeline.0.bands",
            (0.5, 1, 2),
            "LoadImage bands=(0.5, 1, 2); expected",
        ),
        ("train_dataloader.dataset.source.load_labels", "yes", "load_labels='yes'; expected True or False"),
        ("train_dataloader.dataset.target.pipeline.1.crop_size", None, "RandomCrop crop_size=None; expected"),
        (
            "train_dataloader.dataset.target.pipeline.2.prob",
            "abc",
            "RandomFlip prob='abc'; expected a number",
        ),
        (
            "train_dataloader.dataset.rare_class_sampling.min_pixels",
            "a",
            "rare_class_sampling.min_pixels='a'",
        ),
        ("train_dataloader.pin_memory", "yes", "train_dataloader.pin_memory='yes'; expected True or False"),
        ("train_dataloader.dataset", None, "train_dataloader names no data"),
        ("uda.alpha", "a", "uda.alpha='a'; expected a number"),
        ("uda.alpha", True, "uda.alpha=True; expected a number"),
        ("uda.pseudo_weight_ignore_bottom", 12.5, "uda.pseudo_weight_ignore_bottom=12.5; expected a whole"),
        ("uda.pseudo_weight_ignore_bottom", -5, "ignore_bottom=-5; expected a number of rows from 0 on"),
        ("uda.imnet_feature_dist_classes", "a", "expected a list of whole numbers or None"),
        ("uda.masking", dict(mask_lambda="a"), "uda.masking.mask_lambda='a'; expected a number"),
        (
            "default_hooks.checkpoint.interval",
            "abc",
            "default_hooks.checkpoint.interval='abc'; expected a whole",
        ),
        ("default_hooks.logger.interval", 0, "default_hooks.logger.interval=0; expected a whole number"),
        ("param_scheduler.0.power", "abc", "param_scheduler.0.power='abc'; expected a number"),
        ("model.decode_head.num_classes", "19", "num_classes='19'; expected a whole number"),
        ("model.decode_head.channels", "a", "DAFormerHead channels='a'; expected a whole number"),
        ("optim_wrapper.optimizer.lr", True, "optimizer.lr=True; expected a number"),
        ("randomness.seed", "abc", "randomness.seed='abc'; expected a whole number, 0 to 4294967295"),
        ("randomness.seed", -1, "randomness.seed=-1; expected a whole number, 0 to 4294967295"),
        ("custom_hooks", "X", "custom_hooks='X'; expected a list of dicts"),
        ("new_classifier", "no", "new_classifier='no'; expected True or False"),
        ("launcher", "foo", "launcher='foo'; expected 'none' or 'pytorch'"),
        ("log_level", "foo", "log_level='foo'; expected 'DEBUG' or"),
        ("val_evaluator", None, "val_evaluator=None with val_dataloader; expected a metric"),
        ("train_dataloader.dataset.source.pipeline.0.bands", 1, "LoadImage bands=1"),
    ],
)
def test_values_of_a_wrong_kind(toy_data, tmp_path, key, value, expected):
    assert expected in refusal(uda_config(toy_data, tmp_path, {key: value}), ConfigError)


def test_a_warm_up_that_outlasts_the_run_is_a_warning(source_run):
    cfg = source_run.cfg.copy()
    cfg.param_scheduler = [dict(type="PolyWarmupLR", warmup_iters=1500)]
    cfg.train_cfg = dict(max_iters=600)
    (warning,) = checks.schedule_warnings(cfg)
    assert "warmup_iters=1500 with train_cfg.max_iters=600" in warning
    cfg.train_cfg.max_iters = 1501
    assert not list(checks.schedule_warnings(cfg))
