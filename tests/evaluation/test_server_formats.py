"""Files for the evaluation servers: ids, names, checks, zip files."""

import zipfile

import numpy as np
import pytest
from cityscapesscripts.helpers.labels import name2label
from PIL import Image

from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.errors import ConfigError, DataError
from mmseg.evaluation.server_formats import (
    SERVER_FORMATS,
    check_submission,
    refuse_other_files,
    server_format,
    submission_names,
    write_submission_png,
    zip_submission,
)

CITYSCAPES, TRAIN_IDS = SERVER_FORMATS["cityscapes"], SERVER_FORMATS["trainids"]


@pytest.fixture
def submission(tmp_path):
    """Two images of 19x4 pixels with every class, and the files for the Cityscapes server."""
    images = []
    folder = tmp_path / "labelIds"
    folder.mkdir()
    for city in ("bonn", "berlin"):
        image = tmp_path / city / f"{city}_000000_000019_leftImg8bit.png"
        image.parent.mkdir()
        Image.fromarray(np.zeros((4, 19, 3), np.uint8)).save(image)
        images.append(str(image))
        pred = np.tile(np.arange(19, dtype=np.uint8), (4, 1))
        write_submission_png(folder / f"{image.stem}.png", pred, CITYSCAPES)
    return folder, images


def test_ids_are_those_of_the_labels_table():
    by_name = [name2label[name].id for name in CITYSCAPES_CLASSES]
    assert list(CITYSCAPES.ids) == by_name
    assert (by_name[0], by_name[13], by_name[18]) == (7, 26, 33)
    assert list(TRAIN_IDS.ids) == list(range(19))


def test_files_hold_the_ids_as_grey_values(submission):
    folder, images = submission
    assert check_submission(folder, images, CITYSCAPES) == 2  # not of 2048x1024 pixels
    for path in folder.iterdir():
        with Image.open(path) as file:
            assert (file.format, file.mode, file.size) == ("PNG", "L", (19, 4))
            np.testing.assert_array_equal(np.asarray(file), [CITYSCAPES.ids] * 4)
    with pytest.raises(DataError, match=r"holds the ids \[19, 20, 21.*trainids does not evaluate"):
        check_submission(folder, images, TRAIN_IDS)


def test_zip_file_is_flat_or_has_the_folder_of_the_format(submission):
    folder, images = submission
    names = [f"{city}_000000_000019_leftImg8bit.png" for city in ("berlin", "bonn")]
    for server, prefix in ((CITYSCAPES, ""), (TRAIN_IDS, "labelTrainIds/")):
        archive = zip_submission(folder, images, server)
        assert archive == folder.parent / "labelIds.zip"
        with zipfile.ZipFile(archive) as file:
            assert file.testzip() is None
            assert file.namelist() == [prefix + name for name in names]
            for name in names:
                assert file.read(prefix + name) == (folder / name).read_bytes()


def damage_missing(path):
    path.unlink()


def damage_size(path):
    Image.fromarray(np.full((4, 18), 7, np.uint8)).save(path)


def damage_mode(path):
    with Image.open(path) as file:
        palette = file.convert("P")
    palette.save(path)


def damage_colours(path):
    Image.fromarray(np.zeros((4, 19, 3), np.uint8)).save(path)


def damage_ids(path):
    Image.fromarray(np.full((4, 19), 255, np.uint8)).save(path)


def damage_left_over(path):
    (path.parent / "notes.txt").write_text("mine")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_missing, r"bonn_000000_000019_leftImg8bit\.png: missing"),
        (damage_size, r"bonn.*: size \(18, 4\), its image has \(19, 4\)"),
        (damage_mode, "bonn.*: PNG of mode P, expected a grey 8-bit PNG"),
        (damage_colours, "bonn.*: PNG of mode RGB"),
        (damage_ids, r"bonn.*: holds the ids \[255\]"),
        (damage_left_over, r"notes\.txt: belongs to no image"),
    ],
)
def test_every_file_is_checked(submission, damage, message):
    folder, images = submission
    damage(folder / "bonn_000000_000019_leftImg8bit.png")
    with pytest.raises(DataError, match=message) as error:
        check_submission(folder, images, CITYSCAPES)
    assert "berlin" not in str(error.value)


def test_names_have_to_be_distinct():
    assert submission_names(["a/x_rgb_anon.png", "b/y.jpg"]) == ["x_rgb_anon.png", "y.png"]
    with pytest.raises(DataError, match=r"share 1 file names, for example x\.png"):
        submission_names(["a/x.png", "b/x.png", "b/y.png"])


def test_a_folder_with_other_files_is_refused(submission, tmp_path):
    folder, images = submission
    names = submission_names(images)
    refuse_other_files(tmp_path / "new", names)
    refuse_other_files(folder, names)  # those of an earlier test are written again
    with pytest.raises(ConfigError, match=r"holds 1 other files, for example berlin_.*--format-dir"):
        refuse_other_files(folder, names[:1])


def test_unknown_format_and_other_classes_are_explained():
    with pytest.raises(ConfigError, match="known are cityscapes, trainids"):
        server_format("acdc", CITYSCAPES_CLASSES)
    with pytest.raises(ConfigError, match=r"the data set has 2 \(road, sky…\)"):
        server_format("cityscapes", ("road", "sky"))
