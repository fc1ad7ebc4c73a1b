"""The command that labels images outside of a training."""

import cv2
import numpy as np
import pytest
import toy_run

from mmseg.apis import inference_segmentor, init_segmentor
from mmseg.apis.labelling import _images
from mmseg.commands.label_target import main
from mmseg.labelling.label_folder import RoundLabels


@pytest.fixture(scope="module")
def config(source_run, toy_data, tmp_path_factory):
    return toy_run.write_config(source_run.cfg, tmp_path_factory.mktemp("config") / "source_only.py")


@pytest.fixture
def label(config, source_run):
    def run(*options):
        return main([str(config), str(source_run.checkpoint), "--device", "cpu", *map(str, options)])

    return run


def test_own_images_are_labelled(label, source_run, tmp_path, capsys):
    draw = np.random.RandomState(0)
    for name in ("a.png", "city/b.jpg"):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "own" / name), draw.randint(0, 256, (64, 96, 3), np.uint8))
    options = ["--images", tmp_path / "own", "--labeller", "ClassBalanced", "--labeller-options"]
    assert label(*options, "portion=0.3", "exact=True", "stride=1", "--out", tmp_path / "first") == 0
    shown = capsys.readouterr().out
    labels = RoundLabels.read(tmp_path / "first")
    assert labels.summary["labeller"]["portion"] == 0.3 and labels.summary["images"] == 2
    assert "of the pixels of 2 of 2 images are labelled" in shown and "road" in shown
    model = init_segmentor(source_run.cfg, source_run.checkpoint, "cpu")
    for name in ("a.png", "city/b.jpg"):
        found = cv2.imread(str(labels.label_path(name.split(".")[0])), cv2.IMREAD_UNCHANGED)
        assert found.shape == (64, 96)
    share = labels.summary["labelled_share"]
    assert 0.29 < share < 0.5, "a portion of each class, and classes with small thresholds gain some"
    pictures = cv2.imread(str(tmp_path / "first" / "pictures.png"))
    assert pictures.shape[1] > 4 * 300
    # Once more with all labels: the picture shows what came in addition.
    second = ["--previous", tmp_path / "first", "--no-flip", "--out", tmp_path / "second"]
    assert label(*options, "portion=1.0", *second) == 0
    labels = RoundLabels.read(tmp_path / "second")
    assert labels.summary["labelled_share"] > 0.99
    predicted = inference_segmentor(model, [tmp_path / "own/a.png", tmp_path / "own/city/b.jpg"])
    counts = np.bincount(np.stack(predicted).ravel(), minlength=19)
    assert labels.summary["predicted_pixels"] == counts.tolist()


def test_target_images_of_an_adaptation_are_labelled_as_they_are_tested(toy_data, tmp_path):
    """Those of its training, without the labels that may lie beside them."""
    cfg = toy_run.uda_config(toy_data, tmp_path)
    found = _images(cfg, None, None)
    assert len(found) == toy_run.NUM_TRAIN and not found.has_labels and found.test_mode
    assert found.img_dir == toy_data / "cityscapes/leftImg8bit/train"
    assert tuple(found[0]["img"].shape[:0:-1]) == toy_run.TEST_SIZE
    cfg.rounds = dict(images=dict(cfg.test_dataloader.dataset))
    assert len(_images(cfg, None, None)) == toy_run.NUM_VAL


def test_images_of_the_config_are_split(label, source_run, capsys):
    """By default those of the test, where the config adapts to nothing; beside the checkpoint."""
    assert label("--labeller", "EntropyRanking", "--labeller-options", "easy_share=0.5") == 0
    labels = RoundLabels.read(source_run.work_dir / "labels")
    assert "easy: 1 images\nhard: 1 images" in capsys.readouterr().out
    assert labels.summary["labelled_share"] == 1 and labels.thresholds is None


def test_wrong_options_are_explained(label, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("not to be lost")
    for options, message in (
        ((), "has no rounds with a labeller; name one"),
        (("--labeller", "ClasBalanced"), "did you mean ClassBalanced"),
        (("--labeller-options", "portion=1"), "Name the labeller with --labeller"),
        (("--labeller", "Voting", "--labeller-options", "window"), "window: expected KEY=VALUE"),
        (("--labeller", "Voting", "--labeller-options", "portoin=1"), "did you mean 'portion'"),
        (("--labeller", "Voting", "--out", tmp_path), "exists, but holds no summary.json"),
        (("--labeller", "Voting", "--previous", tmp_path), "cannot be read"),
        (("--labeller", "Voting", "--images", tmp_path), "holds no file"),
    ):
        assert label(*options) == 1
        assert message in capsys.readouterr().err
