"""Indexed PNGs of predictions and blended pictures."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg.datasets.classes import CITYSCAPES_PALETTE
from mmseg.errors import ConfigError
from mmseg.visualization.palette_image import blend, save_grey_png, save_palette_png


@pytest.mark.parametrize("shape", [(37, 53), (1, 1), (128, 64)])
def test_palette_png_holds_ids_and_shows_colours(tmp_path, shape):
    label = np.random.RandomState(0).choice([*range(19), 255], shape).astype(np.uint8)
    path = tmp_path / "prediction.png"
    save_palette_png(path, label, CITYSCAPES_PALETTE)

    image = Image.open(path)
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), label)

    colours = np.array([*CITYSCAPES_PALETTE, *[(0, 0, 0)] * 237], np.uint8)[label]
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), colours)
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], colours)
    assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape[:2] == shape


@pytest.mark.parametrize(
    "label", [np.zeros((4, 4), np.int64), np.zeros((4, 4, 3), np.uint8), np.zeros(4, np.uint8)]
)
def test_palette_png_refuses_other_arrays(tmp_path, label):
    with pytest.raises(ValueError, match="expected \\(H, W\\), uint8"):
        save_palette_png(tmp_path / "x.png", label, CITYSCAPES_PALETTE)
    assert not (tmp_path / "x.png").exists()


def test_grey_png_scales_rounds_and_clips(tmp_path):
    values = np.array([[0, 0.5, 1], [0.0019, 1.2, -0.1]], np.float32)
    save_grey_png(tmp_path / "grey.png", values)
    with Image.open(tmp_path / "grey.png") as file:
        assert file.mode == "L"
        assert np.asarray(file).tolist() == [[0, 128, 255], [0, 255, 0]]


def test_blend_mixes_linearly_and_keeps_pixels_without_class():
    image = np.full((1, 3, 3), 101, np.uint8)
    label = np.array([[0, 18, 255]], np.uint8)
    mixed = blend(image, label, CITYSCAPES_PALETTE, opacity=0.25)
    assert mixed.dtype == np.uint8
    assert mixed[0].tolist() == [
        [108, 92, 108],  # .75 * 101 + .25 * (128, 64, 128) = 107.75, 91.75, 107.75
        [106, 78, 84],  # .75 * 101 + .25 * (119, 11, 32) = 105.5, 78.5, 83.75, rounded to even
        [101, 101, 101],
    ]


@pytest.mark.parametrize("opacity", [0, 1])
def test_blend_limits(opacity):
    rng = np.random.RandomState(1)
    image = rng.randint(0, 256, (20, 30, 3)).astype(np.uint8)
    label = rng.randint(0, 19, (20, 30)).astype(np.uint8)
    expected = np.array(CITYSCAPES_PALETTE, np.uint8)[label] if opacity else image
    np.testing.assert_array_equal(blend(image, label, CITYSCAPES_PALETTE, opacity), expected)


def test_blend_refuses_wrong_arguments():
    image, label = np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint8)
    with pytest.raises(ConfigError, match=r"opacity 1\.5"):
        blend(image, label, CITYSCAPES_PALETTE, 1.5)
    with pytest.raises(ValueError, match=r"\(4, 4, 3\) for a label map of shape \(4, 5\)"):
        blend(image[:, :4], label, CITYSCAPES_PALETTE)
