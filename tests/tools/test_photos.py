"""``make photos``: where CamVid comes from, and how its runs are started."""

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg.commands import train
from mmseg.errors import DataError
from tools import photos, quickstart


def write_tutorial(folder: Path) -> Path:
    """A clone with two dusk frames of 20x10 pixels to test on, and its folder CamVid."""
    root = folder / "CamVid"
    for split, names in {"train": ["0001TP_006690"], "test": ["0001TP_008550", "0001TP_008580"]}.items():
        for name in names:
            for part in (split, f"{split}annot"):
                (root / part).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / split / f"{name}.png"), np.full((10, 20, 3), 90, np.uint8))
            Image.fromarray(np.full((10, 20), 3, np.uint8)).save(root / f"{split}annot" / f"{name}.png")
    return root


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_is_linked_and_stays(here):
    root = write_tutorial(here / "tutorial")
    photos.provide_camvid(root)
    assert photos.CAMVID.is_symlink() and photos.CAMVID.samefile(root)
    photos.provide_camvid(root)
    photos.provide_camvid(None)
    other = write_tutorial(here / "other")
    with pytest.raises(DataError, match=r"data/camvid: is there already and not .*other"):
        photos.provide_camvid(other)


def test_without_a_folder_the_tutorial_is_cloned(here, monkeypatch):
    def clone(words, **_):
        assert words[:4] == ["git", "clone", "--depth", "1"]
        write_tutorial(Path(words[-1]))
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(photos.subprocess, "run", clone)
    photos.provide_camvid(None)
    assert (photos.CAMVID / "trainannot").is_dir()


def test_what_is_not_camvid_is_refused(here, monkeypatch):
    with pytest.raises(DataError, match=r"nowhere: found no trainannot"):
        photos.provide_camvid(Path("nowhere"))
    failed = subprocess.CompletedProcess([], 128)
    monkeypatch.setattr(photos.subprocess, "run", lambda words, **_: failed)
    with pytest.raises(DataError, match=r"cannot be cloned; .* make photos CAMVID=DIR"):
        photos.provide_camvid(None)
    assert not photos.CAMVID.exists()


@pytest.mark.parametrize("smoke", [True, False])
def test_trainings_are_commands_that_the_program_takes(here, monkeypatch, smoke):
    called = []
    monkeypatch.setattr(quickstart, "run", lambda title, *words: called.append(words))
    (here / "run" / "test").mkdir(parents=True)
    (here / "run" / "test" / "results.json").write_text('{"mIoU": 45.5}')
    scores = quickstart.train_and_test("DAFormer", "configs/photos/daformer.py", here / "run", smoke, [])
    assert scores == {"mIoU": 45.5}
    training, test = called
    args = train.parse_args(list(training[2:]))
    assert (args.config, args.work_dir) == ("configs/photos/daformer.py", str(here / "run"))
    assert bool(args.cfg_options) == smoke and test == ("sh", "test.sh", f"{here / 'run'}/")
