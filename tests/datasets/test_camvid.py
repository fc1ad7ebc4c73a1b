"""CamVid: what the converter writes, and the data set that reads it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg.commands.convert import main as convert
from mmseg.datasets import CamVidDataset
from mmseg.datasets.camvid import CAMVID_CLASSES
from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.datasets.conversion.camvid import CLASS_OF_CITYSCAPES, GAME
from mmseg.datasets.conversion.runner import convert_dataset
from mmseg.datasets.sampling.rare_class_sampling import RareClassSampling
from mmseg.toy import make_toy_dataset

FRAMES = {
    "train": ["0001TP_006690", "0006R0_f00930", "0016E5_00390"],
    "test": ["0001TP_008550", "Seq05VD_f00000"],
    "val": ["0016E5_07959"],
}
PIPELINE = [dict(type="LoadImage"), dict(type="LoadLabel"), dict(type="PackInputs")]


def write_camvid(root: Path, splits=("train", "test"), suffix=".png") -> str:
    """Frames of 12x6 pixels; the label of each shows the classes 0 to 11 once a column."""
    for split in splits:
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir(parents=True)
        for name in FRAMES[split]:
            cv2.imwrite(str(root / split / f"{name}{suffix}"), np.full((6, 12, 3), 90, np.uint8))
            label = np.tile(np.arange(12, dtype=np.uint8), (6, 1))
            Image.fromarray(label).save(root / f"{split}annot" / f"{name}.png")
    return str(root)


def lists(root: str) -> dict[str, list[str]]:
    return {path.stem: path.read_text().split() for path in sorted(Path(root).glob("*.txt"))}


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_lists_by_time_of_day_and_classes(tmp_path, suffix, capsys):
    root = write_camvid(tmp_path / "camvid", suffix=suffix)
    assert convert(["camvid", root, "--nproc", "1"]) == 0
    assert "5 labels converted" in capsys.readouterr().out
    assert lists(root) == {
        "day_test": ["Seq05VD_f00000"],
        "day_train": ["0006R0_f00930", "0016E5_00390"],
        "dusk_test": ["0001TP_008550"],
        "dusk_train": ["0001TP_006690"],
    }
    day = CamVidDataset(root, split=f"{root}/day_train.txt", pipeline=PIPELINE, test_mode=True)
    assert [sample.name for sample in day.samples] == ["0006R0_f00930", "0016E5_00390"]
    assert day[0]["gt_semantic_seg"][0].tolist() == [*range(11), 255], "11 is no class"
    dusk = CamVidDataset(
        root,
        img_dir="test",
        ann_dir="testannot",
        split=f"{root}/dusk_test.txt",
        pipeline=PIPELINE,
        test_mode=True,
    )
    assert [sample.name for sample in dusk.samples] == ["0001TP_008550"]
    rcs = RareClassSampling(day, min_pixels=5)  # counts the frames of train alone, and of those the day's
    assert sorted(rcs.classes) == list(range(11)) and all(
        found == [0, 1] for found in rcs.candidates.values()
    )


def test_the_tutorials_validation_frames_are_used_where_they_are(tmp_path):
    root = write_camvid(tmp_path / "camvid", ("train", "val", "test"))
    assert convert(["camvid", root, "--nproc", "1"]) == 0
    assert lists(root)["day_val"] == ["0016E5_07959"] and "dusk_val" not in lists(root)


def test_labels_of_another_copy_are_refused(tmp_path, capsys):
    root = write_camvid(tmp_path / "camvid")
    path = Path(root, "trainannot", "0016E5_00390.png")
    Image.fromarray(np.full((6, 12), 31, np.uint8)).save(path)
    assert convert(["camvid", root, "--nproc", "1"]) == 1
    assert f"{path}: label value 31; expected 0 to 11" in capsys.readouterr().err
    assert convert(["camvid", str(tmp_path / "nowhere")]) == 1
    assert "git clone" in capsys.readouterr().err


def test_the_game_with_the_classes_of_camvid(tmp_path):
    make_toy_dataset(tmp_path, ["gta"], (96, 64), train=2)
    of_cityscapes = convert_dataset(GAME, str(tmp_path / "gta"), nproc=1)
    assert of_cityscapes.converted == 2
    game = CamVidDataset(
        str(tmp_path / "gta"), img_dir="images", ann_dir="labels", pipeline=PIPELINE, test_mode=True
    )
    labels = {c for sample in game for c in np.unique(sample["gt_semantic_seg"]).tolist()}
    assert labels <= {*range(11), 255} and {CAMVID_CLASSES.index(name) for name in ("sky", "road")} <= labels
    assert CLASS_OF_CITYSCAPES.keys() == set(CITYSCAPES_CLASSES)
    assert set(CLASS_OF_CITYSCAPES.values()) == set(CAMVID_CLASSES)
