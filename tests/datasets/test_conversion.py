"""Label conversion: exact train ids, class statistics, resuming, damaged files, command line tools."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from cityscapesscripts.helpers.labels import labels as cityscapes_labels
from cityscapesscripts.preparation.json2labelImg import json2labelImg
from PIL import Image

from mmseg.commands.convert import main as convert
from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.datasets.conversion import mapillary, synthia
from mmseg.datasets.conversion.cityscapes import CITYSCAPES, convert_cityscapes
from mmseg.datasets.conversion.gta import GTA
from mmseg.datasets.conversion.mapillary import MAPILLARY
from mmseg.datasets.conversion.runner import convert_dataset
from mmseg.datasets.conversion.synthia import SYNTHIA
from mmseg.errors import DataError

REPOSITORY = Path(__file__).parents[2]
STATISTICS = ("sample_class_stats.json", "sample_class_stats_dict.json", "samples_with_class.json")


def blocks(seed, values, shape=(24, 36)):
    """Random label map of 4x4 blocks."""
    small = np.random.RandomState(seed).choice(values, (shape[0] // 4, shape[1] // 4))
    return small.repeat(4, 0).repeat(4, 1)


def write_palette_png(path, ids):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids.astype(np.uint8)).convert("P")
    image.putdata(ids.ravel().tolist())
    image.putpalette(np.random.RandomState(1).randint(0, 256, 768).tolist())
    image.save(path)


def make_gta(root, number=6):
    raw = {}
    for index in range(number):
        path = root / "labels" / f"{number - index:05d}.png"
        raw[path] = blocks(index, np.arange(35))
        write_palette_png(path, raw[path])
    return dict(sorted(raw.items()))


def make_cityscapes(root):
    names = [
        f"{split}/{city}/{city}_00000{i}_000019"
        for split, city in (("train", "bonn"), ("train", "aachen"), ("val", "ulm"), ("test", "berlin"))
        for i in range(2)
    ]
    for index, name in enumerate(names):
        rng = np.random.RandomState(index)
        classes = [*rng.choice([label.name for label in cityscapes_labels], 12), "cargroup", "license plate"]
        objects = [
            {"label": str(c), "polygon": rng.randint(0, 48, (4, 2)).tolist(), "deleted": int(c == "terrain")}
            for c in classes
        ]
        objects.insert(0, {"label": "road", "polygon": [[0, 24], [47, 24], [47, 31], [0, 31]]})
        path = root / "gtFine" / f"{name}_gtFine_polygons.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"imgHeight": 32, "imgWidth": 48, "objects": objects}))
    return names


def read_label(path):
    image = Image.open(path)
    assert image.mode == "L"
    return np.asarray(image)


def read_statistics(folder):
    return [json.loads((folder / name).read_text()) for name in STATISTICS]


def assert_statistics(folder, converted):
    """Compare the three files with counts taken pixel by pixel class by class."""
    samples, by_file, by_class = [], {}, {}
    for path in converted:
        label = read_label(path)
        counts = {str(c): int((label == c).sum()) for c in range(19) if (label == c).any()}
        samples.append({**counts, "file": str(path)})
        by_file[str(path)] = counts
        for c, n in counts.items():
            by_class.setdefault(c, []).append([str(path), n])
    assert samples and by_class
    assert read_statistics(folder) == [samples, by_file, by_class]
    record = json.loads((folder / "class_statistics_record.json").read_text())
    assert record["classes"] == list(CITYSCAPES_CLASSES) and record["id_map"] is None
    assert record["files"] == len(converted) and record["counted_by"].startswith("the conversion of ")


def test_gta_ids_follow_cityscapes(tmp_path):
    path = tmp_path / "labels" / "00001.png"
    write_palette_png(path, np.arange(256).reshape(16, 16))
    convert_dataset(GTA, str(tmp_path), nproc=1)
    expected = np.full(256, 255)
    for label in cityscapes_labels:
        if label.trainId >= 0:
            expected[label.id] = label.trainId
    assert read_label(path.with_name("00001_labelTrainIds.png")).ravel().tolist() == expected.tolist()


def test_gta_statistics(tmp_path):
    raw = make_gta(tmp_path)
    (tmp_path / "labels" / "notes.png").write_bytes(b"not a label")
    report = convert_dataset(GTA, str(tmp_path), nproc=2)
    assert (report.converted, report.skipped, report.counted, report.damaged) == (6, 0, 6, [])
    assert_statistics(tmp_path, [path.with_name(f"{path.stem}_labelTrainIds.png") for path in raw])


def test_published_paths_in_statistics(tmp_path, monkeypatch):
    make_gta(tmp_path / "data" / "gta", 1)
    monkeypatch.chdir(tmp_path)
    convert_dataset(GTA, "data/gta", nproc=1)
    assert list(read_statistics(tmp_path / "data" / "gta")[1]) == ["data/gta/labels/00001_labelTrainIds.png"]


def test_grey_gta_label_is_read_as_ids(tmp_path):
    path = tmp_path / "labels" / "00001.png"
    path.parent.mkdir()
    Image.fromarray(np.array([[7, 33, 0]], np.uint8)).save(path)
    convert_dataset(GTA, str(tmp_path), nproc=1)
    assert read_label(path.with_name("00001_labelTrainIds.png")).tolist() == [[0, 18, 255]]


def write_synthia(path, ids):
    path.parent.mkdir(parents=True, exist_ok=True)
    instances = np.random.RandomState(0).randint(0, 60000, ids.shape)
    cv2.imwrite(str(path), np.stack([np.full_like(ids, 3), instances, ids], -1).astype(np.uint16))


def test_synthia_reads_the_class_from_16_bit_red(tmp_path):
    path = tmp_path / "GT" / "LABELS" / "0000000.png"
    ids = np.arange(30).reshape(5, 6)
    ids[4] = [255, 256, 259, 1000, 40000, 65535]
    write_synthia(path, ids)
    convert_dataset(SYNTHIA, str(tmp_path), nproc=1)
    classes = {
        0: 255, 1: 10, 2: 2, 3: 0, 4: 1, 5: 4, 6: 8, 7: 5, 8: 13, 9: 7, 10: 11, 11: 18, 12: 17, 13: 255,
        14: 255, 15: 6, 16: 9, 17: 12, 18: 14, 19: 15, 20: 16, 21: 3, 22: 255, 23: 255,
    }  # fmt: skip
    output = path.with_name("0000000_labelTrainIds.png")
    assert read_label(output).ravel().tolist() == [*classes.values(), *[255] * 6]
    assert_statistics(tmp_path, [output])


def test_synthia_table_has_every_class_once():
    assert sorted(synthia.ID_TO_TRAIN_ID.values()) == list(range(19))


def test_cityscapes_draws_like_its_own_tools_and_counts_train_only(tmp_path):
    root = tmp_path / "train" / "cs"  # a folder named train above the data must not make val count
    names = make_cityscapes(root)
    report = convert_cityscapes(str(root), nproc=2)
    assert (report.converted, report.counted, report.damaged) == (8, 4, [])
    for name in names:
        json2labelImg(
            str(root / "gtFine" / f"{name}_gtFine_polygons.json"), str(tmp_path / "x.png"), "trainIds"
        )
        converted = read_label(root / "gtFine" / f"{name}_gtFine_labelTrainIds.png")
        assert np.array_equal(converted, np.asarray(Image.open(tmp_path / "x.png")))
    train = sorted(name for name in names if name.startswith("train"))
    assert_statistics(root, [root / "gtFine" / f"{name}_gtFine_labelTrainIds.png" for name in train])
    assert (root / "train.txt").read_text().split() == [name.removeprefix("train/") for name in train]
    assert (root / "test.txt").read_text() == "berlin/berlin_000000_000019\nberlin/berlin_000001_000019\n"


def test_mapillary_merges_to_cityscapes_and_counts_training_only(tmp_path):
    for split in ("training", "validation"):
        write_palette_png(tmp_path / split / "labels" / "-Key_1.png", np.arange(66).reshape(6, 11))
    report = convert_dataset(MAPILLARY, str(tmp_path), nproc=1)
    assert (report.converted, report.counted) == (2, 1)
    output = tmp_path / "training" / "labels" / "-Key_1_labelTrainIds.png"
    train_ids = read_label(output).ravel()
    of_class = dict(zip(mapillary.VISTAS_CLASSES, train_ids.tolist(), strict=True))
    same_name = {
        label.name.title(): label.trainId
        for label in cityscapes_labels
        if 0 <= label.trainId < 19 and label.name not in ("rider", "train", "traffic sign")
    }
    assert {name: of_class[name] for name in same_name} == same_name
    assert [of_class[name] for name in ("Bicyclist", "Motorcyclist", "Other Rider", "On Rails")] == [
        12,
        12,
        12,
        16,
    ]
    assert [of_class[name] for name in ("Traffic Sign (Front)", "Traffic Sign (Back)", "Unlabeled")] == [
        7,
        255,
        255,
    ]
    assert set(train_ids) == {*range(19), 255}
    assert_statistics(tmp_path, [output])
    assert convert_dataset(MAPILLARY, str(tmp_path), nproc=1).skipped == 2  # converted labels are no input


def modification_times(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*_labelTrainIds.png")}


def test_second_run_skips_finished_labels_and_keeps_complete_statistics(tmp_path):
    raw = list(make_gta(tmp_path))
    convert_dataset(GTA, str(tmp_path), nproc=1)
    first = read_statistics(tmp_path)
    outputs = modification_times(tmp_path)
    for name in STATISTICS:
        (tmp_path / name).unlink()

    report = convert_dataset(GTA, str(tmp_path), nproc=1)
    assert (report.converted, report.skipped) == (0, len(raw))
    assert modification_times(tmp_path) == outputs
    assert read_statistics(tmp_path) == first


def test_changed_damaged_or_foreign_outputs_are_converted_again(tmp_path):
    raw = list(make_gta(tmp_path))
    convert_dataset(GTA, str(tmp_path), nproc=1)
    first = read_statistics(tmp_path)
    outputs = [path.with_name(f"{path.stem}_labelTrainIds.png") for path in raw]
    contents = [path.read_bytes() for path in outputs]
    outputs[0].write_bytes(contents[0][: len(contents[0]) // 2])
    Image.fromarray(np.full((4, 4), 77, np.uint8)).save(outputs[1])
    os.utime(raw[2], (outputs[2].stat().st_mtime + 10,) * 2)
    outputs[3].unlink()

    report = convert_dataset(GTA, str(tmp_path), nproc=1)
    assert (report.converted, report.skipped) == (4, 2)
    assert [path.read_bytes() for path in outputs] == contents
    assert read_statistics(tmp_path) == first


def test_damaged_files_are_named_and_the_rest_goes_on(tmp_path, capsys):
    raw = list(make_gta(tmp_path))
    content = raw[1].read_bytes()
    raw[1].write_bytes(content[:-40])
    raw[2].write_bytes(b"")
    Image.new("RGB", (8, 8)).save(raw[4])

    assert convert(["gta", str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    for path, reason in ((raw[1], "truncated"), (raw[2], "cannot identify"), (raw[4], "RGB")):
        assert any(line.strip().startswith(f"{path}: ") and reason in line for line in lines)
    intact = [raw[0], raw[3], raw[5]]
    assert_statistics(tmp_path, [path.with_name(f"{path.stem}_labelTrainIds.png") for path in intact])
    assert len(modification_times(tmp_path)) == 3
    assert not list(tmp_path.rglob("*.tmp"))

    raw[1].write_bytes(content)  # mended: only this one is left to do
    for path in (raw[2], raw[4]):
        path.unlink()
    report = convert_dataset(GTA, str(tmp_path), nproc=1)
    assert (report.converted, report.skipped, report.damaged) == (1, 3, [])


def test_damaged_synthia_labels(tmp_path):
    folder = tmp_path / "GT" / "LABELS"
    for index in range(3):
        write_synthia(folder / f"000000{index}.png", blocks(index, np.arange(23)))
    content = (folder / "0000000.png").read_bytes()
    (folder / "0000000.png").write_bytes(content[: len(content) // 2])
    cv2.imwrite(str(folder / "0000001.png"), np.zeros((8, 8, 3), np.uint8))
    report = convert_dataset(SYNTHIA, str(tmp_path), nproc=1)
    assert [(Path(path).name, reason.split(";")[0]) for path, reason in report.damaged] == [
        ("0000000.png", "unreadable or truncated PNG"),
        ("0000001.png", "uint8 image with 3 channel(s)"),
    ]
    assert_statistics(tmp_path, [folder / "0000002_labelTrainIds.png"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"imgHeight": 32, "imgWidth": 48, "obj', "no valid polygon file"),
        ('{"imgHeight": 32, "objects": []}', "imgWidth"),
        ("[]", "no valid polygon file"),
        (
            '{"imgHeight": 9, "imgWidth": 9, "objects": [{"label": "dragon", "polygon": [[0, 0], [1, 1]]}]}',
            "unknown classes ['dragon']",
        ),
        ('{"imgHeight": 9, "imgWidth": 9, "objects": [{"label": "car", "polygon": []}]}', "Error"),
    ],
)
def test_broken_polygon_files(tmp_path, text, reason):
    names = make_cityscapes(tmp_path)
    broken = tmp_path / "gtFine" / f"{names[0]}_gtFine_polygons.json"
    broken.write_text(text)
    report = convert_cityscapes(str(tmp_path), nproc=1)
    assert [path for path, _ in report.damaged] == [str(broken)]
    assert reason in report.damaged[0][1]
    assert (report.converted, report.counted) == (7, 3)


def test_result_does_not_depend_on_the_number_of_processes(tmp_path):
    results = []
    for nproc in (1, 2, 3):
        root = tmp_path / "gta"
        raw = make_gta(root, 24)
        list(raw)[3].write_bytes(b"damaged")
        report = convert_dataset(GTA, str(root), out_dir=str(tmp_path / str(nproc)), nproc=nproc)
        texts = [(tmp_path / str(nproc) / name).read_bytes() for name in STATISTICS]
        outputs = {path: path.read_bytes() for path in sorted(root.rglob("*_labelTrainIds.png"))}
        results.append((report, texts, outputs))
        for path in outputs:
            path.unlink()
    assert results[0] == results[1] == results[2]
    assert results[0][0].converted == 23


@pytest.mark.parametrize(
    ("conversion", "convert", "folder"),
    [
        (GTA, partial(convert_dataset, GTA), "labels"),
        (SYNTHIA, partial(convert_dataset, SYNTHIA), "GT/LABELS"),
        (CITYSCAPES, convert_cityscapes, "gtFine"),
        (MAPILLARY, partial(convert_dataset, MAPILLARY), "training/labels"),
    ],
)
def test_missing_and_empty_folders(tmp_path, conversion, convert, folder):
    with pytest.raises(DataError) as missing:
        convert(str(tmp_path / "nowhere"))
    assert str(tmp_path / "nowhere") in str(missing.value)
    with pytest.raises(DataError):
        convert(str(tmp_path))
    (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(DataError) as empty:
        convert(str(tmp_path))
    assert str(tmp_path / folder) in str(empty.value)
    for error in (missing, empty):
        assert f"ROOT/{conversion.example}" in str(error.value)
        assert conversion.remedy in str(error.value)
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize("tool", ["gta", "synthia", "cityscapes", "mapillary"])
def test_command_line_tool_reports_without_traceback(tmp_path, tool):
    command = [
        sys.executable,
        str(REPOSITORY / "tools" / "convert_datasets" / f"{tool}.py"),
        str(tmp_path / "none"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {tmp_path / 'none'}: folder not found")
    assert "Traceback" not in result.stderr


def test_command_line_tool_converts(tmp_path):
    make_gta(tmp_path / "my gta")
    (tmp_path / "my gta" / "labels").rename(tmp_path / "my gta" / "annotations")
    tool = REPOSITORY / "tools" / "convert_datasets" / "gta.py"
    arguments = ["my gta", "--gt-dir", "annotations", "-o", "statistics", "--nproc", "2"]
    result = subprocess.run(
        [sys.executable, str(tool), *arguments], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert "6 labels converted" in result.stdout
    samples = read_statistics(tmp_path / "statistics")[0]
    assert [sample["file"] for sample in samples] == [
        f"my gta/annotations/{index:05d}_labelTrainIds.png" for index in range(1, 7)
    ]


def test_labels_without_a_class_are_no_success(tmp_path):
    for name in ("00001", "00002"):
        write_palette_png(tmp_path / "labels" / f"{name}.png", np.full((4, 4), 200))
    with pytest.raises(
        DataError, match="no pixel of 2 labels belongs to a class, so these are no raw labels of"
    ):
        convert_dataset(GTA, str(tmp_path), nproc=1)
    assert not (tmp_path / STATISTICS[0]).exists()


def test_converted_labels_and_statistics_in_other_folders(tmp_path):
    raw = make_gta(tmp_path / "gta")
    before = sorted((tmp_path / "gta").rglob("*"))
    out = tmp_path / "elsewhere"
    convert_dataset(GTA, str(tmp_path / "gta"), None, str(out), 1, str(out / "labels"))
    assert sorted((tmp_path / "gta").rglob("*")) == before
    assert_statistics(out, [out / "labels" / f"{path.stem}_labelTrainIds.png" for path in raw])


def test_a_folder_that_cannot_be_written_to_is_not_called_damage(tmp_path, capsys):
    make_gta(tmp_path)
    blocked = tmp_path / "file"
    blocked.write_text("")
    arguments = ["gta", str(tmp_path), "--nproc", "1", "--label-dir", str(blocked)]
    assert convert(arguments) == 1
    message = capsys.readouterr().err
    assert "cannot be written" in message and "--label-dir" in message and "damaged" not in message
    assert convert([*arguments[:-2], "--out-dir", str(blocked)]) == 1
    assert "--out-dir" in capsys.readouterr().err


def test_the_command_lists_the_splits_of_cityscapes(tmp_path):
    names = make_cityscapes(tmp_path)
    assert convert(["cityscapes", str(tmp_path), "--nproc", "1"]) == 0
    for split in ("train", "val", "test"):
        expected = sorted(name.partition("/")[2] for name in names if name.startswith(split))
        assert (tmp_path / f"{split}.txt").read_text().split() == expected
