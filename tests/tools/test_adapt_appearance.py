"""The command that writes images of the source in the style of the target."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch

from mmseg.commands.adapt_appearance import GRAMS, SETTINGS, main, noise_of
from mmseg.models.backbones import TimmBackbone


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root, draw = tmp_path_factory.mktemp("appearance"), np.random.RandomState(0)
    names = {"source": ["a.png", "city/b.png", "city/c.jpg"], "target": ["d.png", "e.png"]}
    for folder, files in names.items():
        for name in files:
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / folder / name), draw.randint(0, 256, (48, 80, 3), np.uint8))
    torch.manual_seed(0)
    encoder = TimmBackbone("resnet10t", out_indices=(0, 1, 2, 3, 4))
    torch.save(encoder.network.state_dict(), root / "encoder.pth")
    return root


def run(folders, out, *options):
    arguments = [str(folders / "source"), str(folders / "target"), str(folders / out), "--device", "cpu"]
    network = ["--network", "resnet10t", "--pretrained", str(folders / "encoder.pth")]
    return main([*arguments, *network, "--size", "64x32", "--iterations", "3", *options])


def images(root):
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.suffix in (".png", ".jpg")
    }


def test_images_keep_names_and_sizes_and_are_made_once(folders, capsys):
    assert run(folders, "out") == 0
    made = images(folders / "out")
    assert list(made) == ["a.png", "city/b.png", "city/c.jpg"]
    assert cv2.imread(str(folders / "out" / "a.png")).shape == (48, 80, 3)
    assert "3 images made" in capsys.readouterr().out
    (folders / "out" / "city" / "b.png").unlink()  # as if the run had been ended before
    before = (folders / "out" / GRAMS).stat().st_mtime_ns
    assert run(folders, "out") == 0
    assert "1 images made" in capsys.readouterr().out
    assert images(folders / "out") == made, "the same again, from the same noise"
    assert (folders / "out" / GRAMS).stat().st_mtime_ns == before
    assert not list((folders / "out").rglob("*.tmp"))


def test_parts_make_what_one_process_makes(folders):
    assert run(folders, "whole") == run(folders, "parts", "--part", "1/2") == 0
    assert list(images(folders / "parts")) == ["a.png", "city/c.jpg"]
    assert run(folders, "parts", "--part", "2/2") == 0
    assert images(folders / "parts") == images(folders / "whole")


def test_other_settings_need_another_folder(folders, capsys):
    assert run(folders, "settings") == 0
    assert json.loads((folders / "settings" / SETTINGS).read_text())["iterations"] == 3
    assert run(folders, "settings", "--alpha", "1e-10") == 1
    assert "'alpha': (1e-14, 1e-10)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("source", [], "OUT is in SOURCE"),
        ("source/city/made", [], "OUT is in SOURCE"),
        ("target/made", [], "OUT is in TARGET"),
        ("new", ["--iterations", "1"], "two iterations at least"),
        ("new", ["--rate", "nan"], "a rate above 0"),
        ("new", ["--size", "0x-3"], "from 32 pixels on"),
        ("new", ["--size", "64"], "such as 1024x512"),
    ],
)
def test_nothing_is_written_before_everything_is_checked(folders, capsys, out, options, message):
    before = sorted(folders.rglob("*"))
    try:
        status = run(folders, out, *options)
    except SystemExit as error:  # of the command line's parser
        status = error.code
    assert status and message in capsys.readouterr().err
    assert sorted(folders.rglob("*")) == before


def test_style_of_a_folder_that_has_changed_needs_another_one(folders, capsys):
    (folders / "style").mkdir()
    shutil.copy(folders / "target" / "d.png", folders / "style")
    options = [str(folders / name) for name in ("source", "style", "styled")]
    options += ["--network", "resnet10t", "--pretrained", str(folders / "encoder.pth"), "--device", "cpu"]
    options += ["--size", "64x32", "--iterations", "2"]
    assert main(options) == main(options) == 0
    shutil.copy(folders / "target" / "e.png", folders / "style")
    assert main(options) == 1
    assert "'target_images': ('1 images, " in capsys.readouterr().err


def test_noise_belongs_to_a_seed_and_a_name(tmp_path):
    a, b, other = (noise_of(tmp_path / n, s, (1, 3, 4, 4)) for n, s in (("a", 0), ("b", 0), ("a", 1)))
    assert torch.equal(a, noise_of(tmp_path / "a", 0, (1, 3, 4, 4)))
    assert not torch.equal(a, b) and not torch.equal(a, other) and a.max() > 200


def test_a_folder_without_images_is_named(folders, capsys, tmp_path):
    assert main([str(tmp_path), str(folders / "target"), str(folders / "none")]) == 1
    assert f"{tmp_path}: no images" in capsys.readouterr().err
