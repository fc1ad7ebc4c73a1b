"""Predictions of ``tools/test.py``: the test split, files for evaluation servers, archives."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from cityscapesscripts.helpers.labels import name2label
from PIL import Image
from tested_run import label_of, run_tool, val_images, written_ids
from toy_run import IMAGE_SIZE, NUM_VAL, toy_config

from mmseg.apis.evaluation_options import use_test_split
from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.datasets.transforms.loading import LoadImage
from mmseg.engine.hooks import predictions
from mmseg.errors import ConfigError, DataError
from mmseg.evaluation.server_formats import SERVER_FORMATS, check_submission, write_submission_png


@pytest.fixture(scope="module")
def data_with_test_split(toy_data, tmp_path_factory):
    """Cityscapes with a test split of one image, below a folder whose name contains ``val``."""
    root = Path(shutil.copytree(toy_data, tmp_path_factory.mktemp("values") / "val"))
    image = val_images(root)[0]
    target = root / "cityscapes/leftImg8bit/test/bonn/bonn_000000_000001_leftImg8bit.png"
    target.parent.mkdir(parents=True)
    shutil.copy(image, target)
    return root


def at_root(root: Path) -> list[str]:
    return [f"test_dataloader.dataset.data_root={root / 'cityscapes'}"]


def test_test_split_without_labels_gives_predictions_only(source_run, data_with_test_split, tmp_path, capsys):
    root, work_dir = data_with_test_split, tmp_path / "work"
    options = ["--test-set", "--work-dir", work_dir]
    assert run_tool(source_run, *options, settings=at_root(root)) == 1
    assert "the test data has no labels, so there is nothing to compute" in capsys.readouterr().err
    assert run_tool(source_run, *options, "--out", tmp_path / "x.json", settings=at_root(root)) == 1
    assert "x.json: no scores are computed" in capsys.readouterr().err
    show = ["--show-dir", tmp_path / "preds", "--opacity", 1]
    assert run_tool(source_run, *options, *show, settings=at_root(root)) == 0
    assert "leftImg8bit/test: there are no labels; predictions only, no scores" in capsys.readouterr().out
    assert not (work_dir / "results.json").exists()
    files = [path.relative_to(tmp_path / "preds").as_posix() for path in (tmp_path / "preds").rglob("*.png")]
    assert files == ["bonn/bonn_000000_000001_leftImg8bit.png"]


def test_test_split_with_labels_is_scored(source_run, data_with_test_split, tmp_path, capsys):
    root = Path(shutil.copytree(data_with_test_split, tmp_path / "val"))
    folder = root / "cityscapes/gtFine/test/bonn"
    folder.mkdir(parents=True)
    label = label_of(val_images(root)[0])
    Image.fromarray(label).save(folder / "bonn_000000_000001_gtFine_labelTrainIds.png")
    options = ["--test-set", "--work-dir", tmp_path / "work", "--out", tmp_path / "preds.npz"]
    assert run_tool(source_run, *options, settings=at_root(root)) == 0
    scores = json.loads((tmp_path / "work/results.json").read_text())
    with np.load(tmp_path / "preds.npz") as archive:
        (pred,) = archive.values()
    assert scores["aAcc"] == pytest.approx(100 * (pred == label)[label != 255].mean())

    Image.fromarray(np.full_like(label, 255)).save(folder / "bonn_000000_000001_gtFine_labelTrainIds.png")
    capsys.readouterr()
    assert run_tool(source_run, *options, settings=at_root(root)) == 0
    assert "No pixel has a label" in capsys.readouterr().out
    assert json.loads((tmp_path / "work/results.json").read_text())["mIoU"] is None


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (dict(img_dir="leftImg8bit/val", ann_dir="gtFine/val"), ("leftImg8bit/test", "gtFine/test")),
        (dict(img_dir="rgb_anon/val/night"), ("rgb_anon/test/night", None)),
        (dict(img_dir="/val/x/val", ann_dir="/val/y/val"), ("/val/x/test", "/val/y/test")),
        (dict(img_dir="values/val"), ("values/test", None)),
        (dict(img_dir="leftImg8bit/test", ann_dir="gtFine/test"), ("leftImg8bit/test", "gtFine/test")),
        (dict(img_dir=["a/val", "b/val"], ann_dir="l/val"), (["a/test", "b/test"], "l/test")),
    ],
)
def test_only_the_folder_of_the_split_is_replaced(toy_data, tmp_path, folders, expected):
    dataset = toy_config("source_only", toy_data, tmp_path).test_dataloader.dataset
    for key in ("img_dir", "ann_dir"):
        dataset.pop(key, None)
    dataset.update(folders, data_root="/data/val", split="/data/val/val.txt")
    use_test_split(dataset)
    assert (dataset.img_dir, dataset.get("ann_dir")) == expected
    assert (dataset.data_root, dataset.split) == ("/data/val", "/data/val/test.txt")
    dataset.img_dir = "images/validation"
    with pytest.raises(ConfigError, match=r"img_dir='images/validation' .* has no folder 'val'"):
        use_test_split(dataset)


@pytest.mark.parametrize(
    ("options", "ids", "in_zip"),
    [
        ([], "label", ""),
        (["--format", "trainids"], "train", "labelTrainIds/"),
        (["--eval-option", "imgfile_prefix=DIR", "to_label_id=False"], "train", "labelTrainIds/"),
    ],
)
def test_files_for_a_server(source_run, toy_data, tmp_path, capsys, options, ids, in_zip):
    work_dir, folder = tmp_path / "work", tmp_path / "out" / "files"
    published = any("DIR" in option for option in options)
    options = [option.replace("DIR", str(folder)) for option in options]
    if not published:
        folder = work_dir / ("labelIds" if ids == "label" else "labelTrainIds")
    show = ["--show-dir", tmp_path / "preds", "--opacity", 1]
    assert run_tool(source_run, "--format-only", *options, *show, "--work-dir", work_dir) == 0
    printed = capsys.readouterr().out
    assert "no scores are computed" in printed and "all checked" in printed
    assert ("not of 2048x1024 pixels" in printed) == (ids == "label")
    assert not (work_dir / "results.json").exists()
    images = val_images(toy_data)
    lookup = [name2label[name].id for name in CITYSCAPES_CLASSES] if ids == "label" else range(19)
    assert {path.name for path in folder.iterdir()} == {image.name for image in images}
    with zipfile.ZipFile(folder.parent / f"{folder.name}.zip") as archive:
        assert sorted(archive.namelist()) == sorted(in_zip + image.name for image in images)
        for image in images:
            with archive.open(in_zip + image.name) as file, Image.open(file) as picture:
                assert (picture.mode, picture.size, picture.format) == ("L", IMAGE_SIZE, "PNG")
                expected = np.array(lookup, np.uint8)[written_ids(tmp_path / "preds", image)]
                np.testing.assert_array_equal(np.asarray(picture), expected)
    (folder / "old.png").write_bytes(b"")
    assert run_tool(source_run, "--format-only", *options, "--work-dir", work_dir) == 1
    assert "holds 1 other files, for example old.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("dataset", "options", "folder"),
    [
        ("CityscapesDataset", [], "labelIds"),
        ("ACDCDataset", [], "labelTrainIds"),
        ("DarkZurichDataset", [], "labelTrainIds"),
        ("ACDCDataset", ["--format", "cityscapes"], "labelIds"),
        ("DarkZurichDataset", ["--eval-option", "to_label_id=True"], "labelIds"),
        (
            "CityscapesDataset",
            ["--format", "trainids", "--eval-option", "to_label_id=False"],
            "labelTrainIds",
        ),
    ],
)
def test_files_are_what_the_server_of_the_data_set_takes(
    source_run, toy_data, tmp_path, dataset, options, folder
):
    """The images of Cityscapes, read as other data sets."""
    settings = [f"test_dataloader.dataset.{key}" for key in
                (f"type={dataset}", "img_suffix=_leftImg8bit.png", "img_dir=leftImg8bit/val",
                 f"data_root={toy_data / 'cityscapes'}")]  # fmt: skip
    done = run_tool(source_run, "--format-only", *options, "--work-dir", tmp_path, settings=settings)
    assert done == 0
    assert [path.name for path in tmp_path.glob("label*Ids")] == [folder]
    assert len(list((tmp_path / folder).iterdir())) == len(val_images(toy_data))


def test_images_of_several_folders(source_run, toy_data, tmp_path):
    """Predictions lie below the folder that those of the images have in common."""
    settings = [f"test_dataloader.dataset.{key}" for key in
                (f"data_root={toy_data / 'cityscapes'}", "img_dir=[leftImg8bit/val,leftImg8bit/train]",
                 "ann_dir=[gtFine/val,gtFine/train]")]  # fmt: skip
    folder = toy_data / "cityscapes/leftImg8bit"
    expected = {path.relative_to(folder) for path in folder.rglob("*.png")}
    options = [
        "--show-dir",
        tmp_path / "preds",
        "--out",
        tmp_path / "preds.npz",
        "--work-dir",
        tmp_path / "work",
    ]
    assert run_tool(source_run, *options, settings=settings) == 0
    assert {path.relative_to(tmp_path / "preds") for path in (tmp_path / "preds").rglob("*.png")} == expected
    with np.load(tmp_path / "preds.npz") as archive:
        assert {Path(f"{name}.png") for name in archive.files} == expected
    assert run_tool(source_run, "--format-only", "--work-dir", tmp_path / "files", settings=settings) == 0
    written = {path.name for path in (tmp_path / "files/labelIds").iterdir()}
    assert written == {path.name for path in expected}


def test_wrong_use_is_explained(source_run, tmp_path, capsys):
    for options, message in (
        (["--out", "preds.pkl"], "expected FILE.json for the scores or FILE.npz"),
        (["--format", "trainids"], "go with --format-only; add it"),
        (["--format-only", "--eval-options", "efficient=1"], "expected imgfile_prefix=DIR and to_label_id"),
        (["--format-only", "--format", "cityscapes", "--eval-option", "to_label_id=False"], "leave one of"),
        (["--format-only", "--format", "trainids", "--eval-option", "to_label_id=True"], "leave one of them"),
        (["--format-only", "--eval-option", "to_label_id="], "to_label_id=True or False"),
        (["--aug-test", "--aug-scales", "nan"], "expected one or more positive numbers"),
        (["--aug-test", "--aug-scales", "inf"], "expected one or more positive numbers"),
        (["--format-only", "--calibration"], "--calibration: no scores are computed"),
    ):
        assert run_tool(source_run, *options, "--work-dir", tmp_path) == 1
        assert message in capsys.readouterr().err


def test_options_are_not_abbreviated(source_run, capsys):
    with pytest.raises(SystemExit):
        run_tool(source_run, "--format-onl")
    assert "unrecognized arguments: --format-onl" in capsys.readouterr().err


def test_archive_holds_the_predictions_of_the_pictures(source_run, toy_data, tmp_path):
    out = tmp_path / "deep/preds.npz"
    options = [
        "--out",
        out,
        "--show-dir",
        tmp_path / "preds",
        "--opacity",
        1,
        "--work-dir",
        tmp_path / "work",
    ]
    assert run_tool(source_run, *options) == 0
    with np.load(out, allow_pickle=False) as archive:
        assert len(archive.files) == NUM_VAL and not list(out.parent.glob("*.tmp"))
        for name in archive.files:
            np.testing.assert_array_equal(
                archive[name], np.array(Image.open(tmp_path / "preds" / f"{name}.png"))
            )


@pytest.mark.parametrize("opacity", [1, 0.5])
def test_predictions_that_cannot_be_written_are_named(source_run, toy_data, tmp_path, capsys, opacity):
    """A file stands where the folder of one city would have to be made; the others are written."""
    show = tmp_path / "preds"
    cities = sorted({path.parent.name for path in val_images(toy_data)})
    show.mkdir()
    (show / cities[0]).write_text("in the way")
    options = ["--show-dir", show, "--opacity", opacity, "--work-dir", tmp_path / "work"]
    assert run_tool(source_run, *options) == 1
    out, err = capsys.readouterr()
    assert f"{show}: " in err and "predictions could not be written" in err
    assert f"{show / cities[0]}/" in out + err
    assert (tmp_path / "work/results.json").is_file(), "the scores are not lost"
    written = list(show.rglob("*.png"))
    assert len(written) == sum(path.parent.name != cities[0] for path in val_images(toy_data))


def test_files_for_a_server_that_cannot_be_written(source_run, tmp_path, monkeypatch, capsys):
    write = predictions.write_submission_png

    def full(path, *arguments):
        if "000001" in path.name:
            raise OSError(28, "No space left on device", str(path))
        write(path, *arguments)

    monkeypatch.setattr(predictions, "write_submission_png", full)
    options = ["--format-only", "--format-dir", tmp_path / "files", "--work-dir", tmp_path / "work"]
    assert run_tool(source_run, *options) == 1
    out, err = capsys.readouterr()
    assert "all checked" not in out and "missing" in err and not (tmp_path / "files.zip").exists()


def test_turned_photographs_pass_the_check_of_the_server(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = tmp_path / "a.jpg"
    Image.new("RGB", (6, 4)).save(photo, exif=exif)
    (tmp_path / "files").mkdir()
    server = SERVER_FORMATS["trainids"]
    write_submission_png(tmp_path / "files/a.png", np.zeros((6, 4), np.uint8), server)
    check_submission(tmp_path / "files", [photo], server)
    with pytest.raises(DataError, match=r"size \(4, 6\), its image has \(6, 4\)"):
        check_submission(tmp_path / "files", [photo], server, LoadImage(orientation="raw"))


def test_subsets_of_other_classes_are_refused(source_run, capsys):
    own = [f"test_dataloader.dataset.{key}" for key in ("classes", "palette")]
    settings = [f"{own[0]}={['c' + str(c) for c in range(19)]}", f"{own[1]}={[(c, c, c) for c in range(19)]}"]
    assert run_tool(source_run, "--class-subsets", "16", settings=settings) == 1
    assert "--class-subsets 16: subsets of the 19 classes of Cityscapes" in capsys.readouterr().err
