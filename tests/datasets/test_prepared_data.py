"""Prepared pixels: the same as those of the files, refused when anything has changed, written in pieces."""

import errno
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.datasets.conversion.label_conversion import count_pixels
from mmseg.datasets.prepared import write as preparation
from mmseg.datasets.prepared.write import plan_preparation, prepare
from mmseg.datasets.sampling.class_statistics import Counted, write_class_statistics
from mmseg.datasets.transforms import loading
from mmseg.errors import DataError
from mmseg.registry import DATASETS
from tools import prepare_data

NUMBER = 5


def pipeline(scale=(40, 20), crop=12, labels=True):
    return [
        dict(type="LoadImage"),
        *[dict(type="LoadLabel")] * labels,
        dict(type="Resize", scale=scale),
        dict(type="RandomCrop", crop_size=crop, cat_max_ratio=0.75),
        dict(type="RandomFlip"),
        dict(type="PhotoMetricDistortion"),
        dict(type="Pad", size=crop),
        dict(type="PackInputs"),
    ]


@pytest.fixture
def roots(tmp_path):
    """A GTA-like and a Cityscapes-like data set; images are of different size."""
    rng, labels = np.random.RandomState(0), {}
    for i in range(NUMBER):
        size = (32 + i, 64 - i)
        label = cv2.resize(rng.randint(0, 4, (4, 8)).astype(np.uint8), size[::-1], interpolation=0)
        files = {
            f"gta/images/{i}.png": rng.randint(0, 256, (*size, 3)),
            f"gta/labels/{i}_labelTrainIds.png": label,
            f"cs/leftImg8bit/train/bonn/{i}_leftImg8bit.png": rng.randint(0, 256, (32, 64, 3)),
        }
        for name, array in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(tmp_path / name)
        labels[str(tmp_path / f"gta/labels/{i}_labelTrainIds.png")] = count_pixels(label)
    write_class_statistics(tmp_path / "gta", labels, Counted(CITYSCAPES_CLASSES))
    return tmp_path


def source(roots, **arguments):
    return dict(type="GTADataset", data_root=str(roots / "gta"), **{"pipeline": pipeline(), **arguments})


def target(roots, **arguments):
    return dict(
        type="CityscapesDataset",
        data_root=str(roots / "cs"),
        load_labels=False,
        crop_pseudo_margins=[300, 240, 300, 30],
        pipeline=pipeline(labels=False),
        **arguments,
    )


def prepared(cfg, folder, **arguments):
    """The config with its pixels prepared in a folder."""
    dataset = DATASETS.build(cfg)
    prepare(dataset, Path(folder), plan_preparation(dataset, Path(folder)), nproc=1, **arguments)
    return {**cfg, "prepared": str(folder)}


def assert_same(sample, expected):
    assert sample.keys() == expected.keys()
    for key, value in expected.items():
        same = torch.equal(sample[key], value) if isinstance(value, torch.Tensor) else sample[key] == value
        assert same, key


# ------------------------------------------------------------------------------------------------ same pixels


def test_one_data_set(roots, tmp_path, monkeypatch):
    cfg = source(roots)
    expected = [DATASETS.build(cfg)[i] for i in range(3 * NUMBER)]
    dataset = DATASETS.build(prepared(cfg, tmp_path / "prepared"))
    monkeypatch.delattr(loading, "stored_image")
    monkeypatch.delattr(loading, "stored_label")
    for i, sample in enumerate(expected):
        assert_same(dataset[i], sample)


@pytest.mark.parametrize("rcs", [None, dict(min_pixels=50, class_temp=0.1, min_crop_ratio=0.9)])
def test_pairs_with_pseudo_margins(roots, tmp_path, rcs):
    pair = dict(type="UDADataset", rare_class_sampling=rcs)
    cfgs = dict(source=source(roots), target=target(roots))
    expected = DATASETS.build({**pair, **cfgs})
    dataset = DATASETS.build({**pair, **{k: prepared(cfg, tmp_path / k) for k, cfg in cfgs.items()}})
    masks = set()
    for i in range(12):
        assert_same(dataset[i], expected[i])
        masks.add(int(dataset[i]["valid_pseudo_mask"].sum()))
    assert len(masks) > 1, "the margins are seen in some crops"


def test_a_target_made_of_a_labelled_data_set_reads_no_label(roots, tmp_path):
    dataset = DATASETS.build(prepared(source(roots), tmp_path / "prepared")).without_labels()
    assert "gt_semantic_seg" not in dataset[0]


def test_images_of_evaluation_keep_the_label_size(roots, tmp_path):
    steps = pipeline()
    cfg = source(roots, test_mode=True, pipeline=[steps[0], steps[2], steps[1], steps[-1]])
    dataset = DATASETS.build(prepared(cfg, tmp_path / "prepared"))
    assert dataset[0]["img"].shape[1:] == (20, 40) and dataset[0]["gt_semantic_seg"].shape == (32, 64)
    assert_same(dataset[0], DATASETS.build(cfg)[0])


# ------------------------------------------------------------------------------------------------------ stale


def test_changed_file(roots, tmp_path):
    cfg = prepared(source(roots), tmp_path / "prepared")
    path = roots / "gta/labels/3_labelTrainIds.png"
    os.utime(path, ns=(0, 10**18))
    with pytest.raises(DataError, match=r"1 of 5 images are new or have changed.*images/3\.png.*run python"):
        DATASETS.build(cfg)
    dataset = DATASETS.build({**cfg, "prepared": None})
    assert plan_preparation(dataset, tmp_path / "prepared").todo == [3]
    prepared({**cfg, "prepared": None}, tmp_path / "prepared")
    DATASETS.build(cfg)


def test_new_file(roots, tmp_path):
    cfg = prepared(source(roots), tmp_path / "prepared")
    for folder, suffix in (("images", ".png"), ("labels", "_labelTrainIds.png")):
        first = roots / "gta" / folder / f"0{suffix}"
        first.with_name(f"9{suffix}").write_bytes(first.read_bytes())
    with pytest.raises(DataError, match=r"1 of 6 images are new.*9\.png: it is not in the index"):
        DATASETS.build(cfg)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(pipeline=pipeline(scale=(44, 22))), r"pipeline=.*\[40, 20\].* config asks for .*\[44, 22\]"),
        (dict(id_map={0: 1}), "id_map=None, but the config asks for"),
        (dict(classes=["a", "b", "c", "d"], palette=[[0, 0, 0]] * 4), "num_classes=19, but .* asks for 4"),
    ],
)
def test_changed_settings(roots, tmp_path, change, message):
    folder = prepared(source(roots), tmp_path / "prepared")["prepared"]
    cfg = source(roots, **change)
    with pytest.raises(DataError, match=message):
        DATASETS.build({**cfg, "prepared": folder})
    with pytest.raises(DataError, match=message):  # what is there is never overwritten
        prepared(cfg, folder)


@pytest.mark.parametrize("folder", ["gta", "gta/labels"])
def test_data_sets_of_the_same_name_are_told_apart(roots, tmp_path, folder):
    cfg = prepared(source(roots), tmp_path / "prepared")
    shutil.copytree(roots / folder, tmp_path / "other")  # times included
    other = {"data_root": "other"} if folder == "gta" else {"ann_dir": "other"}
    cfg |= {key: str(tmp_path / name) for key, name in other.items()}
    with pytest.raises(
        DataError, match=r"prepared with (images|labels)=.*gta.*other.*; prepare into another"
    ):
        DATASETS.build(cfg)
    with pytest.raises(DataError, match="prepare into another"):
        prepared({**cfg, "prepared": None}, tmp_path / "prepared")


def test_a_data_set_without_labels_uses_pixels_prepared_with_labels(roots, tmp_path):
    cfg = prepared(source(roots), tmp_path / "prepared")
    assert DATASETS.build({**cfg, "load_labels": False}).load(0)["img"].shape == (20, 40, 3)


def test_random_transforms_may_change(roots, tmp_path):
    folder = prepared(source(roots), tmp_path / "prepared")["prepared"]
    DATASETS.build(source(roots, pipeline=pipeline(crop=16), prepared=folder))


def test_code_that_gives_other_pixels(roots, tmp_path, monkeypatch):
    cfg = prepared(source(roots), tmp_path / "prepared")
    read = loading.stored_image
    monkeypatch.setattr(
        loading, "stored_image", lambda path: read(path)._replace(pixels=read(path).pixels ^ 1)
    )
    with pytest.raises(DataError, match=r"img of 0 differ .* code or a library has changed"):
        DATASETS.build(cfg)


def test_damaged_files(roots, tmp_path):
    cfg = prepared(source(roots), tmp_path / "prepared")
    image = tmp_path / "prepared/img/2.npy"
    image.write_bytes(image.read_bytes()[:-1])
    dataset = DATASETS.build(cfg)
    with pytest.raises(DataError, match=r"img/2\.npy: no complete prepared file"):
        dataset.load(2)
    assert plan_preparation(DATASETS.build({**cfg, "prepared": None}), tmp_path / "prepared").todo == [2]
    for content, message in (
        ("{", r"index\.json: no index of prepared data .*; name another folder"),
        ("[]", "no index of prepared data"),
        (json.dumps({"format": 2, "settings": {}}), r"no index of prepared data .*samples"),
        (json.dumps({"format": 0, "settings": {}, "samples": {}}), "=0"),
    ):
        (tmp_path / "prepared/index.json").write_text(content)
        with pytest.raises(DataError, match=message):
            DATASETS.build(cfg)
    (tmp_path / "prepared/index.json").unlink()
    with pytest.raises(DataError, match=r"index\.json: missing, so nothing is prepared there; run python"):
        DATASETS.build(cfg)


# ---------------------------------------------------------------------------------------------------- writing


def test_interrupted_preparation_goes_on(roots, tmp_path, monkeypatch):
    write, written = preparation._write_array, []

    def interrupted(path, array):
        if len(written) == 5:  # image and label of two samples, image of the third
            raise KeyboardInterrupt
        write(path, array)
        written.append(path.name)

    monkeypatch.setattr(preparation, "_write_array", interrupted)
    cfg, folder = source(roots), tmp_path / "prepared"
    with pytest.raises(KeyboardInterrupt):
        prepared(cfg, folder)
    with pytest.raises(DataError, match="3 of 5 images are new"):
        DATASETS.build({**cfg, "prepared": str(folder)})
    monkeypatch.setattr(
        preparation, "_write_array", lambda *args: written.append(args[0].name) or write(*args)
    )
    prepared(cfg, folder)
    assert written[5:] == ["2.npy", "2.npy", "3.npy", "3.npy", "4.npy", "4.npy"]
    assert not list(folder.rglob("*.tmp"))


def test_space_is_looked_at_first(roots, tmp_path):
    dataset, folder = DATASETS.build(source(roots)), tmp_path / "prepared"
    plan = plan_preparation(dataset, folder)
    sizes = [dataset.load(i)["img"].nbytes + dataset.load(i)["gt_semantic_seg"].nbytes for i in range(NUMBER)]
    assert plan.needed == sum(sizes)
    with pytest.raises(DataError, match=r"are needed, 0\.00 GB are free; make room"):
        prepare(dataset, folder, replace(plan, free=0))
    assert not folder.exists()
    half = replace(plan, free=plan.needed)
    preparation.check_space({folder: half, tmp_path / "other disk": replace(half, device=-1)})
    with pytest.raises(DataError, match=r"prepared, .*same disk: "):
        preparation.check_space({folder: half, tmp_path / "same disk": half})


def test_written_pixels_are_compared(roots, tmp_path, monkeypatch):
    write = preparation._write_array
    monkeypatch.setattr(
        preparation, "_write_array", lambda path, array: write(path, array ^ (path.stem == "4"))
    )
    with pytest.raises(DataError, match="img, gt_semantic_seg of 4 differ"):
        prepared(source(roots), tmp_path / "prepared")
    monkeypatch.setattr(preparation, "_write_array", write)
    DATASETS.build(prepared(source(roots), tmp_path / "prepared")).load(4)  # the failure was not forgotten


def test_a_place_that_cannot_be_written(roots, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(
            DataError, match=r"file.*: cannot be written \(.*\); choose another place with --out"
        ):
            prepared(source(roots), folder)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def unwritable_index(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(preparation, "_write_array", full)
    monkeypatch.setattr(preparation, "_write_index", unwritable_index)
    with pytest.raises(DataError, match="No space left on device"):
        prepared(source(roots), tmp_path / "prepared")


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (dict(data_root="data"), r"train_dataloader\.dataset: expected dict\(type=\.\.\.\)"),
        (dict(type="UDADataset"), r"train_dataloader\.dataset\.source: expected dict\(type=\.\.\.\)"),
        (dict(type="GTADataset", pipeline=[]), "no LoadImage before its first random transform"),
    ],
)
def test_configs_without_what_is_to_be_prepared(roots, tmp_path, capsys, dataset, message):
    config = tmp_path / "config.py"
    if dataset.get("type") == "GTADataset":
        dataset = {**dataset, "data_root": str(roots / "gta")}
    config.write_text(f"train_dataloader = dict(dataset={dataset})")
    assert prepare_data.main([str(config), "--out", str(tmp_path / "prepared")]) == 1
    assert re.search(message, capsys.readouterr().err)


def test_command(roots, tmp_path, capsys):
    config = tmp_path / "config.py"
    pair = dict(type="UDADataset", source=source(roots), target=target(roots))
    config.write_text(f"train_dataloader = dict(dataset={pair})")
    out = tmp_path / "prepared"
    arguments = [str(config), "--out", str(out)]
    assert prepare_data.main([*arguments, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("5 of 5 images to prepare, 0.00 GB needed") == 2 and "--cfg-options" not in printed
    assert not out.exists()
    assert prepare_data.main(arguments) == 0
    settings = capsys.readouterr().out.split("--cfg-options ")[1].split()
    assert settings == [
        f"train_dataloader.dataset.source.prepared={out}/gta_40x20",
        f"train_dataloader.dataset.target.prepared={out}/cs_40x20_unlabelled",
    ]
    assert prepare_data.main([*arguments, "--cfg-options", *settings]) == 0
    assert "gta_40x20: 0 of 5 images to prepare" in capsys.readouterr().out


def test_several_processes(roots, tmp_path):
    for i in range(NUMBER, 17):
        for folder, suffix in (("images", ".png"), ("labels", "_labelTrainIds.png")):
            first = roots / "gta" / folder / f"0{suffix}"
            first.with_name(f"{i}{suffix}").write_bytes(first.read_bytes())
    dataset, folder = DATASETS.build(source(roots)), tmp_path / "prepared"
    prepare(dataset, folder, plan_preparation(dataset, folder), nproc=2)
    dataset = DATASETS.build(source(roots, prepared=str(folder)))
    assert len(dataset) == 17 and dataset.load(16)["img"].shape == (20, 40, 3)
