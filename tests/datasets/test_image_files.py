"""Which files of a folder are images: labels between them, foreign files, suffixes, links."""

import os

import cv2
import numpy as np
import pytest

from mmseg.datasets import CustomDataset
from mmseg.errors import DataError

PIPELINE = [dict(type="LoadImage"), dict(type="PackInputs")]
CLASSES = ("a", "b")


def write(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = cv2.imencode(".png", np.full((4, 6), value, np.uint8))[1]  # whatever the suffix says
    path.write_bytes(content.tobytes())


def dataset(root, **options):
    return CustomDataset(str(root), **{"pipeline": PIPELINE, "classes": CLASSES, "img_dir": "", **options})


def names(found):
    return [sample.name for sample in found.samples]


@pytest.mark.parametrize("load_labels", [True, False])
@pytest.mark.parametrize(
    ("label", "settings"),
    [
        ("{}_mask.png", dict(ann_dir="", seg_map_suffix="_mask.png")),
        ("{}_MASK.PNG", dict(ann_dir="", seg_map_suffix="_mask.png")),
        ("masks/{}.png", dict(ann_dir="masks")),
        ("deep/er/{}.png", dict(ann_dir="deep/er")),
    ],
)
def test_labels_between_and_below_images_are_no_images(tmp_path, label, settings, load_labels):
    for name in ("v000", "v001", "city/v002"):
        write(tmp_path / f"{name}.png")
        folder, slash, name = name.rpartition("/")
        pattern = label if "/" in label else f"{folder}{slash}{label}"
        write(tmp_path / pattern.format(f"{folder}{slash}{name}" if "/" in label else name))
    found = dataset(tmp_path, load_labels=load_labels, **settings)
    assert names(found) == ["city/v002", "v000", "v001"]
    assert found.has_labels == load_labels


def test_an_image_suffix_that_says_more_than_that_of_labels(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}_rgb.png")
        write(tmp_path / f"{name}.png")
    found = dataset(tmp_path, ann_dir="", img_suffix="_rgb.png")
    assert names(found) == ["a", "b"] and found.samples[0].seg_map_path.endswith("a.png")


@pytest.mark.parametrize(
    ("label", "remedy"),
    [
        ("v000_mask.png", "seg_map_suffix='_mask.png'"),
        ("v000-MASK.png", "seg_map_suffix='-MASK.png'"),
        ("v000_labelTrainIds.png", "seg_map_suffix='_labelTrainIds.png'"),
        ("mask_v000.png", "split"),
        ("masks/v000.png", "set ann_dir"),
        ("SegmentationClass/v000.png", "set ann_dir"),
        ("trainannot/v000.png", "set ann_dir"),
    ],
)
def test_labels_that_nobody_named_are_remarked(tmp_path, label, remedy):
    write(tmp_path / "v000.png")
    write(tmp_path / label)
    (remark,) = dataset(tmp_path).remarks
    assert label in remark and remedy in remark


def test_ordinary_names_are_not_remarked(tmp_path):
    for name in ("mask_1.png", "gt.png", "color_chart.png", "images/frame_l_1.png", "labeled_by_hand.png"):
        write(tmp_path / name)
    assert not dataset(tmp_path).remarks


def test_foreign_files_and_links_are_left_out(tmp_path):
    for name in ("a.png", "sub/b.png"):
        write(tmp_path / name)
    for foreign in (".ipynb_checkpoints/a-checkpoint.png", "@eaDir/a.png", "__MACOSX/a.png", "._a.png"):
        write(tmp_path / foreign)
    os.symlink(tmp_path, tmp_path / "self")
    os.symlink(tmp_path / "sub", tmp_path / "again")
    os.symlink(tmp_path / "nowhere", tmp_path / "dangling")
    assert names(dataset(tmp_path)) == ["a", "sub/b"]


def test_a_folder_that_is_only_linked_is_read(tmp_path):
    write(tmp_path / "elsewhere/a.png")
    (tmp_path / "images").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "images/city")
    assert names(dataset(tmp_path, img_dir="images")) == ["city/a"]


def test_the_case_of_suffixes_does_not_matter(tmp_path):
    for name in ("a.jpg", "b.JPG", "c.Jpg"):
        write(tmp_path / "images" / name)
        write(tmp_path / "labels" / f"{name[0]}.PNG")
    found = dataset(tmp_path, img_dir="images", img_suffix=".jpg", ann_dir="labels")
    assert names(found) == ["a", "b", "c"] and not found.remarks
    assert [os.path.basename(sample.img_path) for sample in found.samples] == ["a.jpg", "b.JPG", "c.Jpg"]
    assert found.samples[1].seg_map_path.endswith("b.PNG")


def test_suffixes_of_other_kinds_are_remarked_or_named(tmp_path):
    for name in ("a.jpg", "b.jpeg", "c.png", "notes.txt"):
        write(tmp_path / name)
    found = dataset(tmp_path, img_suffix=".jpg")
    assert names(found) == ["a"] and len(found.remarks) == 2
    assert "1 files .jpeg beside 1 files .jpg are left out, for example b.jpeg" in found.remarks[0]
    assert names(dataset(tmp_path, img_suffix=[".jpg", ".jpeg", ".png"])) == ["a", "b", "c"]
    with pytest.raises(DataError, match=r"holds no file \*\.webp \(.*3|holds no file \*\.webp \("):
        dataset(tmp_path, img_suffix=".webp")


@pytest.mark.parametrize("pair", [("a.png", "a.PNG"), ("a.jpg", "a.jpeg")])
def test_two_files_of_one_name_are_refused(tmp_path, pair):
    for name in pair:
        write(tmp_path / name)
    with pytest.raises(DataError, match=r"has the same name as .* but for the suffix"):
        dataset(tmp_path, img_suffix=[".png", ".jpg", ".jpeg"])


@pytest.mark.parametrize("content", ["\ufeffb\n", "b\r\n\r\n", "b"])
def test_split_files_of_any_system(tmp_path, content):
    for name in "abc":
        write(tmp_path / f"{name}.png")
    split = tmp_path / "split.txt"
    split.write_bytes(content.encode())
    assert names(dataset(tmp_path, split=str(split))) == ["b"]
