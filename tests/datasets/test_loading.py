"""Decoding: the fast decoder gives what OpenCV and Pillow give, and leaves to them what it does not know."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg.datasets.transforms import loading
from mmseg.datasets.transforms.loading import read_image, read_label
from mmseg.errors import DataError

PIXELS = np.random.RandomState(0).randint(0, 256, (37, 53, 3)).astype(np.uint8)


def png(image, **options):
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def palette_png():
    image = Image.fromarray(PIXELS[..., 0]).convert("P")
    image.putpalette(PIXELS.ravel()[:768].tolist())
    return png(image)


def with_header(content, *size):
    header = content[12:16] + struct.pack(">II", *size) + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


@pytest.fixture
def slow_decoders(monkeypatch):
    """Counts calls of OpenCV and Pillow."""
    calls = []
    for owner, name in ((cv2, "imdecode"), (Image, "open")):
        function = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args, _f=function: calls.append(1) or _f(*args))
    return calls


RGB = Image.fromarray(PIXELS)
COLOURED = {
    "rgb": (png(RGB), True),
    "transparent colour": (png(RGB, transparency=(1, 2, 3)), True),
    "rgba": (png(RGB.convert("RGBA")), False),
    "palette": (palette_png(), False),
    "grey": (png(RGB.convert("L")), False),
    "turned camera": (
        png(RGB, exif=b"Exif\0\0" + bytes.fromhex("4d4d002a00000008000101120003000000010006000000000000")),
        False,
    ),
}


@pytest.mark.parametrize("kind", COLOURED)
def test_images(tmp_path, slow_decoders, kind):
    content, is_fast = COLOURED[kind]
    path = tmp_path / "image.png"
    path.write_bytes(content)
    found = read_image(str(path))
    assert bool(slow_decoders) != is_fast
    np.testing.assert_array_equal(found, cv2.imread(str(path))[..., ::-1])
    assert found.shape == ((53, 37, 3) if kind == "turned camera" else (37, 53, 3))
    assert found.flags.c_contiguous and found.flags.writeable


LABELS = {
    "grey": (png(RGB.convert("L")), True),
    "palette": (palette_png(), True),
    "16 bit": (png(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 7)), False),
    "two values": (png(Image.fromarray(PIXELS[..., 0] > 99)), False),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels(tmp_path, slow_decoders, kind):
    content, is_fast = LABELS[kind]
    path = tmp_path / "label.png"
    path.write_bytes(content)
    found = read_label(str(path))
    assert bool(slow_decoders) != is_fast
    np.testing.assert_array_equal(found, np.array(Image.open(path)))
    assert found.ndim == 2


@pytest.mark.parametrize("decoder", ["fast", "missing"])
@pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (0, 0), (53, 38)])
def test_a_header_that_lies(tmp_path, monkeypatch, size, decoder):
    if decoder == "missing":
        monkeypatch.setattr(loading, "decode_image_png_u8", None)
    path = tmp_path / "image.png"
    path.write_bytes(with_header(png(RGB), *size))
    try:
        found = read_image(str(path))
    except (DataError, cv2.error):
        return
    assert found.shape == (38, 53, 3), "OpenCV fills what is missing"


def test_damaged_pixels(tmp_path):
    content = bytearray(png(RGB))
    content[len(content) // 2] ^= 0x55
    path = tmp_path / "image.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"image\.png: not a readable image"):
        read_image(str(path))


@pytest.mark.parametrize("value", [19, 254])
def test_values_that_are_no_class(tmp_path, value):
    label = np.array([[0, 18, 255], [0, 18, value]], np.uint8)
    path = str(tmp_path / "label.png")
    Image.fromarray(label).save(path)
    results = dict(seg_map_path=path, img_path="image.png", ori_shape=(2, 3), num_classes=19)
    with pytest.raises(DataError, match=rf"label values {value} found, expected 0 to 18 or 255"):
        loading.LoadLabel()(results)
    Image.fromarray(label[:1]).save(path)
    loaded = loading.LoadLabel()({**results, "ori_shape": (1, 3)})["gt_semantic_seg"]
    np.testing.assert_array_equal(loaded, label[:1])
