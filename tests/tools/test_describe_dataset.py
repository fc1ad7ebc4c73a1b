"""Configs for folders of several kinds: written by the tool, accepted by the verification."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg.config.load import load_config
from mmseg.datasets.verify import verify
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


@pytest.mark.parametrize("make", [camvid, one_folder, cities, voc, colours, partly_labelled, dotted])
def test_a_folder_becomes_a_config_that_passes_the_verification(tmp_path, capsys, make):
    root, out = tmp_path / "my data", tmp_path / "config.py"
    expected = make(root)
    assert main([str(root), "--out", str(out)]) == 0
    print(capsys.readouterr().out, out.read_text())
    cfg = load_config(out)
    parts = {part.name: part for part in verify(cfg, nproc=1)}
    assert not any(part.problems for part in parts.values())
    train, val = DATASETS.build(cfg.train_dataloader.dataset), DATASETS.build(cfg.val_dataloader.dataset)
    assert (len(train), len(val)) == (expected["train"], expected["val"])
    assert train.num_classes == expected["classes"]
    assert cfg.train_dataloader.dataset.get("id_map") == expected["id_map"]
    if "names" in expected:
        assert list(train.classes) == expected["names"]
    found = train[0]["gt_semantic_seg"].numpy()
    assert set(np.unique(found)) <= {*range(expected["classes"]), 255}
    assert len(np.unique(found)) >= expected["classes"]


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
    assert "fit 60 images as well" in printed.err
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
