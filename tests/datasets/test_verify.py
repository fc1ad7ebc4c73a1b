"""What is found out about data before training: every message a user can get, and the data set configs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.datasets.sampling.class_statistics import Counted, write_class_statistics
from mmseg.datasets.verify import open_parts, quick_check, verify
from mmseg.errors import ConfigError, DataError
from mmseg.registry import DATASETS
from tools.verify_dataset import main

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs" / "_base_" / "datasets"


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), array)


def write_pair(root, image, label, seed, size=(32, 64)):
    rng = np.random.RandomState(seed)
    write(root / image, rng.randint(0, 256, (*size, 3)).astype(np.uint8))
    if label is not None:
        write(root / label, rng.randint(0, 3, size).astype(np.uint8))


def pipeline(*extra, crop=16, scale=(64, 32)):
    return [
        dict(type="LoadImage"),
        dict(type="LoadLabel"),
        dict(type="Resize", scale=scale),
        dict(type="RandomCrop", crop_size=crop),
        *extra,
        dict(type="PackInputs"),
    ]


@pytest.fixture
def cfg(tmp_path):
    """A GTA-like source with statistics, a Cityscapes-like target and labelled validation images."""
    gta, cityscapes = tmp_path / "gta", tmp_path / "cityscapes"
    for i in range(3):
        write_pair(gta, f"images/{i:05d}.png", f"labels/{i:05d}_labelTrainIds.png", i)
        write_pair(cityscapes, f"leftImg8bit/train/bonn/{i}_leftImg8bit.png", None, 10 + i)
        name = f"{{}}/val/ulm/{i}_{{}}.png"
        image, label = (
            name.format("leftImg8bit", "leftImg8bit"),
            name.format("gtFine", "gtFine_labelTrainIds"),
        )
        write_pair(cityscapes, image, label, 20 + i)
    write_statistics(gta)
    val = dict(
        dataset=dict(
            type="CityscapesDataset",
            data_root=str(cityscapes),
            img_dir="leftImg8bit/val",
            ann_dir="gtFine/val",
            test_mode=True,
            pipeline=[dict(type="LoadImage"), dict(type="LoadLabel"), dict(type="PackInputs")],
        )
    )
    source = dict(type="GTADataset", data_root=str(gta), pipeline=pipeline())
    target = dict(type="CityscapesDataset", data_root=str(cityscapes), pipeline=pipeline())
    rcs = dict(min_pixels=100, class_temp=0.01, min_crop_ratio=0.5)
    train = dict(dataset=dict(type="UDADataset", source=source, target=target, rare_class_sampling=rcs))
    return Config(dict(train_dataloader=train, val_dataloader=val, test_dataloader=val))


def write_statistics(root):
    pixels = {}
    for path in sorted((root / "labels").iterdir()):
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        pixels[f"data/gta/labels/{path.name}"] = {int(c): int((label == c).sum()) for c in np.unique(label)}
    write_class_statistics(root, pixels, Counted(CITYSCAPES_CLASSES, counted_by="the conversion of GTA"))


def gta(cfg):
    return Path(cfg.train_dataloader.dataset.source.data_root)


def problems(cfg):
    return {part.name: part.problems for part in verify(cfg, nproc=2) if part.problems}


def test_good_data_has_no_problem(cfg):
    quick_check(cfg)
    parts = verify(cfg, nproc=2)
    assert [part.name for part in parts] == ["train source", "train target", "val"]
    assert [len(part.dataset) for part in parts] == [3, 3, 3]
    assert [part.dataset.has_labels for part in parts] == [True, False, True]
    assert not any(part.problems or part.warnings for part in parts)


def test_loaders_may_be_missing(cfg):
    cfg.val_dataloader = cfg.test_dataloader = None
    quick_check(cfg)
    assert len(verify(Config(dict(test_dataloader=cfg.train_dataloader)))) == 2


def test_quick_check_lists_everything_at_once(cfg):
    (gta(cfg) / "sample_class_stats.json").unlink()
    cfg.val_dataloader.dataset.data_root = "/nowhere"
    with pytest.raises(DataError) as error:
        quick_check(cfg)
    lines = str(error.value).splitlines()
    assert lines[0] == "2 problems with the data:"
    assert "train source: " in lines[1] and "run python tools/convert_datasets/gta.py" in lines[1]
    assert "val: /nowhere/leftImg8bit/val: the image folder is missing" in lines[2]
    assert set(problems(cfg)) == {"train source", "val"}


def test_quick_check_finds_missing_pairs(cfg):
    (gta(cfg) / "labels" / "00001_labelTrainIds.png").unlink()
    message = (
        r"^train source: .*labels: 1 of 3 images have no label, for example 00001_labelTrainIds\.png; run"
    )
    with pytest.raises(DataError, match=message):
        quick_check(cfg)


def test_quick_check_reads_the_first_sample(cfg):
    path = gta(cfg) / "images" / "00000.png"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"00000\.png: the file is truncated"):
        quick_check(cfg)
    assert [len(found) for found in problems(cfg).values()] == [1], "named once"


def test_quick_check_refuses_statistics_of_other_files(cfg):
    for path in ("images/00002.png", "labels/00002_labelTrainIds.png"):
        (gta(cfg) / path).unlink()
    with pytest.raises(DataError, match=r"00002_labelTrainIds\.png, but .* no such file"):
        quick_check(cfg)


def test_quick_check_refuses_a_class_that_is_too_rare(cfg):
    cfg.train_dataloader.dataset.rare_class_sampling.min_pixels = 3000
    with pytest.raises(DataError, match="no file has more than 3000 pixels of class"):
        quick_check(cfg)


def test_crop_larger_than_the_image(cfg, monkeypatch):
    logged = []
    monkeypatch.setattr("mmseg.datasets.verify.print_log", lambda message, **_: logged.append(message))
    source = cfg.train_dataloader.dataset.source
    source.pipeline = pipeline(crop=(40, 48))
    with pytest.raises(
        DataError, match=r"crop of 48x40 pixels is larger than the resized image, 64x32; .*add Pad"
    ):
        quick_check(cfg)
    source.pipeline = pipeline(dict(type="Pad", size=(40, 40)), crop=(40, 48))
    with pytest.raises(DataError, match="is larger"):
        quick_check(cfg)
    source.pipeline = pipeline(dict(type="Pad", size=(40, 48)), crop=(40, 48))
    quick_check(cfg)
    assert len(logged) == 1 and logged[0].startswith("train source: ")
    assert "larger than the resized image, 64x32; it is going to be padded" in logged[0]
    assert DATASETS.build(source)[0]["img"].shape == (3, 40, 48)


def test_config_errors_are_not_data_errors(cfg):
    cfg.train_dataloader.dataset.target.classes = ["a", "b"]
    cfg.train_dataloader.dataset.target.palette = [[0, 0, 0], [1, 1, 1]]
    with pytest.raises(ConfigError, match="same classes"):
        quick_check(cfg)
    cfg.train_dataloader.dataset.source.pipeline[3].crop_sise = 3
    with pytest.raises(ConfigError, match="crop_size"):
        quick_check(cfg)


def test_full_check_reads_every_file(cfg):
    root = gta(cfg)
    write(root / "labels/00001_labelTrainIds.png", np.full((32, 64), 30, np.uint8))
    write(root / "labels/00002_labelTrainIds.png", np.zeros((32, 63), np.uint8))
    target = Path(cfg.train_dataloader.dataset.target.data_root, "leftImg8bit/train/bonn/2_leftImg8bit.png")
    target.write_bytes(target.read_bytes()[:-30])
    with pytest.raises(DataError, match="label values 30 found"):  # it looks at some labels, but at one image
        quick_check(cfg)
    found = problems(cfg)
    assert len(found["train source"]) == 2 and len(found["train target"]) == 1
    assert re.search(r"00001_\S+: label values 30 found, expected 0 to 18", found["train source"][0])
    assert re.search(
        r"00002_\S+: the label is 63x32 pixels, its image \S+ is 64x32", found["train source"][1]
    )
    assert "2_leftImg8bit.png: the file is truncated" in found["train target"][0]


@pytest.mark.parametrize("share", [1.0, 0.995])
@pytest.mark.parametrize("check", ["quick", "full"])
def test_labels_without_classes_are_a_problem(cfg, share, check):
    for path in (gta(cfg) / "labels").iterdir():
        label = np.full((32, 64), 40, np.uint8)
        label.ravel()[: round((1 - share) * label.size)] = 7
        write(path, label)
    cfg.train_dataloader.dataset.source.update(id_map={7: 0})
    shown = "100.00%" if share == 1 else "99.51%"
    expected = rf"{shown} of the pixels of 3 labels are ignored; found the values 40 \(100.0%\), expected"
    if check == "full":
        (problem,) = problems(cfg)["train source"]
        assert re.search(expected, problem) and "correct id_map" in problem
        return
    with pytest.raises(DataError, match=expected) as error:
        quick_check(cfg)
    assert "statistics" not in str(error.value)  # they are not to blame


def test_labels_of_few_classes_are_a_warning(cfg):
    for path in (gta(cfg) / "labels").iterdir():
        label = np.full((32, 64), 255, np.uint8)
        label[:, :6] = 1
        write(path, label)
    cfg.train_dataloader.dataset.rare_class_sampling = None
    source = next(part for part in verify(cfg, nproc=1) if part.name == "train source")
    assert not source.problems
    assert re.search(r"90\.62% of the pixels .* values 255 \(100\.0%\), expected 0 to 18", source.warnings[0])


def relabel(cfg, values):
    """Labels whose columns have these values in turn."""
    for path in (gta(cfg) / "labels").iterdir():
        write(path, np.broadcast_to(np.resize(values, 64), (32, 64)).astype(np.uint8))
    cfg.train_dataloader.dataset.rare_class_sampling = None


@pytest.mark.parametrize(
    ("id_map", "expected"),
    [
        ({10: 0, 21: 1}, r"65.6% of the pixels of 3 labels .* id_map does not name, .* 20 \(50.0%\), 30"),
        (
            {10: 0, 20: 1, 21: 2},
            r"32.8% .* ignored: 30 \(100.0%\); correct id_map, or name them there as 255",
        ),
        ({10: 0, 20: 1, 30: 255}, None),
        ({"10": 0, "20": 1, "30": 255}, None),
    ],
)
def test_values_that_id_map_does_not_name_are_told_also_quickly(cfg, id_map, expected):
    relabel(cfg, [10, 20, 30])
    cfg.train_dataloader.dataset.source.update(id_map=id_map)
    source = open_parts(cfg)[0]
    found = [warning for warning in source.warnings if "does not name" in warning]
    assert len(found) == (expected is not None) and (expected is None or re.search(expected, found[0]))
    assert not source.problems


def test_labels_without_any_class_are_told(cfg):
    relabel(cfg, [0, 1])
    write(gta(cfg) / "labels" / "00001_labelTrainIds.png", np.full((32, 64), 255, np.uint8))
    assert any("1 of 3 labels hold no class at all" in warning for warning in open_parts(cfg)[0].warnings)


def test_a_later_image_that_is_smaller_than_the_crop(cfg):
    source = cfg.train_dataloader.dataset.source
    source.pipeline = [step for step in pipeline(crop=(20, 40)) if step["type"] != "Resize"]
    for i in (1, 2):
        write_pair(gta(cfg), f"images/{i:05d}.png", f"labels/{i:05d}_labelTrainIds.png", i, (32, 36))
    cfg.train_dataloader.dataset.rare_class_sampling = None
    assert not open_parts(cfg)[0].problems
    (problem,) = problems(cfg)["train source"]
    assert "00001.png and 1 more of its size: the crop of 40x20 pixels is larger than" in problem
    source.pipeline.insert(3, dict(type="Pad", size=(20, 40)))
    checked = verify(cfg, nproc=1)[0]
    assert not checked.problems and "it is going to be padded" in checked.warnings[0]


LOAD, LABEL, PACK = (dict(type=name) for name in ("LoadImage", "LoadLabel", "PackInputs"))
RESIZE, CROP = dict(type="Resize", scale=(64, 32)), dict(type="RandomCrop", crop_size=16)


@pytest.mark.parametrize(
    ("part", "steps", "expected"),
    [
        ("val", [LOAD, PACK], "the labels in .*gtFine/val are not read; add dict.type='LoadLabel'"),
        ("val", [LOAD, LABEL], "the samples are no tensors; expected PackInputs"),
        ("val", [RESIZE, LABEL, PACK], "a step needs 'img', which none before it gives: expected LoadImage"),
        ("val", [LOAD, CROP, LABEL, PACK], "RandomCrop draws at random"),
        ("val", [LOAD, LABEL, dict(type="RandomFlip"), PACK], "RandomFlip draws at random"),
        ("val", [], "no steps; expected LoadImage, LoadLabel"),
        ("train source", [LOAD, CROP, PACK], "the labels in .*labels are not read"),
        ("train source", [LOAD, LABEL, CROP], "the samples are no tensors"),
        ("train source", [LABEL, RESIZE, CROP, PACK], "a step needs 'img'"),
        ("train target", [LOAD, CROP], "the samples are no tensors"),
    ],
)
def test_pipelines_that_lack_a_step_or_have_one_too_many(cfg, part, steps, expected):
    data = cfg.val_dataloader.dataset if part == "val" else cfg.train_dataloader.dataset[part.split()[1]]
    data.pipeline = steps
    with pytest.raises(DataError, match=f"{part}: .*{expected}"):
        quick_check(cfg)


def test_training_without_labels(cfg):
    source = dict(cfg.train_dataloader.dataset.source, load_labels=False)
    with pytest.raises(
        DataError, match=r"train: .*images: training needs labels, and none are read; set ann"
    ):
        quick_check(Config(dict(train_dataloader=dict(dataset=source))))


def test_statistics_that_nobody_needs_and_nobody_can_write(cfg, monkeypatch):
    source = Config(dict(train_dataloader=dict(dataset=cfg.train_dataloader.dataset.source)))
    source.train_dataloader.dataset.update(type="CustomDataset", classes=list("abc"), img_dir="images",
        ann_dir="labels", seg_map_suffix="_labelTrainIds.png")  # fmt: skip
    for path in gta(cfg).glob("*.json"):
        path.unlink()

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("mmseg.datasets.verify.write_class_statistics", refuse)
    (problem,) = verify(source, nproc=1, write_statistics=True)[0].problems
    assert "leave --write-statistics out" in problem and "rare_class_sampling=" not in problem


def test_colours_that_nobody_named_are_shown(cfg):
    label = np.zeros((32, 64, 3), np.uint8)
    label[:, :32] = (128, 64, 130)  # blue, green, red
    for path in (gta(cfg) / "labels").iterdir():
        write(path, label)
    cfg.train_dataloader.dataset.source.update(id_map={(1, 2, 3): 0})
    (problem,) = problems(cfg)["train source"]
    assert "#824080 (50.0%)" in problem and "#000000 (50.0%)" in problem


def test_margins_over_the_whole_image_are_a_warning(cfg):
    cfg.train_dataloader.dataset.target.update(crop_pseudo_margins=[600, 600, 0, 0])
    target = next(part for part in verify(cfg, nproc=1) if part.name == "train target")
    assert "cover the whole image" in target.warnings[0] and not target.problems


def test_statistics_in_another_folder(cfg, tmp_path):
    root = gta(cfg)
    for name in ("sample_class_stats.json", "samples_with_class.json"):
        (root / name).unlink()
    with pytest.raises(DataError, match=r"gta: sample_class_stats\.json is missing"):
        quick_check(cfg)
    cfg.train_dataloader.dataset.rare_class_sampling.statistics_dir = str(tmp_path / "elsewhere")
    assert not any(part.problems for part in verify(cfg, nproc=1, write_statistics=True))
    quick_check(cfg)
    assert not (root / "sample_class_stats.json").exists()
    (tmp_path / "file").write_text("")
    cfg.train_dataloader.dataset.rare_class_sampling.statistics_dir = str(tmp_path / "file")
    source = verify(cfg, nproc=1, write_statistics=True)[0]
    assert "class statistics cannot be written" in source.problems[0]


def test_full_check_compares_statistics_with_labels(cfg):
    path = gta(cfg) / "sample_class_stats.json"
    statistics = json.loads(path.read_text())
    statistics[1]["0"] += 1
    path.write_text(json.dumps(statistics[:2]))
    found = problems(cfg)["train source"]
    assert re.search(r"pixels per class of data/gta/labels/00001_labelTrainIds\.png are given as", found[0])
    assert re.search(r"1 labels are not counted.*00002_labelTrainIds\.png", found[1])
    assert len(found) == 2


def test_statistics_of_own_data_can_be_written(cfg):
    root = gta(cfg)
    for name in ("sample_class_stats.json", "samples_with_class.json"):
        (root / name).unlink()
    source = cfg.train_dataloader.dataset.source
    source.update(
        type="CustomDataset", img_dir="images", ann_dir="labels", seg_map_suffix="_labelTrainIds.png"
    )
    source.update(classes=DATASETS.build(cfg.val_dataloader.dataset).classes)
    with pytest.raises(
        DataError, match=r"sample_class_stats\.json is missing; .*verify_dataset\.py .*--write-stat"
    ):
        quick_check(cfg)
    assert not any(part.problems for part in verify(cfg, write_statistics=True))
    quick_check(cfg)
    entry = json.loads((root / "sample_class_stats.json").read_text())[2]
    label = cv2.imread(str(root / "labels/00002_labelTrainIds.png"), cv2.IMREAD_UNCHANGED)
    assert {c: n for c, n in entry.items() if c != "file"} == {str(c): (label == c).sum() for c in range(3)}


def test_statistics_of_several_folders(cfg, tmp_path):
    """Labels of the same name are counted and drawn each by itself."""
    for folder, name, seed in [("a", "0", 1), ("a", "1", 2), ("b", "0", 3)]:
        write_pair(tmp_path / folder, f"images/{name}.png", f"labels/{name}.png", seed)
    write(tmp_path / "b/labels/0.png", np.full((32, 64), 5, np.uint8))
    source = cfg.train_dataloader.dataset.source
    source.update(type="CustomDataset", data_root=[str(tmp_path / folder) for folder in "ab"])
    source.update(classes=DATASETS.build(cfg.val_dataloader.dataset).classes)
    source.update(img_dir="images", ann_dir="labels")
    assert not any(part.problems for part in verify(cfg, nproc=1, write_statistics=True))
    quick_check(cfg)
    drawn = DATASETS.build(cfg.train_dataloader.dataset)
    assert [sample.name for sample in drawn.source.samples] == ["a/images/0", "a/images/1", "b/images/0"]
    assert drawn.rcs.candidates[5] == [2] and drawn.rcs.candidates[0] == [0, 1]
    assert (tmp_path / "sample_class_stats.json").exists(), "in what the folders have in common"


def use_other_classes(cfg):
    """Let source and validation data merge the classes of GTA into two."""
    two = dict(
        type="CustomDataset", classes=["flat", "other"], id_map={0: 0, 1: 0, 2: 1}, img_dir="images",
        ann_dir="labels", seg_map_suffix="_labelTrainIds.png",
    )  # fmt: skip
    cfg.train_dataloader.dataset.source.update(two)
    cfg.train_dataloader.dataset.target.update(
        type="CustomDataset", classes=["flat", "other"], img_dir="leftImg8bit/train"
    )
    cfg.val_dataloader = cfg.test_dataloader = None


def test_statistics_of_other_classes_are_refused(cfg, tmp_path):
    """Nobody trains with the counts of other classes, and nobody's counts are lost."""
    cfg.train_dataloader.dataset.source.id_map = {c: c for c in range(19)}
    assert not open_parts(cfg)[0].problems, "changes nothing"
    del cfg.train_dataloader.dataset.source["id_map"]
    use_other_classes(cfg)
    with pytest.raises(
        DataError, match=r"the statistics count 19 classes \['road', .* the data set has \['flat'"
    ):
        quick_check(cfg)
    before = {path: path.read_text() for path in gta(cfg).glob("*.json")}
    (found,) = verify(cfg, write_statistics=True)[0].problems
    assert "by the conversion of GTA, count 19 classes" in found and "nothing is written" in found
    assert {path: path.read_text() for path in gta(cfg).glob("*.json")} == before

    cfg.train_dataloader.dataset.rare_class_sampling.statistics_dir = str(tmp_path / "two")
    assert not any(part.problems for part in verify(cfg, write_statistics=True))
    quick_check(cfg)
    source = cfg.train_dataloader.dataset.source
    for id_map, refused in [({0: 0, 1: 1, 2: 1}, True), ({0: 0, 1: 0, 2: 1, 3: 255}, False)]:
        source.id_map = id_map
        problems = open_parts(cfg)[0].problems
        assert bool(problems) == refused, problems
    source.id_map = {0: 0, 1: 1, 2: 1}
    assert "count id_map {'0': 0, '1': 0, '2': 1}, the data set has {'0': 0" in open_problem(cfg)
    assert not any(part.problems for part in verify(cfg, write_statistics=True)), "its own are replaced"


def open_problem(cfg):
    (problem,) = open_parts(cfg)[0].problems
    return problem


def test_statistics_that_leave_out_files_are_refused(cfg):
    write_pair(gta(cfg), "images/00003.png", "labels/00003_labelTrainIds.png", 7)
    with pytest.raises(DataError, match=r"1 of 4 labels are not counted .*00003_labelTrainIds\.png"):
        quick_check(cfg)
    assert not any(part.problems for part in verify(cfg, write_statistics=True))
    quick_check(cfg)


def test_statistics_of_further_files_are_kept(cfg, tmp_path):
    (tmp_path / "list.txt").write_text("00001")
    cfg.train_dataloader.dataset.source.split = str(tmp_path / "list.txt")
    assert open_parts(cfg)[0].problems == [], "they count these files as well"
    (found,) = verify(cfg, write_statistics=True)[0].problems
    assert "count 2 files that this data set leaves out, for example data/gta/labels/00000_" in found


@pytest.mark.parametrize("change", ["older", "changed"])
def test_statistics_without_record_are_read_with_a_remark(cfg, change):
    root = gta(cfg)
    if change == "older":
        (root / "class_statistics_record.json").unlink()
    else:
        path = root / "samples_with_class.json"
        path.write_text(json.dumps(json.loads(path.read_text())))
    part = open_parts(cfg)[0]
    assert not part.problems and len(part.warnings) == 1
    assert "no class_statistics_record.json beside it" in part.warnings[0]
    write_pair(root, "images/00003.png", "labels/00003_labelTrainIds.png", 7)
    assert "1 of 4 labels are not counted" in open_parts(cfg)[0].warnings[1]
    assert not any(part.problems for part in verify(cfg, write_statistics=True))
    assert not open_parts(cfg)[0].warnings

    use_other_classes(cfg)
    (root / "class_statistics_record.json").unlink()
    (found,) = verify(cfg, write_statistics=True)[0].problems
    assert "count class 2, the data set has 2 classes" in found


def test_tool_prints_a_summary_and_fails_with_a_list(cfg, tmp_path, capsys):
    config = tmp_path / "config.py"
    cfg.dump(config)
    assert main([str(config)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"train target\s*│ CityscapesDataset\s*│ 3\s*│ no", printed)
    assert "error" not in printed
    write(gta(cfg) / "labels/00001_labelTrainIds.png", np.full((32, 64), 30, np.uint8))
    assert main([str(config), "--quick"]) == 1
    tool = [sys.executable, str(ROOT / "tools" / "verify_dataset.py"), str(config)]
    result = subprocess.run(tool, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    assert re.search(
        r"error: train source: \S+00001_labelTrainIds\.png: label values 30 found", result.stdout
    )


def test_tool_shows_what_the_files_hold(cfg, tmp_path, capsys):
    config, report = tmp_path / "config.py", tmp_path / "report.json"
    cfg.dump(config)
    assert main([str(config), "--json", str(report), "--show-dir", str(tmp_path / "pictures")]) == 0
    printed = capsys.readouterr().out
    assert "train source: sizes 64x32 (3)" in printed and re.search(
        r"road\s*│ 3\d\.\d\d%\s*│ 3 of 3", printed
    )
    source, target, val = json.loads(report.read_text())
    labels = [cv2.imread(str(path), 0) for path in (gta(cfg) / "labels").iterdir()]
    pixels = sum(int((label == 0).sum()) for label in labels)
    assert source["classes"]["road"] == dict(pixels=pixels, share=pixels / (3 * 32 * 64), images=3)
    assert source["ignored_share"] == 0 and "classes" not in target and val["images"] == 3
    for name in ("train_source", "train_target", "val"):
        assert cv2.imread(str(tmp_path / "pictures" / f"{name}.png")).shape[1] > 3 * 64


@pytest.mark.parametrize("fault", ["missing", "foreign", "classes"])
def test_quick_tool_finds_what_training_refuses(cfg, tmp_path, capsys, fault):
    config, path = tmp_path / "config.py", gta(cfg) / "sample_class_stats.json"
    cfg.model = dict(decode_head=dict(num_classes=7 if fault == "classes" else 19))
    cfg.dump(config)
    if fault == "missing":
        path.unlink()
    elif fault == "foreign":
        path.write_text(path.read_text().replace("00001_", "90001_"))
    assert main([str(config), "--quick"]) == 1
    expected = {
        "missing": "sample_class_stats.json is missing",
        "foreign": "holds no such file; the statistics belong to other labels",
        "classes": "the network predicts 7 classes, the data set has 19",
    }
    assert expected[fault] in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------- configs

# file: (source, its box, crop ratio, photometric), (target, its box) or None, validation
EXPECTED = {
    "uda_gta_to_cityscapes": (("GTADataset", (1280, 720), 0.75, False), ("CityscapesDataset", (1024, 512))),
    "uda_synthia_to_cityscapes": (
        ("SynthiaDataset", (1280, 760), 0.75, False),
        ("CityscapesDataset", (1024, 512)),
    ),
    "uda_cityscapes_to_acdc": (("CityscapesDataset", (1024, 512), 0.75, False), ("ACDCDataset", (960, 540))),
    "uda_cityscapes_to_darkzurich": (
        ("CityscapesDataset", (1024, 512), 0.75, False),
        ("DarkZurichDataset", (960, 540)),
    ),
    "gta_to_cityscapes": (("GTADataset", (1280, 720), 0.75, True), None),
    "cityscapes": (("CityscapesDataset", (1024, 512), 0.75, True), None),
}


def side(dataset):
    transforms = {transform["type"]: transform for transform in dataset["pipeline"]}
    for key, argument in (("RandomCrop", "crop_size"), ("Pad", "size")):
        assert tuple(transforms[key][argument]) == (512, 512)
    assert transforms["RandomFlip"]["prob"] == 0.5
    crop_ratio = transforms["RandomCrop"].get("cat_max_ratio", 1.0)
    scale = tuple(transforms["Resize"]["scale"])
    return dataset["type"], scale, crop_ratio, "PhotoMetricDistortion" in transforms


@pytest.mark.parametrize("name", EXPECTED)
def test_published_resizing_and_cropping(name):
    cfg = Config.fromfile(CONFIGS / f"{name}_512x512.py")
    source, target = EXPECTED[name]
    train = cfg.train_dataloader
    assert (train.batch_size, train.sampler.type, train.collate_fn.type) == (
        2,
        "PositionSampler",
        "seg_collate",
    )
    if target is None:
        assert side(train.dataset) == source
    else:
        assert train.dataset.type == "UDADataset"
        assert side(train.dataset.source) == source
        assert side(train.dataset.target) == (*target, 1.0, False)
        assert not train.dataset.target.load_labels
    val = cfg.val_dataloader.dataset
    expected = target or ("CityscapesDataset", (1024, 512))
    order = [transform["type"] for transform in val.pipeline]
    assert (val.type, tuple(val.pipeline[1].scale)) == expected
    assert order == ["LoadImage", "Resize", "LoadLabel", "PackInputs"]
    assert val.test_mode and cfg.val_dataloader.batch_size == 1
    assert cfg.test_dataloader == cfg.val_dataloader
    subsets = cfg.val_evaluator.get("class_subsets", ())
    assert tuple(subsets) == (("16", "13") if "synthia" in name else ())
    assert cfg.test_evaluator == cfg.val_evaluator


def test_every_dataset_config_is_tested():
    small = {path.name for path in CONFIGS.glob("*_512x512.py")}
    assert small == {f"{name}_512x512.py" for name in EXPECTED} | {SEVERAL_SOURCES}
    others = {*HIGH_RESOLUTION, *WHOLE_IMAGES, *FULL_RESOLUTION, *ROUNDS, *TRANSLATION, *FDA}
    assert {path.name for path in CONFIGS.glob("*.py")} - small == others


SEVERAL_SOURCES = "uda_gta_synthia_to_cityscapes_512x512.py"


def test_two_sources_are_cropped_as_each_alone():
    cfg = Config.fromfile(CONFIGS / SEVERAL_SOURCES)
    train = cfg.train_dataloader.dataset
    assert list(train.source) == ["gta", "synthia"] and train.get("mode", "mixed") == "mixed"
    for name, source in train.source.items():
        alone = Config.fromfile(CONFIGS / f"uda_{name}_to_cityscapes_512x512.py").train_dataloader.dataset
        assert (source.dataset, train.target) == (alone.source, alone.target)
    assert cfg.val_dataloader.dataset.type == "CityscapesDataset"
    assert cfg.test_evaluator.class_subsets == ("16", "13")


FULL_RESOLUTION = ("uda_gta_to_cityscapes_768x768.py", "uda_synthia_to_cityscapes_768x768.py")


@pytest.mark.parametrize("name", FULL_RESOLUTION)
def test_images_of_cycada_are_cropped_at_a_height_of_1024(name):
    cfg = Config.fromfile(CONFIGS / name)
    for dataset in (cfg.train_dataloader.dataset.source, cfg.train_dataloader.dataset.target):
        crops = [step.crop_size for step in dataset.pipeline if step.type == "RandomCrop"]
        assert [tuple(size) for size in crops] == [(768, 768)]
        assert [tuple(step.scale) for step in dataset.pipeline if step.type == "Resize"] == [(2048, 1024)]


FDA = {"uda_gta_to_cityscapes_fda.py": (1280, 720), "uda_synthia_to_cityscapes_fda.py": (1280, 760)}


@pytest.mark.parametrize("name", FDA)
def test_images_of_fda_are_resized_and_those_of_the_source_cropped(name):
    cfg = Config.fromfile(CONFIGS / name)
    dataset = cfg.train_dataloader.dataset
    kinds = {role: [step.type for step in dataset[role].pipeline] for role in ("source", "target")}
    assert kinds["source"] == ["LoadImage", "LoadLabel", "Resize", "RandomCrop", "PackInputs"]
    assert kinds["target"] == ["LoadImage", "Resize", "PackInputs"]
    scales = [tuple(dataset.source.pipeline[2].scale), tuple(dataset.target.pipeline[1].scale)]
    assert scales == [FDA[name], (1024, 512)]
    assert tuple(dataset.source.pipeline[3].crop_size) == (512, 1024)
    assert tuple(cfg.val_dataloader.dataset.pipeline[1].scale) == (1344, 576)
    assert cfg.test_dataloader == cfg.val_dataloader and cfg.val_dataloader.dataset.test_mode


TRANSLATION = ("translate_gta_to_cityscapes_400x400.py", "translate_synthia_to_cityscapes_400x400.py")


@pytest.mark.parametrize("name", TRANSLATION)
def test_images_for_generators_are_cropped_at_a_width_of_1024(name):
    cfg = Config.fromfile(CONFIGS / name)
    for dataset in (cfg.train_dataloader.dataset.source, cfg.train_dataloader.dataset.target):
        steps = {step.type: step for step in dataset.pipeline}
        assert tuple(steps["RandomCrop"].crop_size) == (400, 400) == tuple(steps["Pad"].size)
        assert tuple(steps["Resize"].scale) == (1024, 1024) and steps["RandomFlip"].prob == 0.5
    assert (
        cfg.train_dataloader.batch_size == 1 and "val_dataloader" not in cfg
    ) or not cfg.val_dataloader.get("dataset")


WHOLE_IMAGES = {
    "gta_to_cityscapes_whole.py": (1280, 720),
    "cityscapes_whole.py": (1024, 512),
    "uda_gta_to_cityscapes_whole.py": (1280, 720),
    "uda_gta_to_cityscapes_resolutions.py": (1280, 720),
    "uda_synthia_to_cityscapes_whole.py": (1280, 760),
    "uda_synthia_to_cityscapes_resolutions.py": (1280, 760),
}


@pytest.mark.parametrize("name", WHOLE_IMAGES)
def test_images_of_the_alignment_methods_are_resized_and_not_cropped(name):
    cfg = Config.fromfile(CONFIGS / name)
    train, scale = cfg.train_dataloader, WHOLE_IMAGES[name]
    assert train.batch_size == 1
    adapts = train.dataset.type == "UDADataset"
    kinds = ["LoadImage", "LoadLabel", "Resize", "PackInputs"]
    if "resolutions" in name:
        kinds = ["LoadImage", "LoadLabel", "RandomResolution", "RandomFlip", "PackInputs"]
    for dataset, size in (
        [(train.dataset.source, scale), (train.dataset.target, (1024, 512))]
        if adapts
        else [(train.dataset, scale)]
    ):
        steps = [
            step for step in dataset.pipeline if step.type != "LoadLabel" or dataset.get("load_labels", True)
        ]
        expected = [kind for kind in kinds if kind != "LoadLabel" or dataset.get("load_labels", True)]
        assert [step.type for step in steps] == expected
        (resize,) = [step for step in steps if "scale" in step]
        assert (resize.scale, resize.interpolation, resize.backend) == (size, "bicubic", "pillow")


# file: (crop, least and greatest factor, share of mined crops) of the source, of the target, shares of the
# source in the rounds and how they are chosen
ROUNDS = {
    "rounds_gta_to_cityscapes_cbst.py": (
        ((504, 504), (0.7, 1.3), 0.8),
        ((504, 504), (0.7, 1.3), 0.8),
        ([0.03, 0.0325, 0.035, 0.0375, 0.04, 0.0425], "cumulative"),
    ),
    "rounds_synthia_to_cityscapes_cbst.py": (
        ((504, 504), (0.7, 1.3), 0.8),
        ((504, 504), (0.7, 1.3), 0.8),
        ([0.02, 0.0225, 0.025, 0.0275, 0.03, 0.0325], "cumulative"),
    ),
    "rounds_gta_to_cityscapes_crst.py": (
        ((512, 1024), (0.5, 1.5), None),
        ((512, 1024), (0.5, 1.5), 0.8),
        ([0.03, 0.0325, 0.035, 0.0375, 0.04, 0.0425], "anew"),
    ),
    "rounds_synthia_to_cityscapes_crst.py": (
        ((600, 900), (0.8, 1.2), None),
        ((600, 900), (0.6, 1.5), 0.8),
        ([0.02, 0.0225, 0.025, 0.0275], "anew"),
    ),
    "uda_gta_to_cityscapes_crst.py": (((500, 500), (0.5, 1.5), None), ((500, 500), (0.5, 1.5), None), None),
    "uda_synthia_to_cityscapes_crst.py": (
        ((500, 500), (0.5, 1.5), None),
        ((500, 500), (0.5, 1.5), None),
        None,
    ),
    "easy_hard_cityscapes_crst.py": (None, ((512, 1024), (0.5, 1.5), None), None),
    "easy_hard_cityscapes_whole.py": (None, None, None),
}


@pytest.mark.parametrize("name", ROUNDS)
def test_images_of_self_training_in_rounds_are_scaled_and_cropped(name):
    cfg = Config.fromfile(CONFIGS / name)
    data = cfg.train_dataloader.dataset
    *sides, portions = ROUNDS[name]
    for part, expected in zip((data.get("source"), data.target), sides, strict=True):
        steps = {step.type: step for step in part.pipeline} if part else {}
        crops = [step for key, step in steps.items() if "Crop" in key]
        if expected is None:
            assert not crops and "RandomScale" not in steps
            continue
        (crop,) = crops
        scale = steps["RandomScale"]
        assert (tuple(crop.crop_size), (scale.low, scale.high), crop.get("probability")) == expected
        assert tuple(steps["Pad"].size) == expected[0] and steps["RandomFlip"].prob == 0.5
    assert not data.target.load_labels
    if portions is not None:
        assert (data.type, data.source_portions, data.source_choice) == ("SelfTrainingDataset", *portions)
    assert ("rounds" in cfg) == (data.type != "UDADataset")


HIGH_RESOLUTION = {
    "uda_gtaHR_to_cityscapesHR_1024x1024.py": ((2560, 1440), (2048, 1024)),
    "uda_synthiaHR_to_cityscapesHR_1024x1024.py": ((2560, 1520), (2048, 1024)),
    "uda_cityscapesHR_to_acdcHR_1024x1024.py": ((2048, 1024), (1920, 1080)),
    "uda_cityscapesHR_to_darkzurichHR_1024x1024.py": ((2048, 1024), (1920, 1080)),
}


@pytest.mark.parametrize("name", HIGH_RESOLUTION)
def test_high_resolution_configs_differ_in_sizes_only(name):
    low = Config.fromfile(CONFIGS / name.replace("HR", "").replace("1024x1024", "512x512"))
    high = Config.fromfile(CONFIGS / name)
    source, target = HIGH_RESOLUTION[name]
    for low_set, high_set, scale in [
        (low.train_dataloader.dataset.source, high.train_dataloader.dataset.source, source),
        (low.train_dataloader.dataset.target, high.train_dataloader.dataset.target, target),
        (low.val_dataloader.dataset, high.val_dataloader.dataset, target),
    ]:
        sizes = dict(
            Resize=dict(scale=scale), RandomCrop=dict(crop_size=(1024, 1024)), Pad=dict(size=(1024, 1024))
        )
        expected = [{**step, **sizes.get(step["type"], {})} for step in low_set.pipeline]
        assert high_set.to_dict() == {**low_set.to_dict(), "pipeline": expected}


def test_dataset_config_runs_with_overrides(cfg):
    published = Config.fromfile(CONFIGS / "uda_gta_to_cityscapes_512x512.py")
    data = cfg.train_dataloader.dataset
    overrides = {
        "train_dataloader.dataset.source.data_root": data.source.data_root,
        "train_dataloader.dataset.target.data_root": data.target.data_root,
        "val_dataloader.dataset.data_root": data.target.data_root,
        "test_dataloader.dataset.data_root": data.target.data_root,
        "train_dataloader.dataset.rare_class_sampling": data.rare_class_sampling,
        "train_dataloader.dataset.target.crop_pseudo_margins": [30, 240, 30, 30],
    }
    published.merge_from_dict(overrides)
    quick_check(published)
    sample = DATASETS.build(published.train_dataloader.dataset)[0]
    assert sample["img"].shape == sample["target_img"].shape == (3, 512, 512)
    assert sample["img_metas"]["scale_factor"] == (20.0, 20.0)
    expected_margin = round(30 * 32 / 1024) * 16
    assert expected_margin == 16 and not sample["valid_pseudo_mask"][:expected_margin].any()


def test_bands_and_pages_that_are_left_out_are_said(cfg):
    source = cfg.train_dataloader.dataset.source
    for path in (gta(cfg) / "images").iterdir():
        pages = [Image.new("RGBA", (64, 32)) for _ in range(2)]
        pages[0].save(path.with_suffix(".tif"), save_all=True, append_images=pages[1:])
        path.unlink()
    source.img_suffix = ".tif"
    (part, *_) = verify(cfg, nproc=1)
    assert "has 2 pages, of which the first is read and 4 bands, of which (0, 1, 2)" in part.warnings[0]
    assert not part.problems
