"""Pairs of source and target; rare class sampling against stored draws of the published implementation."""

import builtins
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from golden_data import GOLDEN, load
from mmengine.config import Config
from PIL import Image
from torch.utils.data import DataLoader

from mmseg.datasets import CustomDataset, GTADataset, RareClassSampling, UDADataset, seg_collate
from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.datasets.sampling.rare_class_sampling import class_probabilities
from mmseg.datasets.transforms import loading
from mmseg.errors import ConfigError, DataError
from mmseg.registry import DATASETS


def crops(size):
    return [
        dict(type="LoadImage"),
        dict(type="LoadLabel"),
        dict(type="RandomCrop", crop_size=size),
        dict(type="RandomFlip"),
        dict(type="Pad", size=size),
        dict(type="PackInputs"),
    ]


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), array)


@pytest.fixture
def roots(tmp_path):
    """A GTA-like source of 6 files with classes 0, 1 and (rarely) 2; a Cityscapes-like target of 4 files."""
    rng = np.random.RandomState(0)
    statistics, index = [], {}
    for i in range(6):
        label = np.zeros((32, 64), np.uint8)
        label[:, 30:] = 1
        if i < 2:
            label[4:12, 40:60] = 2
        write(tmp_path / "gta" / "images" / f"{i:05d}.png", rng.randint(0, 256, (32, 64, 3)).astype(np.uint8))
        write(tmp_path / "gta" / "labels" / f"{i:05d}_labelTrainIds.png", label)
        counts = {str(c): int((label == c).sum()) for c in np.unique(label)}
        file = f"data/gta/labels/{i:05d}_labelTrainIds.png"
        statistics.append({**counts, "file": file})
        for c, count in counts.items():
            index.setdefault(c, []).append([file, count])
    (tmp_path / "gta" / "sample_class_stats.json").write_text(json.dumps(statistics))
    (tmp_path / "gta" / "samples_with_class.json").write_text(json.dumps(index))
    for i in range(4):
        image = rng.randint(0, 256, (32, 64, 3)).astype(np.uint8)
        write(tmp_path / "cs" / "leftImg8bit/train/bonn" / f"bonn_{i}_leftImg8bit.png", image)
    return tmp_path


def config(roots, **arguments):
    return dict(
        type="UDADataset",
        source=dict(type="GTADataset", data_root=str(roots / "gta"), pipeline=crops(16)),
        target=dict(type="CityscapesDataset", data_root=str(roots / "cs"), pipeline=crops(16)),
        **arguments,
    )


RCS = dict(min_pixels=100, class_temp=0.1, min_crop_ratio=0.5)


# ------------------------------------------------------------------------------------------ published numbers


class CountingSource(GTADataset):
    """Stands for an endless pipeline: crop number k over the whole run of file i is a function of (i, k)."""

    num_loads = num_crops = 0

    def load(self, index):
        self.num_loads += 1
        return {"index": index}

    def augment(self, results, rng):
        self.num_crops += 1
        index, call = results["index"], self.num_crops
        label = torch.full((64, 64), index % 19, dtype=torch.uint8)
        label[: (7 * call) % 64] = (index + call) % 19
        return {"img": torch.zeros(3, 64, 64), "gt_semantic_seg": label, "img_metas": {"index": index}}


class FakeTarget(GTADataset):
    def get(self, index, rng):
        return {"img": torch.zeros(3, 64, 64), "img_metas": {"index": index}}


@pytest.fixture
def golden_source(tmp_path):
    shutil.copy(GOLDEN / "rcs_sample_class_stats.json", tmp_path / "sample_class_stats.json")
    shutil.copy(GOLDEN / "rcs_samples_with_class.json", tmp_path / "samples_with_class.json")
    for folder, count in (("images", 40), ("target", 30)):
        (tmp_path / folder).mkdir()
        for i in range(count):
            (tmp_path / folder / f"{i:05d}.png").touch()
    (tmp_path / "labels").mkdir()
    for i in range(40):
        (tmp_path / "labels" / f"{i:05d}_labelTrainIds.png").touch()
    return CountingSource(str(tmp_path))


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
def test_class_probabilities_are_the_published_ones(golden_source, temperature):
    golden = load("rcs")
    rcs = RareClassSampling(golden_source, min_pixels=500, class_temp=temperature)
    assert rcs.classes == golden["classes"].tolist()
    np.testing.assert_allclose(rcs.probabilities, golden[f"prob_T{temperature}"], rtol=1e-5)
    assert [len(rcs.candidates[c]) for c in rcs.classes] == golden["samples_with_class_counts"].tolist()


def test_infinite_temperature_draws_all_classes_alike(golden_source):
    """A config file has no other word for infinity."""
    for temperature in ("inf", float("inf")):
        rcs = RareClassSampling(golden_source, min_pixels=500, class_temp=temperature)
        np.testing.assert_allclose(
            rcs.probabilities, np.full(len(rcs.classes), 1 / len(rcs.classes)), rtol=1e-6
        )
    with pytest.raises(ConfigError, match="class_temp='hot', expected a number above 0, or 'inf'"):
        RareClassSampling(golden_source, class_temp="hot")


def test_draws_are_the_published_ones(golden_source, tmp_path):
    target = FakeTarget(str(tmp_path), img_dir="target", load_labels=False)
    dataset = UDADataset(golden_source, target, dict(min_pixels=500, class_temp=0.1, min_crop_ratio=2.0))
    rng = np.random.RandomState(77)
    drawn_classes = []
    draw = dataset.rcs.draw

    def recording_draw(state):
        drawn_classes.append(draw(state))
        return drawn_classes[-1]

    dataset.rcs.draw = recording_draw
    rows = []
    for _ in range(30):
        before = golden_source.num_crops
        sample = dataset.draw(rng)
        source, target_index = sample["img_metas"]["index"], sample["target_img_metas"]["index"]
        rows.append((drawn_classes[-1][0], source, target_index, golden_source.num_crops - before))
    np.testing.assert_array_equal(rows, load("rcs")["sequence"])
    assert golden_source.num_loads == 30, "an image is decoded once, however many crops are tried"


def test_without_a_ratio_the_first_crop_is_taken(golden_source):
    rcs = RareClassSampling(golden_source, min_pixels=500, min_crop_ratio=0)
    without = np.zeros((8, 8), np.uint8)
    assert rcs.accepts(without, 5)
    assert not RareClassSampling(golden_source, min_pixels=0, min_crop_ratio=0.5).accepts(without, 5)


def test_infinite_temperature_is_uniform():
    classes, probabilities = class_probabilities({3: 10, 1: 1, 0: 100, 2: 10}, float("inf"))
    assert classes == [1, 3, 2, 0]
    np.testing.assert_allclose(probabilities, 0.25)
    _, probabilities = class_probabilities({0: 3, 1: 1}, 0.5)
    expected = np.exp([1.5, 0.5])  # frequencies 1/4 and 3/4
    np.testing.assert_allclose(probabilities, expected / expected.sum(), rtol=1e-6)


# ------------------------------------------------------------------------------------------------------ pairs


def test_keys_shapes_and_types(roots):
    cfg = config(roots)
    cfg["target"]["crop_pseudo_margins"] = [30, 240, 30, 30]
    batch = seg_collate([DATASETS.build(cfg)[i] for i in range(2)])
    assert set(batch) == {
        *("img", "gt_semantic_seg", "img_metas", "target_img", "target_img_metas", "valid_pseudo_mask")
    }
    assert batch["img"].shape == batch["target_img"].shape == (2, 3, 16, 16)
    assert batch["img"].dtype == batch["target_img"].dtype == batch["gt_semantic_seg"].dtype == torch.uint8
    assert batch["gt_semantic_seg"].shape == batch["valid_pseudo_mask"].shape == (2, 16, 16)
    assert batch["valid_pseudo_mask"].dtype == torch.bool
    metas = batch["target_img_metas"][0]
    assert {"img_path", "seg_map_path", "ori_shape", "img_shape", "flip", "scale_factor"} <= set(metas)
    assert metas["seg_map_path"] is None
    assert (metas["ori_shape"], metas["img_shape"]) == ((32, 64), (16, 16))


@pytest.mark.parametrize("rcs", [None, RCS])
def test_sample_is_a_function_of_seed_and_position(roots, rcs):
    cfg = config(roots, rare_class_sampling=rcs, seed=5)
    first, second = DATASETS.build(cfg), DATASETS.build(cfg)
    expected = [first[i] for i in (0, 1, 2, 100000)]
    for i, sample in reversed(list(zip((0, 1, 2, 100000), expected, strict=True))):
        again = second[i]
        assert all(torch.equal(again[key], sample[key]) for key in ("img", "gt_semantic_seg", "target_img"))
        assert again["img_metas"] == sample["img_metas"]
        assert again["target_img_metas"] == sample["target_img_metas"]
    other = DATASETS.build({**cfg, "seed": 6})
    assert any(not torch.equal(other[i]["img"], expected[i]["img"]) for i in range(3))


def test_batches_do_not_depend_on_the_number_of_workers(roots):
    dataset = DATASETS.build(config(roots, rare_class_sampling=RCS))
    runs = [
        list(DataLoader(dataset, 2, sampler=range(8), num_workers=n, collate_fn=seg_collate)) for n in (0, 2)
    ]
    for first, second in zip(*runs, strict=True):
        assert first["img_metas"] == second["img_metas"]
        assert all(torch.equal(first[key], second[key]) for key in ("img", "gt_semantic_seg", "target_img"))


def test_pairs_are_uniform_and_independent(roots):
    cfg = config(roots)
    cfg["source"]["pipeline"] = cfg["target"]["pipeline"] = []
    dataset = DATASETS.build(cfg)
    assert len(dataset) == 24
    counts = np.zeros((6, 4))
    dataset.source.get = lambda index, rng: {"img": index, "gt_semantic_seg": 0, "img_metas": 0}
    dataset.target.get = lambda index, rng: {"img": index, "img_metas": 0}
    for i in range(2400):
        sample = dataset[i]
        counts[sample["img"], sample["target_img"]] += 1
    # 100 expected in each of 24 cells; chi-square with 23 degrees of freedom is below 49.7 with p = 0.999
    assert ((counts - 100) ** 2 / 100).sum() < 49.7


def test_rare_class_is_shown_in_the_crop(roots):
    dataset = DATASETS.build(config(roots, rare_class_sampling=dict(RCS, class_temp=0.001)))
    share = np.mean([int((dataset[i]["gt_semantic_seg"] == 2).sum()) > 50 for i in range(300)])
    # of the 17 x 49 boxes 17.8 % show more than 50 of the 8 x 20 pixels, of eleven draws one does with 88.4 %
    assert share == pytest.approx(0.884, abs=0.06)
    uniform = DATASETS.build(config(roots))
    share = np.mean([int((uniform[i]["gt_semantic_seg"] == 2).sum()) > 50 for i in range(300)])
    assert share == pytest.approx(0.178 * 2 / 6, abs=0.05)  # two of the six files hold the class


def test_crop_needs_more_than_the_minimum_of_pixels(roots):
    rcs = DATASETS.build(config(roots, rare_class_sampling=RCS)).rcs  # 100 pixels, ratio 0.5
    label = np.zeros((10, 10), np.uint8)
    label.flat[:50] = 2
    assert not rcs.accepts(label, 2)
    label.flat[50] = 2
    assert rcs.accepts(label, 2)


def test_image_is_decoded_once_per_sample(roots, monkeypatch):
    cfg = config(roots, rare_class_sampling=dict(RCS, min_crop_ratio=1000))  # no crop is ever good enough
    dataset = DATASETS.build(cfg)
    decoded, augmented = [], []
    read = loading.stored_image
    monkeypatch.setattr(loading, "stored_image", lambda path: decoded.append(1) or read(path))
    augment = dataset.source.augment
    monkeypatch.setattr(dataset.source, "augment", lambda *args: augmented.append(1) or augment(*args))
    dataset[0]
    assert len(decoded) == 2, "one source and one target image"
    assert len(augmented) == 11


def test_target_labels_are_never_opened(roots, monkeypatch):
    folder = roots / "cs" / "gtFine/train/bonn"
    for i in range(4):
        write(folder / f"bonn_{i}_gtFine_labelTrainIds.png", np.zeros((32, 64), np.uint8))
    cfg = config(roots)
    cfg["target"]["load_labels"] = True
    from_config = DATASETS.build(cfg)
    target = DATASETS.build(cfg["target"])
    from_object = UDADataset(DATASETS.build(cfg["source"]), target)
    assert target.has_labels, "the data set that was passed stays as it is"
    shutil.rmtree(folder)
    opened = []
    for owner, name in ((builtins, "open"), (Path, "read_bytes"), (Image, "open")):
        function = getattr(owner, name)

        def spy(path, *args, _function=function, **kwargs):
            opened.append(str(path))
            return _function(path, *args, **kwargs)

        monkeypatch.setattr(owner, name, spy)
    for dataset in (from_config, from_object):
        assert not dataset.target.has_labels
        sample = dataset[0]
        assert sample["target_img_metas"]["seg_map_path"] is None
    assert any("leftImg8bit" in path for path in opened)
    assert not any("gtFine" in path for path in opened)


def test_synchronised_crop_cuts_the_same_box(roots):
    position = np.arange(24 * 24).reshape(24, 24)
    coded = np.stack([position % 256, position // 256, np.zeros_like(position)], -1).astype(np.uint8)
    for path in (roots / "gta" / "images").iterdir():
        cv2.imwrite(str(path), coded)
        cv2.imwrite(str(roots / "gta/labels" / f"{path.stem}_labelTrainIds.png"), coded[..., 0] % 19)
    for path in (roots / "cs/leftImg8bit/train/bonn").iterdir():
        cv2.imwrite(str(path), coded)
    cfg = config(roots, sync_crop_size=(10, 12))
    for side in ("source", "target"):
        cfg[side]["pipeline"] = [dict(type="LoadImage"), dict(type="LoadLabel"), dict(type="Pad", size=32)]
        cfg[side]["pipeline"].append(dict(type="PackInputs"))
    dataset = DATASETS.build(cfg)
    shapes = set()
    for i in range(20):
        sample = dataset[i]
        assert sample["img"].shape == (3, 10, 12)
        assert torch.equal(sample["img"], sample["target_img"])
        height, width = sample["img_metas"]["img_shape"]
        assert sample["target_img_metas"]["img_shape"] == (height, width)
        labelled = sample["gt_semantic_seg"] != 255
        assert labelled[:height, :width].all() and labelled.sum() == height * width
        expected = sample["img"][2] % 19  # RGB order: the low byte of the position is in the last channel
        assert torch.equal(sample["gt_semantic_seg"][labelled], expected[labelled])
        shapes.add((height, width))
    assert len(shapes) > 1, "some boxes reach into the padding"


# ---------------------------------------------------------------------------------------- what can be wrong


def test_different_classes(roots):
    cfg = config(roots)
    cfg["target"] = dict(
        type="CustomDataset",
        data_root=str(roots / "cs"),
        img_dir="leftImg8bit/train",
        classes=[*CITYSCAPES_CLASSES[:-1], "boat"],
    )
    with pytest.raises(ConfigError, match=r"source \(19\) and target \(19\) .*\['bicycle', 'boat'\]"):
        DATASETS.build(cfg)


def test_source_without_labels(roots):
    cfg = config(roots)
    cfg["source"]["load_labels"] = False
    with pytest.raises(ConfigError, match="source of UDADataset has no labels"):
        DATASETS.build(cfg)


def test_unknown_arguments(roots):
    with pytest.raises(ConfigError, match=r"rare_class_sampling has no \['temperature'\]; known: min_pixels"):
        DATASETS.build(config(roots, rare_class_sampling=dict(temperature=1)))
    with pytest.raises(ConfigError, match="class_temp=0"):
        DATASETS.build(config(roots, rare_class_sampling=dict(class_temp=0)))
    with pytest.raises(ConfigError, match="did you mean 'rare_class_sampling'"):
        DATASETS.build(config(roots, rare_class_samplin=None))


@pytest.mark.parametrize("name", ["sample_class_stats.json", "samples_with_class.json"])
def test_missing_or_damaged_statistics(roots, name):
    path = roots / "gta" / name
    path.write_text("[{")
    with pytest.raises(DataError, match=rf"{name}: damaged JSON"):
        DATASETS.build(config(roots, rare_class_sampling=RCS))
    for content in ("null", "3", "[3]", '{"0": 3}', '[{"0": "x", "file": "a.png"}]', '{"0": [["a.png"]]}'):
        path.write_text(content)
        with pytest.raises(DataError, match=rf"{name}: holds no numbers of pixels by file; run"):
            DATASETS.build(config(roots, rare_class_sampling=RCS))
    path.unlink()
    expected = f"{roots}/gta: {name} is missing; run python tools/convert_datasets/gta.py {roots}/gta"
    with pytest.raises(DataError) as error:
        DATASETS.build(config(roots, rare_class_sampling=RCS))
    assert str(error.value) == expected


def test_statistics_of_other_files(roots):
    for suffix in ("images/00003.png", "labels/00003_labelTrainIds.png"):
        (roots / "gta" / suffix).unlink()
    with pytest.raises(
        DataError, match=r"names data/gta/labels/00003_labelTrainIds\.png, but .* no such file"
    ):
        DATASETS.build(config(roots, rare_class_sampling=RCS))


def test_statistics_with_unknown_classes(roots):
    path = roots / "gta" / "sample_class_stats.json"
    statistics = json.loads(path.read_text())
    statistics[0]["33"] = 5
    path.write_text(json.dumps(statistics))
    with pytest.raises(
        DataError, match=r"sample_class_stats\.json: holds the classes \[33\], expected .* 0 to 18"
    ):
        DATASETS.build(config(roots, rare_class_sampling=RCS))


def test_class_that_no_file_has_enough_of(roots):
    with pytest.raises(
        DataError, match=r"more than 160 pixels of class 2 \(building\).* 2 files with at most 160 pix"
    ):
        DATASETS.build(config(roots, rare_class_sampling=dict(min_pixels=160)))
    DATASETS.build(config(roots, rare_class_sampling=dict(min_pixels=159)))


def test_the_log_names_the_classes(rcs_log, roots):
    DATASETS.build(config(roots, rare_class_sampling=RCS))
    assert rcs_log[0] == "RCS Classes: 2 building, 0 road, 1 sidewalk"


@pytest.fixture
def rcs_log(monkeypatch):
    """What rare class sampling logs."""
    lines = []
    monkeypatch.setattr(
        "mmseg.datasets.sampling.rare_class_sampling.print_log", lambda text, **_: lines.append(text)
    )
    return lines


def test_split_limits_statistics_too(roots):
    split = roots / "split.txt"
    split.write_text("00001\n00004\n")
    cfg = config(roots, rare_class_sampling=RCS)
    cfg["source"]["split"] = str(split)
    rcs = DATASETS.build(cfg).rcs
    assert rcs.candidates == {0: [0, 1], 1: [0, 1], 2: [0]}
    split.write_text("00004\n00005\n")
    assert DATASETS.build(cfg).rcs.classes == [0, 1]  # 960 and 1088 pixels each


def test_files_are_found_by_folder_then_by_name(tmp_path):
    names = ["bonn/1", "ulm/1", "ulm/2"]
    for name in names:
        write(tmp_path / "images" / f"{name}.png", np.zeros((8, 8, 3), np.uint8))
        write(tmp_path / "labels" / f"{name}.png", np.zeros((8, 8), np.uint8))
    source = CustomDataset(str(tmp_path), "images", "labels", classes=["a", "b"])

    def candidates(*files):
        (tmp_path / "sample_class_stats.json").write_text(
            json.dumps([{"0": 64, "file": file} for file in files])
        )
        (tmp_path / "samples_with_class.json").write_text(json.dumps({"0": [[file, 64] for file in files]}))
        return RareClassSampling(source, min_pixels=10).candidates[0]

    assert candidates("/elsewhere/labels/ulm/1.png", "bonn/1.png", "moved/2.png") == [1, 0, 2]
    with pytest.raises(DataError, match=r"names moved/1\.png, but .* holds 2 files of that name"):
        candidates("moved/1.png")


def test_config_objects_of_the_runner_are_accepted(roots):
    cfg = Config(dict(dataset=config(roots, rare_class_sampling=RCS)))
    assert DATASETS.build(cfg.dataset)[0]["img"].shape == (3, 16, 16)
