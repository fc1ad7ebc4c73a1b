"""Toy street scenes: a function of the seed, in the layouts of the real data sets."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from cityscapesscripts.helpers.labels import id2label
from cityscapesscripts.preparation.json2labelImg import json2labelImg
from PIL import Image

from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.datasets.conversion.cityscapes import convert_cityscapes
from mmseg.datasets.conversion.gta import GTA
from mmseg.datasets.conversion.runner import convert_dataset
from mmseg.datasets.conversion.synthia import SYNTHIA
from mmseg.errors import ConfigError, DataError
from mmseg.toy import make_toy_dataset
from mmseg.toy.generator import SETTINGS_FILE, Settings, make_sample
from mmseg.toy.geometry import Camera, Prism, clip_to_image, inverse_depth
from mmseg.toy.plan import GUEST_PERIOD, GUESTS, draw_guests
from mmseg.toy.renderers import CARTOON, WATERCOLOUR, render_camera, render_game
from mmseg.toy.street import build_scene
from mmseg.toy.weather import CONDITIONS

TOOL = Path(__file__).parents[2] / "tools" / "make_toy_dataset.py"
SIZE = (96, 48)


def read_tree(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    out = tmp_path_factory.mktemp("toy")
    assert make_toy_dataset(out, size=SIZE, train=5, val=2, seed=3) == {
        "gta": 5,
        "synthia": 5,
        "cityscapes": 7,
        "acdc": 7,
        "dark_zurich": 7,
    }
    return out


def test_files_do_not_depend_on_processes_or_on_the_number_of_images(toy, tmp_path):
    make_toy_dataset(tmp_path, ["acdc"], SIZE, train=14, val=2, seed=3, nproc=2)
    written = read_tree(tmp_path / "acdc")
    for path, content in read_tree(toy / "acdc").items():
        assert path.name == SETTINGS_FILE or content == written[path], path


def test_seed_and_set_change_the_scene():
    def picture(name, seed):
        return make_sample(Settings(name, *SIZE, 1, 1, seed), "train", 0)[1]

    assert np.array_equal(picture("gta", 0), picture("gta", 0))
    assert not np.array_equal(picture("gta", 0), picture("gta", 1))
    assert not np.array_equal(picture("gta", 0), picture("synthia", 0))
    train, val = (make_sample(Settings("acdc", *SIZE, 1, 1, 0), split, 0)[1] for split in ("train", "val"))
    assert not np.array_equal(train, val)


@pytest.mark.parametrize("size", [(101, 57), (64, 64), (33, 90), (400, 40)])
def test_any_size(size):
    camera = Camera.draw(np.random.default_rng(0), size)
    scene = build_scene(camera, np.random.default_rng(0), ["train"], has_bonnet=True)
    shape = (size[1], size[0])
    assert scene.label_ids().shape == shape
    assert render_game(scene, np.random.default_rng(1)).shape == (*shape, 3)
    for condition in CONDITIONS:
        picture = render_camera(scene, np.random.default_rng(1), condition)
        assert picture.shape == (*shape, 3) and picture.dtype == np.uint8
        assert picture.std() > 5, condition
    for part in scene.parts:
        assert part.polygon.min() >= -1 and (part.polygon <= size).all()


def test_games_draw_the_same_scene_in_their_own_style():
    """A second source differs by its look; the first game is what it was."""
    camera = Camera.draw(np.random.default_rng(5), (256, 128))
    scene = build_scene(camera, np.random.default_rng(5))
    cartoon, other = (render_game(scene, np.random.default_rng(1), style) for style in (CARTOON, WATERCOLOUR))
    assert np.array_equal(cartoon, render_game(scene, np.random.default_rng(1)))
    saturation = [float(np.ptp(picture.astype(float), axis=2).mean()) for picture in (cartoon, other)]
    assert saturation[1] < 0.75 * saturation[0]
    difference = np.abs(cartoon.astype(float) - other).mean()
    assert difference > 25, "in grey levels"


def test_both_renderers_show_what_the_labels_say():
    """Where the surface of a pixel has a label, it is the one of the label map (but for thin outlines)."""
    camera = Camera.draw(np.random.default_rng(5), (256, 128))
    scene = build_scene(camera, np.random.default_rng(5))
    owner, names = "", []
    for part in scene.parts:
        owner = owner if part.is_detail else part.label
        names.append(owner)
    ids = scene.label_ids()
    label_of = np.array([id2label[i].name if i in id2label else "" for i in range(256)])
    is_flat = np.isin(label_of[ids], ["road", "sidewalk", "terrain"])  # shadows cross their borders
    agreement = np.array(names)[scene.surfaces()] == label_of[ids]
    assert agreement[~is_flat].mean() > 0.99


def test_gta_layout(toy):
    labels = sorted(path.name for path in (toy / "gta/labels").iterdir())
    assert labels == [f"{i:05d}.png" for i in range(1, 6)]
    assert labels == sorted(path.name for path in (toy / "gta/images").iterdir())
    with Image.open(toy / "gta/labels/00001.png") as label:
        assert label.mode == "P" and label.size == SIZE
        assert label.getpalette()[3 * 7 : 3 * 8] == [128, 64, 128]  # id 7 is road
        ids = np.asarray(label)
    scene, picture = make_sample(Settings("gta", *SIZE, 5, 2, 3), "train", 0)
    assert np.array_equal(ids, scene.label_ids())
    assert np.array_equal(cv2.imread(str(toy / "gta/images/00001.png"))[..., ::-1], picture)


def test_gta_train_ids(toy):
    assert convert_dataset(GTA, str(toy / "gta"), nproc=1).converted == 5
    with Image.open(toy / "gta/labels/00002_labelTrainIds.png") as label:
        train_ids = np.asarray(label)
    ids = make_sample(Settings("gta", *SIZE, 5, 2, 3), "train", 1)[0].label_ids()
    expected = np.vectorize(lambda i: id2label[i].trainId)(ids)
    assert np.array_equal(train_ids, expected)


def test_synthia_layout(toy):
    path = toy / "synthia/GT/LABELS/0000004.png"
    label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert label.dtype == np.uint16 and label.shape == (SIZE[1], SIZE[0], 3)
    assert (toy / "synthia/RGB/0000004.png").is_file()
    ids = make_sample(Settings("synthia", *SIZE, 5, 2, 3), "train", 4)[0].label_ids()
    red = label[..., 2]
    for name, raw in {"road": 3, "sky": 1, "building": 2, "vegetation": 6, "terrain": 0}.items():
        city_id = next(i for i, entry in id2label.items() if entry.name == name)
        assert (red[ids == city_id] == raw).all(), name
    assert convert_dataset(SYNTHIA, str(toy / "synthia"), nproc=1).converted == 5
    with Image.open(toy / "synthia/GT/LABELS/0000004_labelTrainIds.png") as converted:
        assert not np.isin(np.asarray(converted), [9, 14, 16]).any()


def test_cityscapes_polygons_redrawn_are_the_labels(toy, tmp_path):
    polygon_files = sorted((toy / "cityscapes/gtFine").rglob("*_gtFine_polygons.json"))
    assert len(polygon_files) == 7
    for path in polygon_files:
        stem = path.name.removesuffix("_gtFine_polygons.json")
        split, city = path.parts[-3:-1]
        assert city == stem.split("_")[0]
        assert (toy / f"cityscapes/leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png").is_file()
        json2labelImg(str(path), str(tmp_path / "drawn.png"), "trainIds")
        drawn = np.asarray(Image.open(tmp_path / "drawn.png"))
        ids = np.asarray(Image.open(path.parent / f"{stem}_gtFine_labelIds.png"))
        assert np.array_equal(drawn, np.vectorize(lambda i: id2label[i].trainId)(ids))
        assert 0 < (drawn == 255).mean() < 0.15  # the own car
    report = convert_cityscapes(str(toy / "cityscapes"), nproc=1)
    assert (report.converted, report.counted, report.damaged) == (7, 5, [])


def test_acdc_and_dark_zurich_layouts(toy):
    def stems(folder, ending):
        paths = sorted(folder.rglob(f"*{ending}"))
        return [str(path.relative_to(folder)).removesuffix(ending) for path in paths]

    for name, split, labelled in (
        ("acdc", "train", True),
        ("acdc", "val", True),
        ("dark_zurich", "val", True),
        ("dark_zurich", "train", False),
    ):
        images = stems(toy / name / "rgb_anon" / split, "_rgb_anon.png")
        labels = stems(toy / name / "gt" / split, "_gt_labelTrainIds.png")
        assert len(images) == (5 if split == "train" else 2)
        assert labels == (images if labelled else [])
    assert all("night/" in stem for stem in stems(toy / "dark_zurich/rgb_anon/train", "_rgb_anon.png"))
    label = np.asarray(Image.open(next((toy / "acdc/gt/val").rglob("*.png"))))
    assert set(np.unique(label)) <= {*range(19), 255}


def test_classes_are_skewed_as_in_real_streets():
    settings = Settings("gta", 128, 64, 80, 0, 0)
    counts = np.zeros((80, 256), dtype=np.int64)
    for index in range(80):
        counts[index] = np.bincount(make_scene_labels(settings, index).ravel(), minlength=256)
    train_ids = {entry.name: i for i, entry in id2label.items() if i >= 0}
    pixels = {name: counts[:, train_ids[name]] for name in CITYSCAPES_CLASSES}
    share = {name: 100 * pixels[name].sum() / counts.sum() for name in CITYSCAPES_CLASSES}
    bounds = {"road": (28, 42), "building": (15, 30), "vegetation": (9, 20), "car": (4, 12), "sky": (4, 16)}
    bounds |= {"sidewalk": (3, 9), "person": (0.5, 2.5), "pole": (1, 4), "terrain": (0.2, 2)}
    bounds |= dict.fromkeys(["train", "motorcycle", "rider", "traffic light", "bicycle"], (0.03, 0.8))
    bounds |= dict.fromkeys(["wall", "fence", "traffic sign", "truck", "bus"], (0.1, 1.6))
    for name, (low, high) in bounds.items():
        assert low <= share[name] <= high, f"{name}: {share[name]:.2f} %"
    for name in ("train", "bus", "truck", "motorcycle", "rider", "bicycle"):
        assert (pixels[name] > 0).sum() >= 80 * 0.03, name


def make_scene_labels(settings, index):
    return make_sample(settings, "train", index)[0].label_ids()


def test_guests_come_as_often_as_promised():
    for period in range(3):
        drawn = [
            draw_guests(np.random.default_rng(period), index)
            for index in range(period * GUEST_PERIOD, (period + 1) * GUEST_PERIOD)
        ]
        for name, count in GUESTS.items():
            assert sum(name in guests for guests in drawn) == count


def test_complete_sets_are_skipped_and_others_protected(tmp_path):
    arguments = {"sets": ["gta"], "size": (40, 32), "train": 2, "val": 0}
    assert make_toy_dataset(tmp_path, **arguments) == {"gta": 2}
    before = read_tree(tmp_path)
    assert make_toy_dataset(tmp_path, **arguments) == {"gta": 0}
    with pytest.raises(DataError, match="seed 0 instead of 1"):
        make_toy_dataset(tmp_path, **arguments, seed=1)
    with pytest.raises(DataError, match="train 2 instead of 3"):
        make_toy_dataset(tmp_path, **{**arguments, "train": 3, "sets": ["synthia", "gta"]})
    assert read_tree(tmp_path) == before  # not even synthia was begun

    settings = tmp_path / "gta" / SETTINGS_FILE
    (tmp_path / "gta/images/00002.png").unlink()
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "complete": False}))
    assert make_toy_dataset(tmp_path, **arguments) == {"gta": 2}
    assert read_tree(tmp_path) == before

    settings.write_text("{")
    with pytest.raises(DataError, match="not readable"):
        make_toy_dataset(tmp_path, **arguments)
    settings.unlink()
    with pytest.raises(DataError, match="no toy data set"):
        make_toy_dataset(tmp_path, **arguments)
    with pytest.raises(DataError, match="cannot be written"):
        make_toy_dataset(settings.with_name("images") / "00001.png", **arguments)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sets": ["gta", "kitti"]}, "expected one or more of gta"),
        ({"sets": []}, "expected one or more of"),
        ({"size": (16, 64)}, "16x64: expected at least 32x32"),
        ({"train": 0}, "train 0"),
        ({"val": -1}, "val -1"),
        ({"seed": -1}, "seed -1"),
        ({"nproc": 0}, "nproc 0"),
    ],
)
def test_wrong_arguments(tmp_path, wrong, message):
    with pytest.raises(ConfigError, match=message):
        make_toy_dataset(tmp_path, **wrong)
    assert not list(tmp_path.iterdir())


def test_command_line(tmp_path):
    command = [sys.executable, str(TOOL), str(tmp_path / "out"), "--sets", "dark_zurich", "--size", "48x32"]
    command += ["--train", "2", "--val", "1", "--nproc", "2"]
    first = subprocess.run(command, capture_output=True, text=True)
    assert first.returncode == 0 and "3 images written" in first.stdout, first.stderr
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0 and "nothing to do" in again.stdout
    other = subprocess.run([*command, "--seed", "1"], capture_output=True, text=True)
    assert other.returncode == 1 and "Traceback" not in other.stderr
    assert "seed 0 instead of 1" in other.stderr


def test_inverse_depth_is_exact_on_planes():
    camera = Camera(512, 256, 563.0, 250.0, 110.0, 1.5)
    wall = np.array([[-6.0, 0, 12], [-6, 0, 40], [-6, 5, 40], [-6, 5, 12]])
    plane = inverse_depth(camera.project(wall), wall[:, 2])
    point = np.array([[-6.0, 2.3, 23.0]])
    column, row = camera.project(point)[0]
    assert plane @ (column, row, 1) == pytest.approx(1 / 23, rel=1e-6)


def test_visible_faces_of_a_prism():
    ahead = Prism.build(0, 20, 2, 4, 0, 1.0)
    assert set(ahead.visible_faces(1.5)) == {"rear", "top"}
    assert set(Prism.build(0, 20, 2, 4, 0, 3.0).visible_faces(1.5)) == {"rear"}
    assert set(Prism.build(-8, 20, 2, 4, 0, 3.0).visible_faces(1.5)) == {"rear", "right"}
    assert set(Prism.build(8, 20, 2, 4, 0, 3.0, heading=np.pi).visible_faces(1.5)) == {"front", "right"}


def test_clipping():
    triangle = np.array([[-10.0, 5], [30, 5], [10, 60]])
    clipped = clip_to_image(triangle, 20, 15)
    assert clipped.min() >= -1 and clipped[:, 0].max() <= 20 and clipped[:, 1].max() <= 15
    area = cv2.contourArea(clipped.astype(np.float32))
    below = np.linspace(5, 15, 1001)
    left, right = -10 + (below - 5) * 20 / 55, 30 - (below - 5) * 20 / 55
    expected = np.trapezoid(np.minimum(right, 20) - np.maximum(left, -1), below)
    assert area == pytest.approx(expected, rel=1e-3)
    assert len(clip_to_image(triangle + 1000, 20, 15)) == 0
