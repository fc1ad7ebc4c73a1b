"""The options of ``tools/test.py``, with numbers worked out beside them."""

import copy
import csv
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_data import gen
from PIL import Image
from test_testing import call_test_sh
from tested_run import label_of, run_tool, val_images, written_ids
from toy_run import IMAGE_SIZE, NUM_VAL, ROOT, TEST_SIZE, toy_config, write_config

from mmseg import apis
from mmseg.apis import init_segmentor
from mmseg.apis.evaluation_options import EvaluationOptions, set_evaluator
from mmseg.apis.norm_statistics import adapt_norms
from mmseg.checkpoints.weights import load_checkpoint
from mmseg.commands.test import parse_args, submission
from mmseg.datasets import SegmentationDataset
from mmseg.datasets.classes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.datasets.decoding import read_image
from mmseg.errors import CheckpointError, ConfigError
from mmseg.evaluation import IoUMetric
from mmseg.models.segmentors.ensemble import Ensemble
from mmseg.registry import DATASETS, METRICS, MODELS


@pytest.fixture(scope="module")
def hrda_run(toy_data, tmp_path_factory):
    """A run folder of a multi-resolution network with the weights of the stored cases."""
    work_dir = tmp_path_factory.mktemp("hrda") / "run"
    options = {
        "model.type": "HRDAEncoderDecoder",
        "model.scales": [1, 0.5],
        "model.hr_crop_size": (32, 32),
        "model.decode_head.type": "HRDAHead",
        "model.decode_head.single_scale_head": "DAFormerHead",
        "model.test_cfg": dict(mode="slide", crop_size=(48, 48), stride=(24, 24), batched_slide=True),
    }
    cfg = toy_config("source_only", toy_data, work_dir, options)
    write_config(cfg, work_dir / "hrda.py")
    model = MODELS.build(dict(cfg.model, pretrained=None))
    gen.fill(model.state_dict())
    checkpoint = work_dir / "iter_4.pth"
    torch.save(
        dict(state_dict={f"model.{name}": value for name, value in model.state_dict().items()}), checkpoint
    )
    return FinishedRun(work_dir, checkpoint)


class FinishedRun:
    """Where a run lies."""

    def __init__(self, work_dir: Path, checkpoint: Path) -> None:
        self.work_dir, self.checkpoint = work_dir, checkpoint


def network_input(model, image: Path, size: tuple[int, int] | None) -> torch.Tensor:
    """The normalised image as the test pipeline makes it; None = at its own size."""
    rgb = read_image(str(image))
    rgb = rgb if size is None else cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR)
    return model.data_preprocessor({"img": torch.from_numpy(rgb).permute(2, 0, 1)[None]})["img"]


def results(run, name: str = "test") -> dict:
    return json.loads((run.work_dir / name / "results.json").read_text())


# --------------------------------------------------------------------------------------------- scores


def test_dice_and_fscore_follow_from_the_confusion_matrix(source_run, toy_data, tmp_path, capsys):
    work_dir, out = tmp_path / "work", tmp_path / "new/scores.json"
    options = ["--eval", "mIoU", "mDice", "mFscore", "--confusion-matrix", tmp_path / "matrix", "--out", out]
    assert run_tool(source_run, *options, "--work-dir", work_dir) == 0
    with (tmp_path / "matrix/confusion_matrix.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][1:] == [row[0] for row in rows[1:]] == list(CITYSCAPES_CLASSES)
    counts = np.array([row[1:] for row in rows[1:]], int)
    labels = np.concatenate([label_of(image).ravel() for image in val_images(toy_data)])
    np.testing.assert_array_equal(counts.sum(1), np.bincount(labels[labels != 255], minlength=19))

    scores = json.loads(out.read_text())
    assert scores == json.loads((work_dir / "results.json").read_text())
    hit, labelled, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    for index, name in enumerate(CITYSCAPES_CLASSES):
        if labelled[index] + predicted[index]:
            dice = 200 * hit[index] / (labelled[index] + predicted[index])
            iou = 100 * hit[index] / (labelled[index] + predicted[index] - hit[index])
            assert scores[f"Dice.{name}"] == pytest.approx(dice)
            assert scores[f"IoU.{name}"] == pytest.approx(iou)
        else:
            assert scores[f"Dice.{name}"] is None
    assert scores["mDice"] == pytest.approx(
        np.mean([v for k, v in scores.items() if k[:5] == "Dice." and v is not None])
    )
    table = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()
    ]
    assert ["Class", "IoU", "Acc", "Dice", "Fscore", "Precision", "Recall"] in table
    assert ["aAcc", "mIoU", "mAcc", "mDice", "mFscore", "mPrecision", "mRecall"] in table
    with Image.open(tmp_path / "matrix/confusion_matrix.png") as picture:
        assert min(picture.size) > 500


def test_calibration_is_that_of_the_networks_probabilities(source_run, toy_data, tmp_path):
    assert run_tool(source_run, "--calibration", "--work-dir", tmp_path) == 0
    model = init_segmentor(source_run.work_dir / "source_only.py", source_run.checkpoint, device="cpu")
    confidence, right = [], []
    for image in val_images(toy_data):
        logits = model.predict(network_input(model, image, TEST_SIZE), IMAGE_SIZE[::-1])
        best, pred = logits.softmax(dim=1)[0].max(dim=0)
        label = label_of(image)
        confidence.append(best.numpy()[label != 255])
        right.append((pred.numpy() == label)[label != 255])
    confidence, right = np.concatenate(confidence).astype(float), np.concatenate(right)
    table = json.loads((tmp_path / "calibration.json").read_text())
    bins = np.minimum(np.ceil(confidence * 15).astype(int) - 1, 14)
    error = sum(abs(right[bins == i].sum() - confidence[bins == i].sum()) for i in range(15)) / len(right)
    assert table["ECE"] == pytest.approx(100 * error, abs=1e-3)
    assert sum(row["pixels"] for row in table["bins"]) == len(right)
    scores = json.loads((tmp_path / "results.json").read_text())
    assert scores["ECE"] == table["ECE"] and scores["mIoU"] == results_in_training(source_run)["mIoU"]


def results_in_training(run) -> dict:
    return json.loads((run.work_dir / "results.json").read_text())


def test_synthia_as_source_adds_the_means_of_its_classes(toy_data, tmp_path):
    cfg = toy_config("daformer", toy_data, tmp_path)
    set_evaluator(cfg, EvaluationOptions())
    assert cfg.test_evaluator[0].class_subsets == []
    cfg.train_dataloader.dataset.source.type = "SynthiaDataset"
    set_evaluator(cfg, EvaluationOptions())
    assert cfg.test_evaluator[0].class_subsets == ["16", "13"]
    set_evaluator(cfg, EvaluationOptions(class_subsets=("13",)))
    assert cfg.test_evaluator[0].class_subsets == ["13"]
    cfg.train_dataloader.dataset = dict(type="SynthiaDataset")  # source-only training
    cfg.test_evaluator = dict(type="IoUMetric")
    set_evaluator(cfg, EvaluationOptions())
    assert cfg.test_evaluator[0].class_subsets == ["16", "13"]


def test_a_data_set_of_a_users_own_says_its_class_subsets_and_its_server(toy_data, tmp_path, monkeypatch):
    monkeypatch.setattr(DATASETS, "_module_dict", dict(DATASETS.module_dict))
    own = type("RainyStreets", (SegmentationDataset,), dict(class_subsets=("13",), server_format="trainids"))
    DATASETS.register_module(module=own)
    cfg = toy_config("daformer", toy_data, tmp_path)
    cfg.train_dataloader.dataset.source.type = "RainyStreets"
    set_evaluator(cfg, EvaluationOptions())
    assert cfg.test_evaluator[0].class_subsets == ["13"]
    cfg.pop("train_dataloader")
    cfg.test_evaluator = dict(type="IoUMetric")
    set_evaluator(cfg, EvaluationOptions())
    assert cfg.test_evaluator[0].class_subsets == []
    args = parse_args(["config.py", "weights.pth", "--format-only"])
    formats = {"RainyStreets": "trainids", "ACDCDataset": "trainids", "DarkZurichDataset": "trainids"}
    for name, expected in (formats | {"CityscapesDataset": "cityscapes"}).items():
        assert submission(args, name)["submission"] == expected


def test_what_is_asked_of_scores_reaches_every_kind_of_iou_metric(toy_data, tmp_path, monkeypatch):
    monkeypatch.setattr(METRICS, "_module_dict", dict(METRICS.module_dict))
    METRICS.register_module(module=type("MyIoU", (IoUMetric,), {}))
    cfg = toy_config("source_only", toy_data, tmp_path)
    cfg.test_evaluator = [dict(type="MyIoU", metrics=["mDice"]), dict(type="CalibrationMetric")]
    set_evaluator(cfg, EvaluationOptions())
    assert cfg.test_evaluator[0].metrics == ["mDice"], "as in the config"
    set_evaluator(cfg, EvaluationOptions(scores=("mFscore",), class_subsets=("13",)))
    assert cfg.test_evaluator[0] == dict(type="MyIoU", metrics=["mFscore"], class_subsets=["13"])
    cfg.test_evaluator = dict(type="CalibrationMetric")
    set_evaluator(cfg, EvaluationOptions())
    assert cfg.test_evaluator == [dict(type="CalibrationMetric")]
    for asked in (dict(scores=("mIoU",)), dict(class_subsets=("16",))):
        with pytest.raises(ConfigError, match="the evaluator of the config is CalibrationMetric"):
            set_evaluator(cfg, EvaluationOptions(**asked))


def test_class_subsets_on_the_command_line(source_run, tmp_path):
    assert run_tool(source_run, "--class-subsets", "16", "13", "--work-dir", tmp_path) == 0
    scores = json.loads((tmp_path / "results.json").read_text())
    left_out = {"terrain", "truck", "train"}
    values = [scores[f"IoU.{name}"] for name in CITYSCAPES_CLASSES if name not in left_out]
    assert scores["mIoU16"] == pytest.approx(np.mean([value for value in values if value is not None]))
    assert "mIoU13" in scores


# -------------------------------------------------------------------------------------------- networks


def test_teacher(uda_run, toy_data, tmp_path):
    preds = tmp_path / "preds"
    assert run_tool(uda_run, "--which", "teacher", "--show-dir", preds, "--opacity", 1) == 0
    assert results(uda_run, "test_teacher")["aAcc"] != results_in_training(uda_run)["aAcc"]
    teacher = init_segmentor(uda_run.work_dir / "daformer.py", device="cpu")
    load_checkpoint(teacher, uda_run.checkpoint, "teacher")
    student = init_segmentor(uda_run.work_dir / "daformer.py", uda_run.checkpoint, device="cpu")
    image = val_images(toy_data)[0]
    for model, agrees in ((teacher, True), (student, False)):
        logits = model.predict(network_input(model, image, TEST_SIZE), IMAGE_SIZE[::-1])
        assert np.array_equal(written_ids(preds, image), logits[0].argmax(0).numpy()) == agrees


def test_run_without_teacher_is_explained(source_run, capsys):
    assert run_tool(source_run, "--which", "teacher") == 1
    message = capsys.readouterr().err
    assert "iter_4.pth: holds no teacher (no entry starts with 'ema_model.'); it has student" in message


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_augmented_prediction_is_the_mean_of_explicit_passes(source_run, toy_data, tmp_path, average):
    out = tmp_path / "preds.npz"
    options = ["--aug-test", "--aug-scales", 1, 1.5, "--out", out, "--work-dir", tmp_path / "work"]
    options += ["--aug-average", average] if average == "logits" else []
    assert run_tool(source_run, *options) == 0
    model = init_segmentor(source_run.work_dir / "source_only.py", source_run.checkpoint, device="cpu")
    with np.load(out, allow_pickle=False) as archive:
        for image in val_images(toy_data):
            total = 0
            for size in (TEST_SIZE, (108, 72)):  # resized from the file, as a test pipeline does
                version = network_input(model, image, size)
                for mirrored in (False, True):
                    logits = model.predict(version.flip(3) if mirrored else version, IMAGE_SIZE[::-1])
                    scores = logits.softmax(dim=1) if average == "probabilities" else logits
                    total = total + (scores.flip(3) if mirrored else scores)
            name = image.relative_to(toy_data / "cityscapes/leftImg8bit/val").with_suffix("").as_posix()
            assert archive[name].dtype == np.uint8
            assert (archive[name] == total[0].argmax(0).numpy()).mean() > 0.99  # grey values are not rounded


def test_published_scales_are_refused_for_tiny_images(source_run, tmp_path, capsys):
    assert run_tool(source_run, "--aug-test", "--work-dir", tmp_path) == 1
    assert "become 36x24 at scale 0.5" in capsys.readouterr().err


def test_inference_mode(source_run, toy_data, tmp_path, capsys):
    assert run_tool(source_run, "--inference-mode", "slide", "--work-dir", tmp_path) == 1
    assert "the config has no size of the windows" in capsys.readouterr().err
    sizes = ["model.test_cfg.crop_size=(32,40)", "model.test_cfg.stride=(16,20)"]
    options = ["--opacity", 1, "--work-dir", tmp_path / "work", "--inference-mode"]
    for mode in ("slide", "whole", "same"):
        show = ["--show-dir", tmp_path / mode]
        assert run_tool(source_run, *options, mode, *show, settings=sizes) == 0
    model = init_segmentor(source_run.work_dir / "source_only.py", source_run.checkpoint, device="cpu")
    image = val_images(toy_data)[1]
    for mode in ("slide", "whole", "same"):
        settings = dict(crop_size=(32, 40), stride=(16, 20)) if mode == "slide" else {}
        model.test_cfg = dict(mode=mode if mode != "same" else "whole", **settings)
        logits = model.predict(network_input(model, image, TEST_SIZE), IMAGE_SIZE[::-1])
        np.testing.assert_array_equal(written_ids(tmp_path / mode, image), logits[0].argmax(0).numpy())
    assert (written_ids(tmp_path / "slide", image) != written_ids(tmp_path / "whole", image)).any()


def test_norms_take_the_statistics_of_images(source_run, toy_data, tmp_path):
    folder = toy_data / "cityscapes/leftImg8bit/train"
    options = ["--opacity", 1, "--work-dir", tmp_path / "work", "--show-dir", tmp_path / "shown"]
    assert run_tool(source_run, *options, "--norm-images", folder) == 0
    model = init_segmentor(source_run.work_dir / "source_only.py", source_run.checkpoint, device="cpu")
    image = val_images(toy_data)[1]
    before = model.predict(network_input(model, image, TEST_SIZE), IMAGE_SIZE[::-1])[0].argmax(0)
    adapt_norms(model, model.cfg.test_dataloader.dataset.pipeline, sorted(folder.rglob("*.png")))
    after = model.predict(network_input(model, image, TEST_SIZE), IMAGE_SIZE[::-1])[0].argmax(0)
    np.testing.assert_array_equal(written_ids(tmp_path / "shown", image), after.numpy())
    assert (before != after).any()


@pytest.mark.parametrize("output", ["LR", "HR"])
def test_prediction_of_one_scale(hrda_run, toy_data, tmp_path, output):
    assert run_tool(hrda_run, "--hrda-out", output, "--show-dir", tmp_path, "--opacity", 1) == 0
    model = init_segmentor(hrda_run.work_dir / "hrda.py", hrda_run.checkpoint, device="cpu")
    model.decode_head.fixed_attention = {"LR": 0.0, "HR": 1.0}[output]
    for image in val_images(toy_data):
        logits = model.predict(network_input(model, image, TEST_SIZE), IMAGE_SIZE[::-1])
        np.testing.assert_array_equal(written_ids(tmp_path, image), logits[0].argmax(0).numpy())
    assert 0 <= results(hrda_run, f"test_{output}")["mIoU"] <= 100


def test_attention_pictures_from_the_script(hrda_run, toy_data):
    done = call_test_sh(hrda_run.work_dir, "--hrda-out", "ATT")
    assert done.returncode == 0, done.stderr
    preds = hrda_run.work_dir / "preds_ATT"
    assert f"Predictions Output Directory: {preds}\n" in done.stdout
    assert "Attention only: no scores are computed" in done.stdout and "aAcc" not in done.stdout
    assert not (hrda_run.work_dir / "preds").exists()
    model = init_segmentor(hrda_run.work_dir / "hrda.py", hrda_run.checkpoint, device="cpu")
    model.test_cfg["hrda_out"] = "ATT"
    for image in val_images(toy_data):
        attention = model.predict(network_input(model, image, TEST_SIZE))
        attention = F.interpolate(attention, IMAGE_SIZE[::-1], mode="bilinear", align_corners=False)[0, 0]
        with Image.open(next(preds.rglob(image.name))) as file:
            assert file.mode == "L" and file.size == IMAGE_SIZE
            found = np.asarray(file).astype(int)
        assert np.abs(found - 255 * attention.numpy()).max() < 0.51 and found.max() > found.min()


def test_output_of_one_scale_is_explained_for_other_networks(source_run, hrda_run, tmp_path, capsys):
    assert run_tool(source_run, "--hrda-out", "LR") == 1
    assert "--hrda-out LR: the network is of type EncoderDecoder" in capsys.readouterr().err
    assert run_tool(hrda_run, "--hrda-out", "ATT") == 1
    assert "name a folder for them with --show-dir" in capsys.readouterr().err
    assert run_tool(hrda_run, "--hrda-out", "ATT", "--show-dir", tmp_path, "--calibration", "--aug-test") == 1
    assert "--hrda-out ATT with --calibration, --aug-test" in capsys.readouterr().err


def test_script_keeps_predictions_of_variants_apart(uda_run, tmp_path):
    run_dir = Path(
        shutil.copytree(uda_run.work_dir, tmp_path / "run", ignore=shutil.ignore_patterns("test*"))
    )
    done = call_test_sh(run_dir, "--which=teacher", "--eval", "mFscore")
    assert done.returncode == 0, done.stderr
    assert f"Predictions Output Directory: {run_dir}/preds_teacher\n" in done.stdout
    assert len(list((run_dir / "preds_teacher").rglob("*.png"))) == NUM_VAL
    assert (run_dir / "test_teacher/results.json").is_file() and "mPrecision" in done.stdout


def test_api_leaves_the_config_alone(source_run, toy_data, tmp_path):
    cfg = toy_config("source_only", toy_data, tmp_path)
    before = cfg.pretty_text
    scores = apis.test(
        cfg, source_run.checkpoint, scores=("mDice",), augment=(1,), calibration=True, inference_mode="whole"
    )
    assert cfg.pretty_text == before
    assert {"aAcc", "mDice", "Dice.road", "ECE"} <= set(scores) and "mIoU" not in scores
    with pytest.raises(TypeError, match="no_such"):
        apis.test(cfg, source_run.checkpoint, no_such=1)


@pytest.mark.slow
def test_two_processes_share_the_images(source_run, tmp_path):
    config, files = source_run.work_dir / "source_only.py", ("results.json", "calibration.json")
    for processes in (1, 2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", processes]
        command += ["--master_port", port, "tools/test.py", config, source_run.checkpoint]
        options = ["--launcher", "pytorch", "--calibration", "--show-dir", tmp_path / f"preds{processes}"]
        options += ["--work-dir", tmp_path / str(processes)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [*map(str, command), *map(str, options)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    for name in files:
        assert (tmp_path / "1" / name).read_text() == (tmp_path / "2" / name).read_text()
    assert len(list((tmp_path / "preds2").rglob("*.png"))) == NUM_VAL


# ---------------------------------------------------------------------------------------------------- classes


def shuffled(cfg, order):
    """The config of a test whose data list the same classes in another order, by the ids of the files."""
    cfg = copy.deepcopy(cfg)
    names = CITYSCAPES_CLASSES
    cfg.test_dataloader.dataset.update(
        classes=[names[c] for c in order],
        palette=[CITYSCAPES_PALETTE[c] for c in order],
        id_map={c: place for place, c in enumerate(order)},
    )
    return cfg


def test_classes_in_another_order_are_refused_or_remapped(uda_run, tmp_path):
    cfg = uda_run.cfg
    cfg.work_dir = str(tmp_path)
    expected = apis.test(cfg, uda_run.checkpoint)
    order = list(range(19))[::-1]
    with pytest.raises(
        CheckpointError, match="classes of the data in another order: class 0 is 'road' in the"
    ):
        apis.test(shuffled(cfg, order), uda_run.checkpoint)
    found = apis.test(shuffled(cfg, order), uda_run.checkpoint, remap_classes=True)
    assert found == pytest.approx(expected, nan_ok=True)


def test_fine_tuning_with_other_classes(uda_run, toy_data, tmp_path):
    order = list(range(19))[::-1]
    options = {"train_cfg.max_iters": 1, "load_from": str(uda_run.checkpoint)}
    cfg = toy_config("source_only", toy_data, tmp_path / "order", options)
    other = shuffled(uda_run.cfg, order).test_dataloader.dataset
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.update({key: other[key] for key in ("classes", "palette", "id_map")})
    with pytest.raises(CheckpointError, match="another order"):
        apis.train(cfg)
    cfg.remap_classes = True
    cfg.merge_from_dict({"optim_wrapper.optimizer.lr": 0.0})
    found, start = apis.train(cfg).state_dict(), uda_run.model.model.state_dict()
    for name in ("decode_head.conv_seg.weight", "decode_head.conv_seg.bias"):
        torch.testing.assert_close(found[name], start[name][order], atol=1e-6, rtol=0)

    few = dict(classes=["road", "rest"], palette=[(0, 0, 0), (1, 1, 1)], id_map={0: 0, 1: 1, 2: 1, 8: 1})
    options["model.decode_head.num_classes"] = 2
    cfg = toy_config("source_only", toy_data, tmp_path / "few", options)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.update(few)
    with pytest.raises(CheckpointError, match=r"another number of classes: .* --new-classifier"):
        apis.train(cfg)
    cfg.new_classifier = True
    found, start = apis.train(cfg).state_dict(), uda_run.model.model.state_dict()
    assert found["decode_head.conv_seg.weight"].shape[0] == 2
    name = "backbone.block1.0.attn.q.weight"
    torch.testing.assert_close(found[name], start[name], atol=1e-2, rtol=0)


def test_random_steps_are_refused(uda_run, tmp_path):
    cfg = copy.deepcopy(uda_run.cfg)
    cfg.work_dir = str(tmp_path)
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type="RandomCrop", crop_size=32))
    with pytest.raises(ConfigError, match="RandomCrop draws at random, and scores are those of whole images"):
        apis.test(cfg, uda_run.checkpoint)


def test_data_with_another_number_of_classes_are_refused(uda_run, tmp_path):
    cfg = copy.deepcopy(uda_run.cfg)
    cfg.work_dir = str(tmp_path)
    names, colours = [*CITYSCAPES_CLASSES, "more"], [*CITYSCAPES_PALETTE, (1, 2, 3)]
    cfg.test_dataloader.dataset.update(classes=names, palette=colours)
    with pytest.raises(ConfigError, match="the network predicts 19 classes, the test data have 20"):
        apis.test(cfg, uda_run.checkpoint)


def test_an_ensemble_averages_the_logits_of_several_checkpoints(uda_run, tmp_path):
    cfg = copy.deepcopy(uda_run.cfg)
    cfg.work_dir = str(tmp_path / "work")
    content = torch.load(uda_run.checkpoint, weights_only=False)
    bias = content["state_dict"]["model.decode_head.conv_seg.bias"]
    bias += 8 * torch.arange(len(bias)).flip(0) / len(bias)  # the first classes come to the fore
    other = tmp_path / "other.pth"
    torch.save(content, other)
    alone, same = (
        apis.test(cfg, uda_run.checkpoint, ensemble=paths) for paths in ((), (uda_run.checkpoint,))
    )
    assert same == pytest.approx(alone, nan_ok=True)
    shows = [tmp_path / name for name in ("alone", "both")]
    apis.test(cfg, uda_run.checkpoint, show_dir=shows[0])
    both = apis.test(cfg, uda_run.checkpoint, ensemble=(other,), show_dir=shows[1])
    assert both != pytest.approx(alone, nan_ok=True, rel=0.01)
    written = [sorted(folder.rglob("*.png")) for folder in shows]
    assert [path.name for path in written[0]] == [path.name for path in written[1]] and written[0]

    networks = [init_segmentor(uda_run.cfg, path) for path in (uda_run.checkpoint, other)]
    image = torch.randn(1, 3, *TEST_SIZE)
    expected = torch.stack([network.predict(image, (50, 70)) for network in networks]).mean(0)
    assert torch.equal(Ensemble(networks).predict(image, (50, 70)), expected)
    mean = torch.stack([network.predict(image, (50, 70)).softmax(1) for network in networks]).mean(0)
    found = Ensemble(networks, "probabilities").predict(image, (50, 70))
    torch.testing.assert_close(found.softmax(1), mean)
    with pytest.raises(ConfigError, match="average='scores'; expected one of logits, probabilities"):
        Ensemble(networks, "scores")
    with pytest.raises(ConfigError, match="Ensemble: has no network"):
        Ensemble([])
    networks[1].data_preprocessor.mean += 1
    with pytest.raises(ConfigError, match="normalise images in different ways"):
        Ensemble(networks)
    with pytest.raises(CheckpointError, match=r"none\.pth: weight file not found"):
        apis.test(cfg, uda_run.checkpoint, ensemble=(tmp_path / "none.pth",))
