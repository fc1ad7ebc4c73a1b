"""File lists, loading, and the explanation of everything that can be wrong with files."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from mmseg.datasets import (
    ACDCDataset,
    CityscapesDataset,
    CustomDataset,
    DarkZurichDataset,
    GTADataset,
    MapillaryDataset,
    SynthiaDataset,
    seg_collate,
)
from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.datasets.custom import distinct_palette
from mmseg.errors import ConfigError, DataError
from mmseg.registry import DATASETS

LOAD = [dict(type="LoadImage"), dict(type="LoadLabel"), dict(type="PackInputs")]
TRAIN = [
    dict(type="LoadImage"),
    dict(type="LoadLabel"),
    dict(type="Resize", scale=(48, 24)),
    dict(type="RandomCrop", crop_size=(16, 16)),
    dict(type="RandomFlip"),
    dict(type="PhotoMetricDistortion"),
    dict(type="PackInputs"),
]
TWO = dict(classes=["background", "crack"])


def write_image(path, size=(24, 48), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.RandomState(seed).randint(0, 256, (*size, 3)).astype(np.uint8))


def write_label(path, size=(24, 48), high=2, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.RandomState(seed).randint(0, high, size).astype(np.uint8))


def make_custom(root, names=("a", "b", "c")):
    for seed, name in enumerate(names):
        write_image(root / "images" / f"{name}.png", seed=seed)
        write_label(root / "labels" / f"{name}.png", seed=seed)
    return dict(type="CustomDataset", data_root=str(root), img_dir="images", ann_dir="labels", **TWO)


LAYOUTS = [
    (
        CityscapesDataset,
        "leftImg8bit/train/bonn/b_1_leftImg8bit.png",
        "gtFine/train/bonn/b_1_gtFine_labelTrainIds.png",
    ),
    (GTADataset, "images/00001.png", "labels/00001_labelTrainIds.png"),
    (SynthiaDataset, "RGB/0000001.png", "GT/LABELS/0000001_labelTrainIds.png"),
    (ACDCDataset, "rgb_anon/train/G_1_rgb_anon.png", "gt/train/G_1_gt_labelTrainIds.png"),
    (
        DarkZurichDataset,
        "rgb_anon/train/night/G/G_1_rgb_anon.png",
        "gt/train/night/G/G_1_gt_labelTrainIds.png",
    ),
    (MapillaryDataset, "training/images/x.jpg", "training/labels/x_labelTrainIds.png"),
]


@pytest.mark.parametrize("dataset_class, image, label", LAYOUTS)
def test_published_layouts(tmp_path, dataset_class, image, label):
    write_image(tmp_path / image)
    write_label(tmp_path / label, high=19)
    write_label((tmp_path / label).parent / "raw_labelIds.png")
    dataset = dataset_class(str(tmp_path), pipeline=LOAD)
    assert [sample.img_path for sample in dataset.samples] == [str(tmp_path / image)]
    assert [sample.seg_map_path for sample in dataset.samples] == [str(tmp_path / label)]
    assert dataset.metainfo["classes"] == CITYSCAPES_CLASSES
    assert dataset.metainfo["palette"][13] == (0, 0, 142)
    sample = dataset[0]
    assert sample["img"].shape == (3, 24, 48)
    expected = cv2.imread(str(tmp_path / label), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(sample["gt_semantic_seg"].numpy(), expected)


def test_images_are_rgb(tmp_path):
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 0] = 200
    (tmp_path / "images").mkdir()
    Image.fromarray(image).save(tmp_path / "images" / "red.png")
    dataset = CustomDataset(str(tmp_path), "images", pipeline=LOAD, **TWO)
    assert dataset[0]["img"].amax((1, 2)).tolist() == [200, 0, 0]


def test_lists_are_sorted_and_recursive(tmp_path):
    names = ["z/1", "a/9", "a/10", "m", "A/3"]
    dataset = DATASETS.build(make_custom(tmp_path, names))
    assert [sample.name for sample in dataset.samples] == sorted(names)


def test_labels_between_images_are_no_images(tmp_path):
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.png")
        write_label(tmp_path / f"{name}_label.png")
    dataset = CustomDataset(str(tmp_path), "", "", seg_map_suffix="_label.png", **TWO)
    assert [sample.name for sample in dataset.samples] == ["a", "b"]


def test_an_image_is_not_its_own_label(tmp_path):
    write_image(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: would be both image and label .* seg_map_suffix"):
        CustomDataset(str(tmp_path), "", "", **TWO)


def test_split_file_limits_the_data_set(tmp_path):
    cfg = make_custom(tmp_path, ["x/a", "x/b", "c"])
    split = tmp_path / "split.txt"
    split.write_text("x/b\n\nc\n")
    dataset = DATASETS.build(dict(cfg, split=str(split)))
    assert [sample.name for sample in dataset.samples] == ["c", "x/b"]
    split.write_text("x/b\nnowhere\n")
    with pytest.raises(DataError, match=r"split\.txt: 1 names without image, for example nowhere"):
        DATASETS.build(dict(cfg, split=str(split)))
    split.write_text("\n")
    with pytest.raises(DataError, match="no name"):
        DATASETS.build(dict(cfg, split=str(split)))
    split.write_text("x/b\n", encoding="utf-16")
    with pytest.raises(DataError, match=r"split\.txt: the split file is not UTF-8 text; save it as UTF-8"):
        DATASETS.build(dict(cfg, split=str(split)))
    with pytest.raises(DataError, match=r"none\.txt: the split file cannot be read"):
        DATASETS.build(dict(cfg, split=str(tmp_path / "none.txt")))


def make_two_folders(root):
    """The images a, b and a, c in two folders, and a list of one of them."""
    for folder, names in dict(train="ab", val="ac").items():
        for seed, name in enumerate(names):
            write_image(root / "images" / folder / f"{name}.png", seed=seed)
            write_label(root / "labels" / folder / f"{name}.png", seed=seed)
    (root / "c.txt").write_text("c")
    return dict(type="CustomDataset", pipeline=LOAD, **TWO)


@pytest.mark.parametrize(
    "folders",
    [
        dict(
            data_root="ROOT", img_dir=["images/train", "images/val"], ann_dir=["labels/train", "labels/val"]
        ),
        dict(
            data_root=["ROOT/images/train", "ROOT/images/val"],
            img_dir="",
            ann_dir=["../../labels/train", "../../labels/val"],
        ),
    ],
)
def test_several_folders(tmp_path, monkeypatch, folders):
    """Images of the same name stay apart, and each keeps its label; paths may be relative."""
    cfg = make_two_folders(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    for root in ("own", str(tmp_path / "own")):
        placed = {
            key: [text.replace("ROOT", root) for text in value]
            if isinstance(value, list)
            else value.replace("ROOT", root)
            for key, value in folders.items()
        }
        dataset = DATASETS.build(dict(cfg, **placed))
        assert [sample.name for sample in dataset.samples] == ["train/a", "train/b", "val/a", "val/c"]
        for sample in dataset.samples:
            assert Path(sample.img_path) == dataset.img_dir / f"{sample.name}.png"
            assert Path(sample.seg_map_path) == dataset.ann_dir / f"{sample.name}.png"
            assert Path(sample.seg_map_path).is_file()
        expected = cv2.imread(str(tmp_path / "own/labels/val/c.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(dataset.get(3, None)["gt_semantic_seg"].numpy(), expected)


def test_lists_of_several_folders(tmp_path):
    cfg = make_two_folders(tmp_path)
    folders = dict(
        data_root=str(tmp_path),
        img_dir=["images/train", "images/val"],
        ann_dir=["labels/train", "labels/val"],
    )
    listed = DATASETS.build(dict(cfg, **folders, split=[None, str(tmp_path / "c.txt")]))
    assert [sample.name for sample in listed.samples] == ["train/a", "train/b", "val/c"] and listed.is_listed
    (tmp_path / "a.txt").write_text("a")
    one = dict(data_root=str(tmp_path), img_dir="images/val", ann_dir="labels/val")
    both = DATASETS.build(dict(cfg, **one, split=[str(tmp_path / "a.txt"), str(tmp_path / "c.txt")]))
    assert [sample.name for sample in both.samples] == ["a", "c"]


def test_lists_of_folders_that_do_not_fit(tmp_path):
    cfg = make_two_folders(tmp_path)
    root = dict(data_root=str(tmp_path))
    for wrong, message in [
        (
            dict(img_dir=["images/train", "images/val"], ann_dir=["labels/train"]),
            "img_dir names 2, ann_dir names 1",
        ),
        (dict(img_dir=[]), r"img_dir=\[\] .* expected a text or a list of texts"),
        (dict(img_dir=["images/train", 3]), r"img_dir=\['images/train', 3\]"),
        (dict(img_dir=["images/train", "images/val"], ann_dir=["labels/train", None]), "ann_dir="),
    ]:
        with pytest.raises(ConfigError, match=message):
            DATASETS.build(dict(cfg, **root, **wrong))
    with pytest.raises(DataError, match=r"val/[ac]\.png: is in two of the folders or lists"):
        DATASETS.build(dict(cfg, **root, img_dir=["images", "images/val"]))


def test_id_map_and_palette_labels(tmp_path):
    raw = np.array([[0, 7, 200], [300, 9, 65535]], np.uint16)
    write_image(tmp_path / "images" / "a.png", (2, 3))
    (tmp_path / "labels").mkdir()
    cv2.imwrite(str(tmp_path / "labels" / "a.png"), raw)
    arguments = dict(pipeline=LOAD, classes=["a", "b", "c"], id_map={7: 0, "200": 1, 300: 2, 9: 255})
    label = CustomDataset(str(tmp_path), "images", "labels", **arguments)[0]["gt_semantic_seg"]
    assert label.tolist() == [[255, 0, 1], [2, 255, 255]]

    palette_image = Image.fromarray(np.array([[0, 7, 9], [200, 1, 2]], np.uint8), mode="P")
    palette_image.putpalette([value for colour in range(256) for value in (colour, 255 - colour, 3)])
    palette_image.save(tmp_path / "labels" / "a.png")
    label = CustomDataset(str(tmp_path), "images", "labels", **arguments)[0]["gt_semantic_seg"]
    assert label.tolist() == [[255, 0, 255], [1, 255, 255]]


@pytest.mark.parametrize("id_map", [{7: 2}, {-1: 0}])
def test_wrong_id_map(tmp_path, id_map):
    with pytest.raises(ConfigError, match="id_map"):
        DATASETS.build(dict(make_custom(tmp_path), id_map=id_map))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(classes=None), "expected a list of 2 to 255 class names"),
        (dict(classes=["one"]), "expected a list of 2 to 255 class names"),
        (dict(classes="road"), "CustomDataset classes='road'; expected a list of texts"),
        (dict(classes=["a", "a"]), "not distinct"),
        (dict(palette=[(0, 0), (1, 1)]), r"palette=.*; expected \[\(red, green, blue\)"),
        (dict(palette=[(0, 0, 0), (256, 1, 1)]), r"palette=.*; expected \[\(red, green, blue\)"),
        (dict(palette=[(0, 0, 0)]), "2 classes but 1 palette colours"),
        (dict(crop_pseudo_margins=[1, 2]), "four widths"),
        (dict(img_sufix=".jpg"), "img_suffix"),
    ],
)
def test_wrong_config(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        DATASETS.build({**make_custom(tmp_path), **arguments})


def test_default_palette_is_distinct_and_stable():
    palette = distinct_palette(255)
    assert len(set(palette)) == 255
    assert distinct_palette(7) == palette[:7]


# ----------------------------------------------------------------------------------------- what can be wrong


def test_missing_and_empty_folders(tmp_path):
    cfg = dict(type="GTADataset", data_root=str(tmp_path / "gta"))
    with pytest.raises(DataError, match=r"gta/images: the image folder is missing .*\*\.png.*data_root"):
        DATASETS.build(cfg)
    (tmp_path / "gta" / "images").mkdir(parents=True)
    with pytest.raises(DataError, match=r"gta/images: the image folder holds no file \*\.png"):
        DATASETS.build(cfg)
    write_image(tmp_path / "gta" / "images" / "1.png")
    with pytest.raises(
        DataError, match=r"gta/labels: the label folder is missing .*convert_datasets/gta\.py .*gta"
    ):
        DATASETS.build(cfg)
    write_label(tmp_path / "gta" / "labels" / "1.png")
    with pytest.raises(
        DataError, match=r"holds no file \*_labelTrainIds\.png; run python tools/convert_datasets/gta"
    ):
        DATASETS.build(cfg)


def test_missing_labels_are_counted_and_named(tmp_path):
    cfg = make_custom(tmp_path, ["a", "b", "c", "d", "e", "f"])
    for name in "bcdef":
        (tmp_path / "labels" / f"{name}.png").unlink()
    with pytest.raises(
        DataError, match=r"5 of 6 images have no label, for example b\.png, c\.png, d\.png; check"
    ):
        DATASETS.build(cfg)


def truncate(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_truncated_image(tmp_path, suffix):
    path = tmp_path / "images" / f"a{suffix}"
    write_image(path, (100, 100))
    dataset = CustomDataset(str(tmp_path), "images", img_suffix=suffix, pipeline=LOAD, **TWO)
    assert dataset[0]["img"].shape == (3, 100, 100)
    truncate(path)
    with pytest.raises(DataError, match=rf"a\{suffix}: the file is truncated"):
        dataset[0]


def test_unreadable_files(tmp_path):
    dataset = DATASETS.build(dict(make_custom(tmp_path, ["a"]), pipeline=LOAD))
    image, label = (tmp_path / folder / "a.png" for folder in ("images", "labels"))
    intact = label.read_bytes()
    truncate(label)
    with pytest.raises(DataError, match=r"labels/a\.png: the file is truncated"):
        dataset[0]
    label.write_bytes(intact[:40] + bytes(20) + intact[60:])
    with pytest.raises(DataError, match=r"labels/a\.png: not a readable label"):
        dataset[0]
    for content in (b"", b"no image at all"):
        image.write_bytes(content)
        with pytest.raises(DataError, match=r"images/a\.png: not a readable image"):
            dataset[0]
    image.unlink()
    with pytest.raises(DataError, match=r"images/a\.png: cannot be read"):
        dataset[0]


def test_image_and_label_of_different_size(tmp_path):
    dataset = DATASETS.build(dict(make_custom(tmp_path, ["a"]), pipeline=LOAD))
    write_label(tmp_path / "labels" / "a.png", (24, 47))
    with pytest.raises(
        DataError, match=r"labels/a\.png: the label is 47x24 pixels, its image .*a\.png is 48x24; .* split of"
    ):
        dataset[0]


def test_label_that_is_a_colour_image(tmp_path):
    dataset = DATASETS.build(dict(make_custom(tmp_path, ["a"]), pipeline=LOAD))
    write_image(tmp_path / "labels" / "a.png")
    with pytest.raises(DataError, match=r"labels/a\.png: the label has 3 channels, expected one"):
        dataset[0]


def test_label_value_outside_the_classes(tmp_path):
    dataset = DATASETS.build(dict(make_custom(tmp_path, ["a"]), pipeline=LOAD))
    label = np.zeros((24, 48), np.uint8)
    label[3, 4], label[5:] = 2, 255
    cv2.imwrite(str(tmp_path / "labels" / "a.png"), label)
    with pytest.raises(DataError, match=r"labels/a\.png: label values 2 found, expected 0 to 1 or 255"):
        dataset[0]
    label[3, 4] = 1
    cv2.imwrite(str(tmp_path / "labels" / "a.png"), label)
    assert dataset[0]["gt_semantic_seg"].max() == 255


def test_batch_of_different_sizes(tmp_path):
    dataset = DATASETS.build(dict(make_custom(tmp_path, ["a", "b"]), pipeline=LOAD))
    write_image(tmp_path / "images" / "b.png", (30, 48))
    write_label(tmp_path / "labels" / "b.png", (30, 48))
    with pytest.raises(DataError, match=r"different size.*a\.png \(24, 48\), .*b\.png \(30, 48\)"):
        seg_collate([dataset.get(0, None), dataset.get(1, None)])


# ------------------------------------------------------------------------------------------------- randomness


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, second[key]), key
        else:
            assert value == second[key], key


def test_sample_is_a_function_of_seed_and_position(tmp_path):
    cfg = dict(make_custom(tmp_path, list("abcdefg")), pipeline=TRAIN, seed=3)
    first, second = DATASETS.build(cfg), DATASETS.build(cfg)
    positions = [0, 6, 7, 100, 40000]
    expected = [first[position] for position in positions]
    for position, sample in reversed(list(zip(positions, expected, strict=True))):
        assert_equal(second[position], sample)
    other = DATASETS.build(dict(cfg, seed=4))
    assert any(not torch.equal(other[p]["img"], e["img"]) for p, e in zip(positions, expected, strict=True))


def test_every_epoch_visits_each_file_once_in_a_new_order(tmp_path):
    dataset = DATASETS.build(dict(make_custom(tmp_path, list("abcdefg")), pipeline=TRAIN))
    names = [dataset[position]["img_metas"]["name"] for position in range(21)]
    epochs = [names[:7], names[7:14], names[14:]]
    assert all(sorted(epoch) == list("abcdefg") for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_test_mode_keeps_the_order(tmp_path):
    dataset = DATASETS.build(dict(make_custom(tmp_path, list("dcba")), pipeline=LOAD, test_mode=True))
    assert [dataset[i]["img_metas"]["name"] for i in range(len(dataset))] == list("abcd")


def test_augmenting_again_starts_from_the_same_image(tmp_path):
    dataset = DATASETS.build(dict(make_custom(tmp_path, ["a"]), pipeline=TRAIN))
    loaded = dataset.load(0)
    before = {key: loaded[key].copy() for key in ("img", "gt_semantic_seg")}
    keys = set(loaded)
    samples = [dataset.pack(dataset.augment(loaded, np.random.RandomState(seed))) for seed in (1, 2, 1)]
    assert set(loaded) == keys
    for key, value in before.items():
        np.testing.assert_array_equal(loaded[key], value)
    assert_equal(samples[0], samples[2])
    assert not torch.equal(samples[0]["img"], samples[1]["img"])


def test_batches_do_not_depend_on_the_number_of_workers(tmp_path):
    dataset = DATASETS.build(dict(make_custom(tmp_path, list("abcde")), pipeline=TRAIN))
    batches = [
        list(DataLoader(dataset, 2, sampler=range(8), num_workers=workers, collate_fn=seg_collate))
        for workers in (0, 2)
    ]
    assert batches[0][0]["img"].shape == (2, 3, 16, 16)
    assert len(batches[0][0]["img_metas"]) == 2
    for first, second in zip(*batches, strict=True):
        assert_equal(first, second)


def test_labels_are_not_looked_for_when_not_wanted(tmp_path):
    write_image(Path(tmp_path, "leftImg8bit/train/x/a_leftImg8bit.png"))
    dataset = CityscapesDataset(str(tmp_path), load_labels=False, pipeline=LOAD)
    assert "gt_semantic_seg" not in dataset[0]
    assert dataset[0]["img_metas"]["seg_map_path"] is None
