"""Runs in rounds: labels, data and optimizer of each round, interruptions, and what is refused."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rounds_run import LAST, LENGTH, LOAD, NUMBER, rounds_config
from toy_run import NUM_TRAIN, ROOT, Run, copy_data, run_training, write_config

from mmseg.checkpoints.weights import read_checkpoint
from mmseg.config.checks import check_config
from mmseg.datasets import SelfTrainingDataset
from mmseg.engine.prediction import Predictor, weights_digest
from mmseg.errors import CheckpointError, ConfigError, DataError
from mmseg.labelling.label_folder import RoundLabels
from mmseg.models.uda import DACS
from mmseg.registry import DATASETS, MODELS

ACCUMULATION = {"optim_wrapper.accumulative_counts": 2, "default_hooks.checkpoint.interval": 2}


@pytest.fixture(scope="module")
def positions() -> list[int]:
    """First position of each round of ``run``."""
    return []


@pytest.fixture(scope="module")
def run(toy_data, tmp_path_factory, positions) -> Run:
    """A finished run that nothing has disturbed, with all its checkpoints."""
    before = SelfTrainingDataset.begin_round

    def noted(self, labels, first_position):
        positions.append(first_position)
        before(self, labels, first_position)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SelfTrainingDataset, "begin_round", noted)
        return run_training(rounds_config(toy_data, tmp_path_factory.mktemp("rounds")))


def same(found, expected) -> bool:
    if isinstance(expected, torch.Tensor):
        return torch.equal(found, expected)
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == expected


def assert_same_end(work_dir: Path, run: Run) -> None:
    """Weights, optimizer and labels are those of the undisturbed run, to the last bit."""
    found, expected = map(read_checkpoint, (work_dir / run.checkpoint.name, run.checkpoint))
    for part in ("state_dict", "optimizer"):
        assert same(found[part], expected[part]), part
    for file in sorted((run.work_dir / "rounds").rglob("*.*")):
        other = work_dir / file.relative_to(run.work_dir)
        assert other.read_bytes() == file.read_bytes(), other
    assert not list(work_dir.glob("rounds/.*"))


def label_map(labels: RoundLabels, name: str) -> np.ndarray:
    return np.array(Image.open(labels.label_path(name)))


# ----------------------------------------------------------------------------------------------- what happens


def test_each_round_is_labelled_by_the_network_that_begins_it(run):
    images = DATASETS.build({**run.cfg.rounds.images.to_dict(), "test_mode": True})
    for round in range(NUMBER):
        labels = RoundLabels.read(run.work_dir / "rounds" / str(round))
        state = read_checkpoint(run.work_dir / f"iter_{round * LENGTH}.pth")["state_dict"]
        network = MODELS.build(run.cfg.model.to_dict())
        network.load_state_dict(
            {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
        )
        assert (
            labels.weights == weights_digest(network) and labels.summary["portion"] == (0.3, 0.5, 0.7)[round]
        )
        assert labels.summary["labelled_images"] == len(images) == NUM_TRAIN
        predictor, thresholds = Predictor(network.eval(), images), torch.tensor(labels.thresholds)
        for index, name in enumerate(predictor.names):
            ratio, predicted = (predictor(index) / thresholds[:, None, None]).max(dim=0)
            expected = predicted.masked_fill(ratio < 1, 255).numpy()
            np.testing.assert_array_equal(label_map(labels, name), expected)
        assert (labels.folder / "pictures.png").is_file()
    assert run.model.begun == list(range(NUMBER))


def test_positions_of_a_round_begin_behind_those_of_the_last(run, positions):
    assert positions == [round * LENGTH * run.cfg.train_dataloader.batch_size for round in range(NUMBER)]
    assert positions[1] == 4


def test_the_log_tells_the_share_of_each_class(run):
    log = next(run.work_dir.glob("*/*.log")).read_text()
    for round in range(NUMBER):
        labels = RoundLabels.read(run.work_dir / "rounds" / str(round))
        found = re.search(
            rf"Round {round + 1} of {NUMBER}: (\S+)% of the pixels of (\d+) images.*road (\S+)%", log
        )
        assert found is not None
        assert float(found[1]) == pytest.approx(100 * labels.summary["labelled_share"], abs=0.06)
        assert int(found[2]) == NUM_TRAIN
        assert float(found[3]) == pytest.approx(100 * labels.summary["class_shares"][0], abs=0.006)


def test_momentum_starts_anew_in_each_round(run):
    steps = {}
    for iteration in range(1, LAST + 1):
        state = read_checkpoint(run.work_dir / f"iter_{iteration}.pth")["optimizer"]["state"]
        steps[iteration] = {int(entry["step"]) for entry in state.values()}
    assert steps == {t: {1 + (t - 1) % LENGTH} for t in range(1, LAST + 1)}


def test_momentum_is_kept_where_the_config_says_so(toy_data, tmp_path):
    cfg = rounds_config(toy_data, tmp_path, {"rounds.reset_optimizer": False, "rounds.pictures": 0})
    state = read_checkpoint(run_training(cfg).checkpoint)["optimizer"]["state"]
    assert {int(entry["step"]) for entry in state.values()} == {LAST}
    assert not list(tmp_path.rglob("pictures.png"))


def test_another_network_labels(run, toy_data, tmp_path):
    options = {"rounds.checkpoint": str(run.checkpoint), "rounds.length": [1, 2, 1], "train_cfg.max_iters": 4}
    run_training(rounds_config(toy_data, tmp_path, options))
    folders = [RoundLabels.read(tmp_path / "rounds" / str(round)) for round in range(NUMBER)]
    assert {labels.weights for labels in folders} == {weights_digest(run.model.model)}
    assert folders[0].thresholds != folders[1].thresholds, "another portion"


def test_dacs_starts_from_the_labels_of_a_round(toy_data, tmp_path, monkeypatch):
    """Chosen pixels keep their label with full trust, the teacher labels the others."""
    cfg = rounds_config(
        toy_data, tmp_path, {"rounds.number": 2, "rounds.length": 1, "train_cfg.max_iters": 2}
    )
    cfg.train_dataloader.dataset.type = "UDADataset"
    del cfg.train_dataloader.dataset["source_portions"]
    cfg.uda = dict(type="DACS", pseudo_threshold=0.9, blur=False)
    seen, before = [], DACS.mixed_objective

    def noted(self, batch, pseudo):
        teacher = self.teacher.label(batch.target_img, batch.valid_pseudo_mask, batch.context)
        seen.append((batch.target_label, pseudo, teacher))
        return before(self, batch, pseudo)

    monkeypatch.setattr(DACS, "mixed_objective", noted)
    run_training(cfg)
    assert len(seen) == 2
    for label, pseudo, teacher in seen:
        chosen = label != 255
        assert 0 < chosen.float().mean() < 1 and float(teacher.weight.max()) < 1
        assert torch.equal(pseudo.label, torch.where(chosen, label, teacher.label))
        assert torch.equal(pseudo.weight, torch.where(chosen, torch.ones(()), teacher.weight))


# ---------------------------------------------------------------------------------------------- interruptions


def interrupted(run: Run, work_dir: Path, iteration: int, rounds: int) -> dict:
    """What a run leaves that was killed after an iteration, with the labels of so many rounds."""
    work_dir.mkdir()
    for number in range(iteration + 1):
        shutil.copy(run.work_dir / f"iter_{number}.pth", work_dir)
    for round in range(rounds):
        shutil.copytree(run.work_dir / "rounds" / str(round), work_dir / "rounds" / str(round))
    return {"resume": True}


@pytest.mark.parametrize("iteration, rounds", [(0, 0), (2, 1), (2, 2), (3, 2)])
def test_resumed_at_the_start_of_a_round_and_inside(iteration, rounds, run, toy_data, tmp_path, monkeypatch):
    options = interrupted(run, tmp_path / "run", iteration, rounds)
    predicted = []
    before = Predictor.__call__
    monkeypatch.setattr(
        Predictor, "__call__", lambda self, index: predicted.append(index) or before(self, index)
    )
    workers = {"train_dataloader.num_workers": 1, "train_dataloader.persistent_workers": True}
    resumed = run_training(rounds_config(toy_data, tmp_path / "run", options | workers))
    assert_same_end(tmp_path / "run", run)
    assert resumed.model.begun == list(range(iteration // LENGTH, NUMBER))
    assert len(predicted) == (NUMBER - rounds) * (2 * NUM_TRAIN + 2), "complete labels are not made again"


def test_labels_of_other_weights_or_settings_are_made_again(run, toy_data, tmp_path):
    for number, change in enumerate((dict(weights="0"), dict(labeller={}), dict(prediction={}), None)):
        work_dir = tmp_path / str(number)
        options = interrupted(run, work_dir, 2, 2)
        summary = work_dir / "rounds/1/summary.json"
        if change is None:
            summary.write_text("{")
        else:
            summary.write_text(json.dumps({**json.loads(summary.read_text()), **change}))
        for label in (work_dir / "rounds/1/labels").rglob("*.png"):
            label.write_bytes(b"other labels")
        run_training(rounds_config(toy_data, work_dir, options))
        assert_same_end(work_dir, run)


@pytest.mark.parametrize(
    "options",
    [
        {"rounds.flip": True},
        {"rounds.scales": [0.5, 1.0]},
        {"rounds.images.pipeline": [*LOAD, dict(type="Resize", scale=(64, 32)), dict(type="PackInputs")]},
    ],
)
def test_labels_predicted_otherwise_are_made_again(options, run, toy_data, tmp_path):
    """A new run in the same folder begins with the same weights."""
    work_dir = tmp_path / "run"
    shutil.copytree(run.work_dir / "rounds/0", work_dir / "rounds/0")
    one = {"rounds.number": 1, "rounds.length": 1, "train_cfg.max_iters": 1}
    run_training(rounds_config(toy_data, work_dir, one | options))
    found, before = (RoundLabels.read(folder / "rounds/0") for folder in (work_dir, run.work_dir))
    assert found.weights == before.weights and found.thresholds != before.thresholds


def test_label_that_was_deleted_is_made_again_at_the_start_of_its_round(run, toy_data, tmp_path):
    """And an earlier round that was deleted is not needed."""
    options = interrupted(run, tmp_path / "run", 2, 2)
    shutil.rmtree(tmp_path / "run/rounds/0")
    next((tmp_path / "run/rounds/1/labels").rglob("*.png")).unlink()
    run_training(rounds_config(toy_data, tmp_path / "run", options))
    expected = run.work_dir / "rounds/1/labels"
    for file in expected.rglob("*.png"):
        other = tmp_path / "run/rounds/1/labels" / file.relative_to(expected)
        assert other.read_bytes() == file.read_bytes()
    assert (tmp_path / "run/rounds/1/pictures.png").is_file()


def test_lengths_of_rounds_that_have_begun_stay(run, toy_data, tmp_path):
    options = interrupted(run, tmp_path / "run", 3, 2) | {"rounds.length": [1, 2, 3]}
    with pytest.raises(
        CheckpointError, match=r"rounds of \[2, 2, 2\] iterations, the config now says \[1, 2, 3\].*restore"
    ):
        run_training(rounds_config(toy_data, tmp_path / "run", options))


@pytest.mark.parametrize("damage", ["missing", "others", "one label"])
def test_resume_inside_a_round_needs_its_labels(damage, run, toy_data, tmp_path):
    options = interrupted(run, tmp_path / "run", 3, 2)
    folder = tmp_path / "run/rounds/1"
    if damage == "one label":
        next((folder / "labels").rglob("*.png")).unlink()
    else:
        shutil.rmtree(folder)
    message = r"rounds/1.*summary\.json: cannot be read.*iteration 3, inside round 1.*restore"
    if damage == "others":
        shutil.copytree(run.work_dir / "rounds/0", folder)
        message = r"rounds/1: holds labels by the weights \w+, expected \w+\. .*restore"
    with pytest.raises(CheckpointError, match=message):
        run_training(rounds_config(toy_data, tmp_path / "run", options))


def start(cfg, path: Path, event: str, number: int) -> int:
    """Run a program that kills itself; its status."""
    command = [
        sys.executable,
        str(ROOT / "tests/rounds_run.py"),
        str(write_config(cfg, path)),
        event,
        str(number),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, timeout=300).returncode


def test_killed_while_labelling(run, toy_data, tmp_path):
    """At the second image of the second round's labels."""
    cfg = rounds_config(toy_data, tmp_path / "run")
    assert start(cfg, tmp_path / "config.py", "predict", 2 * (2 * NUM_TRAIN + 2) - 4) == -signal.SIGKILL
    assert [path.name for path in sorted((tmp_path / "run/rounds").iterdir())] == [".1.tmp", "0"]
    run_training(rounds_config(toy_data, tmp_path / "run", {"resume": True}))
    assert_same_end(tmp_path / "run", run)


@pytest.mark.slow
def test_ten_kills_while_labelling_and_between_steps(toy_data, tmp_path):
    """One run of eight rounds; the moments are drawn, those of this seed end before the run does."""
    options = {
        "rounds.number": 8,
        "train_cfg.max_iters": 8 * LENGTH,
        "default_hooks.checkpoint.interval": LENGTH,
    }
    undisturbed = run_training(rounds_config(toy_data, tmp_path / "undisturbed", options))
    draws = random.Random(2)
    for number in range(10):
        event, latest = (("predict", 24), ("step", 4))[number % 2]
        cfg = rounds_config(toy_data, tmp_path / "run", options | {"resume": number > 0})
        assert start(cfg, tmp_path / "config.py", event, draws.randint(1, latest)) == -signal.SIGKILL
        unfinished = [path.name for path in (tmp_path / "run/rounds").glob(".*.tmp")]
        assert bool(unfinished) == (event == "predict")
    run_training(rounds_config(toy_data, tmp_path / "run", options | {"resume": True}))
    assert_same_end(tmp_path / "run", undisturbed)


# -------------------------------------------------------------------------------------------- what is refused


PAIRS = {"train_dataloader.dataset.type": "UDADataset"}
EASY_HARD = {"train_dataloader.dataset.type": "EasyHardDataset"}


def labeller(name: str) -> dict:
    return {"rounds.labeller": dict(_delete_=True, type=name)}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"rounds.labeller.type": "ClasBalanced"}, r"type='ClasBalanced'.*did you mean ClassBalanced"),
        ({"rounds.labeller.portions": 0.2}, "no argument 'portions'; did you mean 'portion'"),
        ({"rounds.length": 3}, r"3 rounds have 9 iterations \(.*, but train_cfg\.max_iters=6"),
        ({"rounds.length": [2, 4]}, r"rounds\.number=3 with rounds\.length=\[2, 4\].*one for each round"),
        ({"rounds.length": "2"}, r"rounds\.length='2'"),
        ({"rounds.pictures": -1}, r"rounds\.pictures=-1; expected"),
        ({"rounds.lengths": 2}, "lengths is unknown; expected number, length, labeller, images"),
        (ACCUMULATION | {"rounds.length": [1, 3, 2]}, "ends with a whole step"),
        ({"uda.type": "EncoderDecoder"}, "rounds with uda 'EncoderDecoder'"),
        ({"train_dataloader.dataset.type": "GTADataset"}, "train_dataloader.dataset 'GTADataset'"),
        (labeller("EntropyRanking"), "labels easy images alone; expected train_dataloader.dataset EasyHard"),
        (EASY_HARD, "needs easy and hard images; expected the labeller EntropyRanking or EasyHard"),
        (labeller("SoftClassBalanced") | PAIRS, "gives soft labels, the pairs of the data set hold hard"),
        ({"uda.type": "MinEnt"}, "MinEnt, SelfTrainingDataset and ClassBalanced do not go .* UDADataset, or"),
    ],
)  # fmt: skip
def test_rounds_that_do_not_fit(options, message, toy_data, tmp_path):
    cfg = rounds_config(toy_data, tmp_path)
    cfg.merge_from_dict(options)
    with pytest.raises(ConfigError, match=message):
        check_config(cfg)


def test_a_share_without_easy_images_is_found_before_anything_is_labelled(toy_data, tmp_path):
    cfg = rounds_config(toy_data, tmp_path / "run")
    target = cfg.train_dataloader.dataset.target
    cfg.train_dataloader.dataset = dict(type="EasyHardDataset", target=target)
    cfg.rounds["labeller"] = dict(type="EntropyRanking", easy_share=0.1)
    cfg.uda = dict(type="MinEnt")
    with pytest.raises(ConfigError, match=r"easy_share=0\.1 of 4 images are 0 easy ones"):
        run_training(cfg)
    assert not (tmp_path / "run/rounds").exists()


def test_rounds_need_a_method(toy_data, tmp_path):
    cfg = rounds_config(toy_data, tmp_path)
    cfg.pop("uda")
    with pytest.raises(ConfigError, match=r"rounds with uda None, .*no begin_round.*expected a UDA method"):
        check_config(cfg)
    del cfg.rounds["images"]
    with pytest.raises(ConfigError, match="images missing"):
        check_config(cfg)


def test_images_of_rounds_are_those_of_the_target(toy_data, tmp_path):
    data = copy_data(toy_data, tmp_path / "data")
    images = sorted((data / "cityscapes/leftImg8bit/train").rglob("*.png"))
    cfg = rounds_config(data, tmp_path / "run")
    cfg.rounds["images"]["data_root"] = str(toy_data / "cityscapes")
    copied = images[0].with_name(images[0].name.replace("_leftImg8bit", "x_leftImg8bit"))
    shutil.copy(images[0], copied)
    with pytest.raises(
        ConfigError, match=r"lacks 1 of the 5 images of the target of training.*expected the same"
    ):
        run_training(cfg)
    cfg.rounds["images"]["img_dir"] = "nowhere"
    with pytest.raises(DataError, match=r"rounds\.images: .*nowhere: the image folder is missing"):
        run_training(cfg)
