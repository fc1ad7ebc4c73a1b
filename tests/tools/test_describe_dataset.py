"""Configs for folders of several kinds: written by the tool, accepted by the verification."""

import re
import shlex
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg.config.base import CONFIGS
from mmseg.config.checks import check_config
from mmseg.config.load import load_config
from mmseg.datasets import pairing
from mmseg.datasets.verify import quick_check, verify
from mmseg.registry import DATASETS
from tools.describe_dataset import main

SIZE = (48, 64)
COLOURS = np.array([(0, 0, 0), (128, 64, 128), (70, 130, 180)], np.uint8)


def image(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.RandomState(seed).randint(0, 256, (*SIZE, 3)).astype(np.uint8))


def label(path, seed, values=(0, 1, 2)):
    path.parent.mkdir(parents=True, exist_ok=True)
    chosen = np.random.RandomState(seed).randint(0, len(values), SIZE)
    Image.fromarray(np.array(values, np.uint8)[chosen]).save(path)


def folder(path):
    path.mkdir(parents=True, exist_ok=True)
    return path


def depth(path, seed):
    """A grey file of as many values as an image."""
    cv2.imwrite(
        str(folder(path.parent) / path.name),
        np.random.RandomState(seed).randint(0, 256, SIZE).astype(np.uint8),
    )


def camvid(root):
    """Flat folders, labels beside them, 11 as "no class" but unknown to the tool."""
    for split, number in (("train", 5), ("val", 2), ("test", 3)):
        for i in range(number):
            image(root / split / f"0016E5_{i:05d}.png", i)
            label(root / f"{split}annot" / f"0016E5_{i:05d}.png", i, (0, 1, 2, 11))
    return dict(train=5, val=2, classes=4, id_map={0: 0, 1: 1, 2: 2, 11: 3})


def one_folder(root):
    """Images and masks of 0 and 255 in one folder."""
    for i in range(6):
        image(root / f"v{i:03d}.jpg", i)
        label(root / f"v{i:03d}_mask.png", i, (0, 255))
    return dict(train=6, val=6, classes=2, id_map={0: 0, 255: 1})


def cities(root):
    """Nested as Cityscapes, with several kinds of labels."""
    for split, number in (("train", 4), ("val", 2)):
        for i in range(number):
            city = f"{split}/city{i % 2}/city{i % 2}_{i:06d}_000019"
            image(root / f"leftImg8bit/{city}_leftImg8bit.png", i)
            label(root / f"gtFine/{city}_gtFine_labelTrainIds.png", i, (0, 1, 2, 255))
            label(root / f"gtFine/{city}_gtFine_color.png", i, COLOURS)
    return dict(train=4, val=2, classes=3, id_map=None)


def voc(root):
    """Labels for some of the images, which split files name."""
    for i in range(8):
        image(root / f"JPEGImages/2007_{i:06d}.jpg", i)
    for i in range(6):
        label(root / f"SegmentationClass/2007_{i:06d}.png", i, (0, 1, 2, 255))
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    lists.joinpath("trainval.txt").write_text("".join(f"2007_{i:06d}\n" for i in range(6)))
    lists.joinpath("train.txt").write_text("".join(f"2007_{i:06d}\n" for i in range(4)))
    lists.joinpath("val.txt").write_text("2007_000004\n2007_000005\n")
    return dict(train=4, val=2, classes=3, id_map=None)


def colours(root):
    """Colour labels whose names are in a table."""
    for i in range(5):
        image(root / f"images/{i}.png", i)
        label(root / f"labels/{i}.png", i, COLOURS)
    root.joinpath("class_dict.csv").write_text("name,r,g,b\nvoid,0,0,0\nroad,128,64,128\nsky,70,130,180\n")
    names = ["void", "sky", "road"]
    id_map = {tuple(COLOURS[c].tolist()): place for place, c in enumerate((0, 2, 1))}
    return dict(train=5, val=5, classes=3, names=names, id_map=id_map)


def partly_labelled(root):
    """Labels called by a dash, for some images of each split."""
    for split, number, labelled in (("train", 5, 3), ("val", 3, 2)):
        for i in range(number):
            image(root / f"images/{split}/Übung {i}.tif", i)
            if i < labelled:
                label(root / f"labels/{split}/Übung {i}-mask.png", i)
    return dict(train=3, val=2, classes=3, id_map=None)


def dotted(root):
    """A second word of the name behind a dot."""
    for i in range(4):
        image(root / f"frame{i}.rgb.png", i)
        label(root / f"frame{i}.label.png", i)
    return dict(train=4, val=4, classes=3, id_map=None)


def synthia(root):
    """Grey heights, and ids as 16-bit colours, which cannot be read, beside the images."""
    for i in range(4):
        image(root / f"RGB/{i}.png", i)
        depth(root / f"Heights/{i}.png", i)
        label(root / f"GT/COLOR/{i}.png", i, COLOURS)
        chosen = np.random.RandomState(i).randint(0, 3, SIZE)
        cv2.imwrite(
            str(folder(root / "GT/LABELS") / f"{i}.png"), np.stack([chosen] * 3, -1).astype(np.uint16)
        )
    colours = [(0, 0, 0), (70, 130, 180), (128, 64, 128)]
    return dict(train=4, val=4, classes=3, img_dir="RGB", id_map={c: n for n, c in enumerate(colours)})


def bdd(root):
    """Masks and colour maps with the same names, folders behind folders."""
    for split, number in (("train", 4), ("val", 2), ("test", 2)):
        for i in range(number):
            image(root / f"images/10k/{split}/{split}{i}-abc.jpg", i)
            if split != "test":
                label(root / f"labels/masks/{split}/{split}{i}-abc.png", i, (0, 1, 18, 255))
                label(root / f"labels/colormaps/{split}/{split}{i}-abc.png", i, COLOURS)
    return dict(train=4, val=2, classes=3, img_dir="images/10k/train", id_map={0: 0, 1: 1, 18: 2})


def years(root):
    """Splits with a year and the same names in both; objects, and masks of one value, beside the labels."""
    for split, number in (("train2017", 4), ("val2017", 2)):
        for i in range(number):
            image(root / f"images/{split}/{i:012d}.jpg", i)
            label(root / f"ids/{split}/{i:012d}.png", i)
            label(root / f"instances/{split}/{i:012d}.png", i)
            label(root / f"background/{split}/{i:012d}.png", i, (0,))
    return dict(train=4, val=2, classes=3, img_dir="images/train2017", ann_dir="ids/train2017", id_map=None)


def renderings(root):
    """Labels in colours, drawn over the images, and single objects beside them."""
    for i in range(4):
        image(root / f"images/{i}.png", i)
        image(root / f"blended/{i}.png", i + 9)
        label(root / f"labels/{i}.png", i)
        label(root / f"labels_color/{i}.png", i, COLOURS)
        label(root / f"instances/{i}.png", i, (0, 1))
    return dict(train=4, val=4, classes=3, img_dir="images", id_map=None)


def videos(root):
    """Lists of folders with the same names in all; many classes in narrow stripes."""
    classes = np.arange(64)[None] + np.array([0, 64]).repeat(24)[:, None]
    for video in ("bear", "car", "dog"):
        for i in range(3):
            image(root / f"JPEGImages/480p/{video}/{i:05d}.jpg", i)
            path = folder(root / "Annotations/480p" / video) / f"{i:05d}.png"
            Image.fromarray(classes.astype(np.uint8)).save(path)
    folder(root / "ImageSets").joinpath("train.txt").write_text("bear\ncar\n")
    root.joinpath("ImageSets/val.txt").write_text("dog/\n")
    return dict(train=6, val=3, classes=128, seen=32, id_map=None)


def scenes(root):
    """A folder for each scene, with the same names in all, one with an image that has no label."""
    for split, number in (("Train", 3), ("Val", 2)):
        for scene in range(number):
            for i in range(3):
                image(root / f"{split}/{scene}/rgb/{i}.png", i)
                label(root / f"{split}/{scene}/seg/{i}.png", i)
    image(root / "Train/1/rgb/7.png", 7)
    return dict(
        train=9, val=6, classes=3, img_dir=[f"Train/{i}/rgb" for i in range(3)], id_map=None,
        said="1 images have no label, or none that is used, as Train/1/rgb/7",
    )  # fmt: skip


def capitals(root):
    """One suffix in capital letters, on a file with a value of its own."""
    for i in range(9):
        image(root / f"images/{i}.png", i)
        label(root / f"labels/{i}.png", i, (0, 1))
    image(root / "images/A.PNG", 9)
    label(root / "labels/A.PNG", 9, (0, 1, 5))
    return dict(train=10, val=10, classes=3, seen=2, img_suffix=".png", id_map={0: 0, 1: 1, 5: 2})


def mixture(root):
    """Images of four formats, labels of two, beside each other; the labels are no images without label."""
    for i, ending in enumerate((".jpg", ".jpg", ".JPEG", ".tif", ".tif", ".bmp")):
        image(root / f"Bild {i}{ending}", i)
        label(root / f"Bild {i}_gt{'.tif' if i == 4 else '.png'}", i)
    return dict(train=6, val=6, classes=3, id_map=None, unsaid="no label")


def one_pair(root):
    """A photograph and its mask."""
    image(root / "photo.png", 0)
    label(root / "photo_mask.png", 0)
    return dict(train=1, val=1, classes=3, id_map=None)


def same_stem(root):
    """Images and labels that differ in their format alone."""
    for i in range(3):
        image(root / f"x{i}.jpg", i)
        label(root / f"x{i}.png", i)
    return dict(train=3, val=3, classes=3, id_map=None)


def other_suffixes(root):
    """Training and validation that are called differently."""
    for i in range(3):
        image(root / f"train/images/{i}.jpg", i)
        label(root / f"train/masks/{i}.png", i)
        image(root / f"val/images/{i}.png", i)
        label(root / f"val/masks/{i}_mask.png", i)
    return dict(train=3, val=3, classes=3, img_dir="train/images", id_map=None)


def twice_named(root):
    """A table that gives two colours one name."""
    for i in range(3):
        image(root / f"images/{i}.png", i)
        label(root / f"labels/{i}.png", i, COLOURS)
    folder(root).joinpath("classes.csv").write_text("name,r,g,b\ncar,0,0,0\ncar,128,64,128\nsky,70,130,180\n")
    id_map = {(0, 0, 0): 0, (70, 130, 180): 1, (128, 64, 128): 2}
    return dict(train=3, val=3, classes=3, names=["car (#000000)", "sky", "car (#804080)"], id_map=id_map)


def damaged(root):
    """A truncated label, a truncated image and a label of another size are left out."""
    for i in range(9):
        image(root / f"images/{i}.png", i)
        label(root / f"labels/{i}.png", i)
    for path in (root / "images/3.png", root / "labels/4.png"):
        path.write_bytes(path.read_bytes()[:-30])
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(root / "labels/5.png")
    return dict(train=6, val=6, classes=3, id_map=None, said="labels/5.png: the label is 8x8 pixels")


LAYOUTS = [
    camvid, one_folder, cities, voc, colours, partly_labelled, dotted, synthia, bdd, years, renderings,
    scenes, videos, capitals, mixture, one_pair, same_stem, other_suffixes, twice_named, damaged,
]  # fmt: skip


@pytest.mark.parametrize("make", LAYOUTS)
def test_a_folder_becomes_a_config_that_passes_the_verification(tmp_path, capsys, make):
    root, out = tmp_path / "my data", tmp_path / "config.py"
    expected = make(root)
    status, printed = main([str(root), "--out", str(out)]), capsys.readouterr()
    print(printed, out.read_text() if out.exists() else "")
    assert status == 0
    for text in (printed.err, out.read_text()):
        assert expected.get("said", "") in text
        assert expected.get("unsaid", "nothing") not in text
    cfg = load_config(out)
    for key in {"img_dir", "ann_dir", "img_suffix", "id_map"} & expected.keys():
        assert cfg.train_dataloader.dataset.get(key) == expected[key]
    parts = {part.name: part for part in verify(cfg, nproc=1)}
    assert not any(part.problems for part in parts.values())
    train, val = DATASETS.build(cfg.train_dataloader.dataset), DATASETS.build(cfg.val_dataloader.dataset)
    assert (len(train), len(val)) == (expected["train"], expected["val"])
    assert train.num_classes == expected["classes"]
    if "names" in expected:
        assert list(train.classes) == expected["names"]
    found = train[0]["gt_semantic_seg"].numpy()
    assert set(np.unique(found)) <= {*range(expected["classes"]), 255}
    assert len(np.unique(found)) >= expected.get("seen", expected["classes"])


def test_what_cannot_be_described(tmp_path, capsys):
    assert main([str(tmp_path / "nowhere")]) == 1
    assert "nowhere: no such folder" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 1
    assert "holds no image" in capsys.readouterr().err
    image(tmp_path / "a.png", 0)
    assert main([str(tmp_path)]) == 1
    assert "no labels with the names of images" in capsys.readouterr().err
    label(tmp_path / "a_mask.png", 0, (7,))
    label(tmp_path / "b_mask.png", 0, (7,))
    assert main([str(tmp_path), "--out", str(tmp_path / "new.py")]) == 1
    assert "hold the value 7 alone, expected those of two classes" in capsys.readouterr().err
    assert not (tmp_path / "new.py").exists()
    image(tmp_path / "b.png", 1)
    (tmp_path / "config.py").write_text("")
    assert main([str(tmp_path), "--out", str(tmp_path / "config.py")]) == 1
    assert "exists; name another file, or replace it with --overwrite" in capsys.readouterr().err


def test_what_is_left_out_is_said(tmp_path, capsys):
    """Two folders of labels, rare values, no validation, a damaged label, a table in another encoding."""
    root, out = tmp_path / "data", tmp_path / "config.py"
    for i in range(60):
        image(root / f"images/{i}.png", i)
        label(root / f"labels/{i}.png", i, (0, 1, 2, 3) if i == 1 else (0, 1, 3))
        label(root / f"depth/{i}.png", i, (0, 7))
    root.joinpath("classes.csv").write_bytes("name,id\nStra\xdfe,0\n".encode("latin-1"))
    path = root / "labels/40.png"
    path.write_bytes(path.read_bytes()[:-30])
    assert main([str(root), "--out", str(out)]) == 0
    printed, text = capsys.readouterr(), out.read_text()
    assert "60 pairs as images/0.png with depth/0.png are not used" in printed.err
    assert "no images for validation were found" in text
    assert "depth" in text + printed.err and "labels" in text + printed.err


def test_images_deeper_than_8_bits_are_described(tmp_path):
    for i in range(4):
        (tmp_path / "images").mkdir(exist_ok=True)
        deep = np.random.RandomState(i).randint(0, 4096, (*SIZE, 3)).astype(np.uint16)
        cv2.imwrite(str(tmp_path / f"images/{i}.png"), deep)
        label(tmp_path / f"labels/{i}.png", i)
    out = tmp_path / "config.py"
    assert main([str(tmp_path), "--out", str(out)]) == 0
    assert not any(part.problems for part in verify(load_config(out), nproc=1))


LISTED = {
    "UTF-16": ("{0}.txt", "ä{1}\r\n", "utf-16"),
    "Latin-1": ("{0}.txt", "ä{1}\n", "latin-1"),
    "UTF-8 with mark": ("{0}.txt", "ä{1}\n", "utf-8-sig"),
    "suffix": ("ImageSets/{0}.txt", "ä{1}.jpg\n", "utf-8"),
    "another machine": ("{0}.txt", "/server/b/images/ä{1}.jpg\n", "utf-8"),
    "backslashes": ("{0}.txt", "D:\\images\\ä{1}.jpg\n", "utf-8"),
    "columns": ("lists/{0}_files.txt", "images/ä{1}.jpg labels/ä{1}.png\n", "utf-8"),
    "lst": ("{0}.lst", "ä{1}\n", "utf-8"),
    "table": ("split.csv", "ä{1},{0}\n", "utf-8"),
}


@pytest.mark.parametrize("kind", LISTED)
def test_lists_of_images_are_followed(tmp_path, kind):
    """Whatever their encoding and form."""
    file, line, encoding = LISTED[kind]
    chosen = dict(train=(0, 1, 2), val=(3,))
    for i in range(5):
        image(tmp_path / f"data/images/ä{i}.jpg", i)
        label(tmp_path / f"data/labels/ä{i}.png", i)
    texts = {}
    for split, numbers in chosen.items():
        path = tmp_path / "data" / file.format(split)
        texts[path] = texts.get(path, "") + "".join(line.format(split, i) for i in numbers)
    for path, text in texts.items():
        folder(path.parent).joinpath(path.name).write_bytes(text.encode(encoding))
    assert main([str(tmp_path / "data"), "--out", str(tmp_path / "config.py")]) == 0
    cfg = load_config(tmp_path / "config.py")
    for split, numbers in chosen.items():
        dataset = DATASETS.build(cfg[f"{split}_dataloader"].dataset)
        assert [sample.name for sample in dataset.samples] == [f"ä{i}" for i in numbers]
    assert "1 pairs are in no split and not used, as images/ä4.jpg" in (tmp_path / "config.py").read_text()


def test_a_list_for_validation_alone_leaves_the_rest_for_training(tmp_path, capsys):
    """A name without image is said; a list that has the form a data set reads is used as it is."""
    for i in range(5):
        image(tmp_path / f"images/{i}.png", i)
        label(tmp_path / f"labels/{i}.png", i)
    (tmp_path / "val.txt").write_text("3\n4\n")
    (tmp_path / "trainval.txt").write_text("0\n3\n4\n")
    assert main([str(tmp_path), "--out", str(tmp_path / "config.py")]) == 0
    assert "lists that are not used: trainval.txt\n" in capsys.readouterr().err
    cfg = load_config(tmp_path / "config.py")
    assert cfg.val_dataloader.dataset.split == str(tmp_path / "val.txt")
    assert [sample.name for sample in DATASETS.build(cfg.train_dataloader.dataset).samples] == ["0", "1", "2"]
    (tmp_path / "train.txt").write_text("0\n1\n9\n")
    assert main([str(tmp_path), "--out", str(tmp_path / "config.py"), "--overwrite"]) == 0
    assert "train.txt: 1 of 3 lines name no image with a label, as '9'" in capsys.readouterr().err
    cfg = load_config(tmp_path / "config.py")
    assert [sample.name for sample in DATASETS.build(cfg.train_dataloader.dataset).samples] == ["0", "1"]
    assert [sample.name for sample in DATASETS.build(cfg.val_dataloader.dataset).samples] == ["3", "4"]


@pytest.mark.parametrize(
    ("image_name", "label_name", "said"),
    [
        ("images/im_{}.png", "labels/gt_{}.png", "that of images/im_0.png to labels/im_0_mask.png"),
        ("a{}.png", "mask_a{}.png", "that of a0.png to a0_mask.png"),
        ("{}/image.png", "{}/mask.png", "that of 0/image.png to 0/image_mask.png"),
        ("images/{}.jpg", "labels/{}.tif", "labels/0.tif: the label holds float32 values"),
        ("images/{}.jpg", "labels/{}.jpg", "expected labels as PNG, TIFF or BMP (JPEG changes values)"),
    ],
)
def test_why_images_have_no_label(tmp_path, capsys, image_name, label_name, said):
    for i in range(4):
        image(tmp_path / image_name.format(i), i)
        path, values = tmp_path / label_name.format(i), np.random.RandomState(i).randint(0, 3, SIZE)
        if path.suffix == ".tif":
            Image.fromarray(values.astype(np.float32)).save(folder(path.parent) / path.name)
        elif path.suffix == ".jpg":
            Image.fromarray(COLOURS[values]).save(folder(path.parent) / path.name)
        else:
            label(path, i)
    assert main([str(tmp_path), "--out", str(tmp_path / "config.py")]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "config.py").exists()


def test_the_printed_command_can_be_copied(tmp_path, capsys):
    root = tmp_path / "Anna's data $HOME"
    one_pair(root)
    assert main([str(root), "--out", str(root / "new config.py")]) == 0
    command = capsys.readouterr().out.rsplit("run ", 1)[1]
    assert shlex.split(command) == ["python", "tools/verify_dataset.py", str(root / "new config.py")]
    assert command.strip() in (root / "new config.py").read_text()


@pytest.mark.parametrize("name", ["supervised", "adapted"])
def test_a_described_config_is_a_base_of_a_training(tmp_path, monkeypatch, name):
    """As docs/own_data.md shows."""
    monkeypatch.chdir(tmp_path)
    for i in range(2):
        image(tmp_path / f"data/own/source/images/{i}.png", i)
        label(tmp_path / f"data/own/source/labels/{i}.png", i, (0, 1, 2, 3))
        image(tmp_path / f"data/own/target/images/train/{i}.jpg", i)
    folder(tmp_path / "configs/own")
    (tmp_path / "configs/_base_").symlink_to(CONFIGS / "_base_")
    assert main(["data/own/source", "--out", "configs/own/source.py"]) == 0
    page = (CONFIGS.parent / "docs/own_data.md").read_text()
    text = re.search(rf"```python\n# configs/own/{name}.py\n(.*?)```", page, re.DOTALL)[1]
    (tmp_path / f"configs/own/{name}.py").write_text(text)
    cfg = load_config(f"configs/own/{name}.py")
    check_config(cfg)
    assert cfg.train_dataloader.batch_size == 2
    parts = quick_check(cfg)
    trained = {"supervised": ["train"], "adapted": ["train source", "train target"]}[name]
    assert [(part.name, len(part.dataset)) for part in parts][:-1] == [(each, 2) for each in trained]


def test_pairing_takes_calls_in_proportion_to_the_files(tmp_path, monkeypatch):
    """Also where every name has words of its own."""
    look = pairing._Look(frozenset(range(256)), False, False), pairing._Look(frozenset(range(3)), True, True)
    monkeypatch.setattr(pairing, "_look", lambda path: look["labels" in path])
    calls = []
    for number in (300, 3000):
        for kind in ("images", "labels"):
            for i in range(number):
                (
                    folder(tmp_path / f"{number}/{kind}") / f"{i * 7919:x}-{i * 104729:x}_{i * 31:x}b.png"
                ).touch()
        calls.append(0)

        def count(frame, event, argument):
            calls[-1] += event.endswith("call")

        sys.setprofile(count)
        try:
            pairs, *_ = pairing.find_pairs(tmp_path / str(number))
        finally:
            sys.setprofile(None)
        assert len(pairs) == number
    assert calls[1] < 15 * calls[0], calls
