"""Which files of a folder are images: labels between them, foreign files, suffixes, links."""

import os

import cv2
import numpy as np
import pytest

from mmseg.datasets import CustomDataset
from mmseg.errors import ConfigError, DataError

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
        ("v000_gt_labelIds.png", "seg_map_suffix='_gt_labelIds.png'"),
        ("v000.mask.png", "seg_map_suffix='.mask.png'"),
        ("v000 ground truth.png", "seg_map_suffix=' ground truth.png'"),
        ("v000_whatever.png", "seg_map_suffix='_whatever.png'"),
        ("v000mask.png", "seg_map_suffix='mask.png'"),
        ("mask_v000.png", "split"),
        ("masks/v000.png", "set ann_dir"),
        ("ground truth/v000.png", "set ann_dir"),
        ("trainannot/v000.png", "set ann_dir"),
        ("semantic/v000_trainids.png", "seg_map_suffix='_trainids.png'"),
    ],
)
def test_labels_that_nobody_named_are_remarked(tmp_path, label, remedy):
    write(tmp_path / "v000.png")
    write(tmp_path / label)
    (remark,) = dataset(tmp_path).remarks
    assert label in remark and remedy in remark


def photograph(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(
        str(path), np.random.RandomState(len(str(path))).randint(0, 256, (40, 60, 3)).astype(np.uint8)
    )


@pytest.mark.parametrize(
    ("images", "labels", "remedy"),
    [
        ("images/{}.png", "labels/{}.png", "set ann_dir"),
        ("images/train/{}.png", "semantic/train/{}.png", "set ann_dir"),
        ("train/images/{}.png", "train/targets/{}.png", "set ann_dir"),
        ("{}_rgb.png", "{}_seg.png", "seg_map_suffix='_seg.png'"),
        ("{}_leftImg8bit.png", "{}_gtFine_labelIds.png", "seg_map_suffix='_gtFine_labelIds.png'"),
        ("images/{}_rgb.png", "masks/{}_m.png", "seg_map_suffix='_m.png'"),
        ("{}.png", "{}_mask.png", "seg_map_suffix='_mask.png'"),
    ],
)
def test_labels_as_many_as_images_are_told_by_what_they_hold(tmp_path, images, labels, remedy):
    for name in ("city_0", "city_1", "town_7", "x9"):
        photograph(tmp_path / images.format(name))
        write(tmp_path / labels.format(name))
    (remark,) = dataset(tmp_path).remarks
    assert "4 of 8 images" in remark and remedy in remark
    assert f"for example {tmp_path / labels.format('city_0')}" in remark


@pytest.mark.parametrize("kind", ["few", "colours", "jpeg", "16 bit"])
def test_what_labels_hold(tmp_path, kind):
    pixels = np.zeros((40, 60), np.uint8)
    pixels[:, 30:], pixels[10:20, 5:50] = 7, 19
    if kind == "few":
        pixels = np.random.RandomState(0).randint(0, 19, pixels.shape).astype(np.uint8)
    elif kind == "colours":
        pixels = np.arange(600, dtype=np.uint16).repeat(4).reshape(40, 60) // 5 * 257
    elif kind == "16 bit":
        pixels = pixels.astype(np.uint16) * 1000
    suffix = ".jpg" if kind == "jpeg" else ".png"
    photograph(tmp_path / f"a{suffix}")
    cv2.imwrite(str(tmp_path / f"a_mask{suffix}"), pixels)
    (remark,) = dataset(tmp_path, img_suffix=suffix).remarks
    assert f"seg_map_suffix='_mask{suffix}'" in remark


@pytest.mark.parametrize(
    "pattern", ["{}_left.png {}_right.png", "day/{}.png night/{}.png", "{}.png {}_flip.png"]
)
def test_pairs_of_photographs_are_not_remarked(tmp_path, pattern):
    for name in ("0", "1", "2", "3"):
        for each in pattern.split():
            photograph(tmp_path / each.format(name))
    assert not dataset(tmp_path).remarks


def test_ordinary_names_are_not_remarked(tmp_path):
    for name in ("mask_1.png", "gt.png", "color_chart.png", "images/frame_l_1.png", "labeled_by_hand.png"):
        write(tmp_path / name)
    for name in ("1", "1_1", "1_2", "10"):
        write(tmp_path / f"sequence_{name}.png")
    assert not dataset(tmp_path).remarks


def test_labels_that_a_split_leaves_out_are_not_remarked(tmp_path):
    for name in ("v000", "v000_mask"):
        write(tmp_path / f"{name}.png")
    split = tmp_path / "split.txt"
    split.write_text("v000")
    assert not dataset(tmp_path, split=str(split)).remarks


@pytest.mark.parametrize("load_labels", [True, False])
def test_a_link_to_the_labels_below_the_images(tmp_path, load_labels):
    write(tmp_path / "images/a.png")
    write(tmp_path / "labels/a.png")
    os.symlink(tmp_path / "labels", tmp_path / "images/annotated")
    found = dataset(tmp_path, img_dir="images", ann_dir="labels", load_labels=load_labels)
    assert names(found) == ["a"]


def test_images_that_end_like_labels(tmp_path):
    for name in ("v0_gt", "v1_gt"):
        write(tmp_path / f"{name}.png")
    with pytest.raises(DataError, match=r"all 2 files \*\.png end like labels, \*_gt\.png; expected images"):
        dataset(tmp_path, seg_map_suffix="_gt.png")
    for name in ("w0", "w1", "w1_gt"):
        write(tmp_path / f"{name}.png")
    found = dataset(tmp_path, seg_map_suffix="_gt.png")
    assert names(found) == ["w0", "w1"]
    (remark,) = found.remarks
    assert "2 of 5 files end like labels, *_gt.png, but belong to no image, and are left out" in remark


@pytest.mark.parametrize("setting", ["img_suffix", "seg_map_suffix"])
@pytest.mark.parametrize("suffix", ["png", "", [".png", "jpg"], [], "gt.png"])
def test_suffixes_start_with_a_sign(tmp_path, setting, suffix):
    write(tmp_path / "a.png")
    with pytest.raises(ConfigError, match=rf"CustomDataset {setting}=.*; expected ends of file names"):
        dataset(tmp_path, **{setting: suffix})


@pytest.mark.parametrize("label", ["{}.png", "{}_gt.png"])
def test_labels_beside_images_of_another_format_are_not_missed(tmp_path, label):
    for name in ("x0", "x1"):
        write(tmp_path / f"{name}.jpg")
        write(tmp_path / label.format(name))
    found = dataset(tmp_path, img_suffix=".jpg", ann_dir="", seg_map_suffix=label.format(""))
    assert names(found) == ["x0", "x1"] and not found.remarks
    write(tmp_path / "y.png")
    (remark,) = dataset(tmp_path, img_suffix=".jpg", ann_dir="", seg_map_suffix=label.format("")).remarks
    assert "1 files .png beside 2 files .jpg are left out, for example y.png" in remark


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
