"""Pictures of what the network will see."""

import cv2
import numpy as np
import pytest
from toy_run import toy_config, uda_config, write_config

from mmseg.apis.training import build_runner
from mmseg.datasets.sampling.rare_class_sampling import RareClassSampling
from mmseg.reports.browse_dataset import training_set
from mmseg.visualization.grid import GAP, LINE_HEIGHT, MIN_WIDTH, Tile, draw_grid, fitting
from mmseg.visualization.palette_image import colorize
from tools import browse_dataset

CROP = 64
CAPTION_HEIGHT = 2 * LINE_HEIGHT


def tile(picture, row: int, column: int, height: int = CROP, width: int = CROP):
    """A tile of a grid of crops."""
    top = row * (height + CAPTION_HEIGHT + GAP) + CAPTION_HEIGHT
    left = column * (MIN_WIDTH + GAP)
    return picture[top : top + height, left : left + width]


def read(path):
    return cv2.imread(str(path))[..., ::-1]


def run_tool(cfg, tmp_path, *arguments):
    config = write_config(cfg, tmp_path / "config.py")
    return browse_dataset.main([str(config), "--out-dir", str(tmp_path / "out"), *arguments])


def test_pixels_are_those_of_the_first_iterations_of_training(toy_data, tmp_path, capsys):
    cfg = uda_config(toy_data, tmp_path / "run")
    assert run_tool(cfg, tmp_path, "--number", "5") == 0
    paths = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in paths] == ["samples_0000-0003.png", "samples_0004-0004.png"]
    assert capsys.readouterr().out.split()[-2:] == [str(path) for path in paths]

    runner = build_runner(cfg)
    palette = training_set(cfg).metainfo["palette"]
    loader = iter(runner.build_dataloader(cfg.train_dataloader, seed=runner.seed))
    pictures = [read(path) for path in paths]
    batch_size = cfg.train_dataloader.batch_size
    for position in range(5):
        if position % batch_size == 0:
            batch = next(loader)
        picture, row, index = pictures[position // 4], position % 4, position % batch_size
        for column, key in ((0, "img"), (2, "target_img")):
            np.testing.assert_array_equal(tile(picture, row, column), batch[key][index].permute(1, 2, 0))
        label = batch["gt_semantic_seg"][index].numpy()
        np.testing.assert_array_equal(tile(picture, row, 1), colorize(label, palette))
        valid = batch["valid_pseudo_mask"][index].numpy()
        np.testing.assert_array_equal(tile(picture, row, 3)[..., 0] == 255, valid)
        assert set(np.unique(tile(picture, row, 3))) <= {0, 255}


def captions(monkeypatch):
    """Collects all captions that are drawn."""
    found = []
    monkeypatch.setattr(
        "mmseg.visualization.grid._draw_caption", lambda area, lines: found.append(list(lines))
    )
    return found


def test_captions_name_files_and_the_class_that_was_drawn(toy_data, tmp_path, monkeypatch):
    cfg = uda_config(toy_data, tmp_path / "run")
    drawn, lines = [], captions(monkeypatch)
    draw = RareClassSampling.draw

    def recorded(self, rng):
        drawn.append(draw(self, rng))
        return drawn[-1]

    monkeypatch.setattr(RareClassSampling, "draw", recorded)
    assert run_tool(cfg, tmp_path, "--number", "4") == 0
    samples = list(drawn)
    assert len(samples) == 4, "the caption's class is the one that the sample was drawn for"
    dataset = training_set(cfg)
    for position, (cls, index) in enumerate(samples):
        sample = dataset[position]
        source, label, target, mask = lines[4 * position : 4 * position + 4]
        name = dataset.source.samples[index].name
        assert source == [f"source image, sample {position}", f"{name}.png"]
        pixels = int((sample["gt_semantic_seg"] == cls).sum())
        assert label == ["source label", f"RCS drew {dataset.source.classes[cls]}: {pixels} pixels"]
        assert target[0] == "target image" and sample["target_img_metas"]["img_path"].endswith(target[1])
        assert mask[0] == "target valid mask"


def test_plain_training_shows_image_and_label(toy_data, tmp_path, monkeypatch):
    cfg = toy_config("source_only", toy_data, tmp_path / "run")
    lines = captions(monkeypatch)
    assert run_tool(cfg, tmp_path, "--number", "2") == 0
    picture = read(tmp_path / "out" / "samples_0000-0001.png")
    dataset = training_set(cfg)
    assert picture.shape[1] == 2 * MIN_WIDTH + GAP
    for row in range(2):
        sample = dataset[row]
        np.testing.assert_array_equal(tile(picture, row, 0), sample["img"].permute(1, 2, 0))
        label = colorize(sample["gt_semantic_seg"].numpy(), dataset.metainfo["palette"])
        np.testing.assert_array_equal(tile(picture, row, 1), label)
        assert lines[2 * row][0] == f"image, sample {row}" and lines[2 * row + 1] == ["label"]


def test_seed_decides(toy_data, tmp_path):
    cfg = uda_config(toy_data, tmp_path / "run", {"randomness.seed": 3})
    pictures = []
    for arguments in ([], ["--seed", "3"], ["--seed", "4"]):
        assert run_tool(cfg, tmp_path, "--number", "1", *arguments) == 0
        pictures.append(read(tmp_path / "out" / "samples_0000-0000.png"))
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert (pictures[0] != pictures[2]).any()


def test_mistakes_are_explained(toy_data, tmp_path, capsys):
    cfg = uda_config(toy_data, tmp_path / "run")
    assert run_tool(cfg, tmp_path, "--number", "0") == 1
    assert run_tool(cfg, tmp_path, "--seed", "-1") == 1
    (tmp_path / "out").write_text("a file")
    assert run_tool(cfg, tmp_path, "--number", "1") == 1
    assert run_tool(toy_config("source_only", tmp_path / "nowhere", tmp_path / "run"), tmp_path) == 1
    cfg.pop("train_dataloader")
    assert run_tool(cfg, tmp_path) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    expected = ["--number 0", "--seed -1", "cannot be written", "nowhere/gta", "train_dataloader.dataset is"]
    for message, error in zip(expected, errors, strict=True):
        assert message in error


def test_grid_of_tiles_of_different_size():
    rng = np.random.RandomState(0)
    images = [rng.randint(0, 256, (*size, 3), np.uint8) for size in ((5, 300), (9, 4), (3, 2))]
    first, second, third = (Tile(image, ("a", "b")) for image in images)
    grid = draw_grid([[first, second], [third]])
    assert grid.shape == (CAPTION_HEIGHT + 9 + GAP + CAPTION_HEIGHT + 3, 300 + GAP + MIN_WIDTH, 3)
    np.testing.assert_array_equal(grid[CAPTION_HEIGHT:][:5, :300], images[0])
    np.testing.assert_array_equal(grid[CAPTION_HEIGHT:][:9, 300 + GAP :][:, :4], images[1])
    np.testing.assert_array_equal(grid[-3:, :2], images[2])
    assert (grid[:CAPTION_HEIGHT, :300] < 100).any(), "the caption is written"


def test_long_names_keep_their_end():
    name = "frankfurt_000000_000294_leftImg8bit.png"
    assert fitting(name, 2000) == name
    short = fitting(name, 150)
    assert short.startswith("...") and name.endswith(short[3:]) and 5 < len(short) < len(name)


@pytest.mark.parametrize("width", [1, 0])
def test_no_space_for_a_caption(width):
    assert len(fitting("image.png", width)) <= 4
