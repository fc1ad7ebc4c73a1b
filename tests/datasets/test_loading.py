"""Decoding: the fast decoder gives what OpenCV and Pillow give, and leaves to them what it does not know."""

import contextlib
import io
import re
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from mmseg.datasets import CustomDataset, decoding
from mmseg.datasets.decoding import read_image, read_label
from mmseg.datasets.transforms import loading
from mmseg.errors import ConfigError, DataError

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
        monkeypatch.setattr(decoding, "decode_image_png_u8", None)
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


# -------------------------------------------------------------------------------------- depths, bands, turned


def grey_png(bits):
    """A grey PNG of 2**bits columns that hold 0, 1, 2, …"""
    values = range(2**bits)
    row = int("".join(format(value, f"0{bits}b") for value in values), 2).to_bytes(
        bits * 2**bits // 8 or 1, "big"
    )
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 2**bits, 1, bits, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" + row)),
    ]
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in [*chunks, (b"IEND", b"")]:
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return content


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_grey_labels_of_few_bits_are_read_exactly(tmp_path, bits):
    path = tmp_path / "label.png"
    path.write_bytes(grey_png(bits))
    assert read_label(str(path)).tolist() == [list(range(2**bits))]


@pytest.mark.parametrize("kind", ["F", "float with nan", "jpeg"])
@pytest.mark.parametrize("id_map", [None, {1: 0}])
def test_labels_that_are_no_whole_numbers_are_refused(tmp_path, kind, id_map):
    path = tmp_path / ("label.jpg" if kind == "jpeg" else "label.tif")
    values = np.full((4, 6), np.nan if "nan" in kind else 1.0, np.float32)
    Image.fromarray(np.ones((4, 6), np.uint8) if kind == "jpeg" else values).save(path)
    lookup = None if id_map is None else np.zeros(257, np.uint8)
    results = dict(
        seg_map_path=str(path), img_path="a.png", ori_shape=(4, 6), num_classes=2, id_lookup=lookup
    )
    with pytest.raises(
        DataError, match=r"label\.(tif: the label holds float32 values.*8- or 16-bit|jpg: a JPEG)"
    ):
        loading.LoadLabel()(results)


@pytest.mark.parametrize("suffix", [".tif", ".bmp", ".png"])
def test_labels_in_other_formats(tmp_path, suffix):
    label = np.array([[0, 1, 255], [2, 3, 254]], np.uint8)
    path = tmp_path / f"label{suffix}"
    Image.fromarray(label).save(path)
    np.testing.assert_array_equal(read_label(str(path)), label)


def deep(dtype, path):
    ramp = np.linspace(0, 4095, 4 * 6 * 3).reshape(4, 6, 3)
    pixels = (ramp / 4095).astype(np.float32) if dtype == "float32" else ramp.astype(np.uint16)
    assert cv2.imwrite(str(path), pixels[..., ::-1])
    return pixels


@pytest.mark.parametrize(("dtype", "name"), [("uint16", "a.png"), ("uint16", "a.tif"), ("float32", "a.tif")])
def test_images_deeper_than_8_bits_need_a_range(tmp_path, dtype, name):
    path = tmp_path / name
    pixels = deep(dtype, path)
    with pytest.raises(
        DataError, match=rf"holds {dtype} values from 0 to (4095|1), expected 8 bits.*value_range"
    ):
        read_image(str(path))
    top = 1 if dtype == "float32" else 4095
    found = loading.LoadImage(value_range=(0, top)).read(str(path))
    np.testing.assert_allclose(found, pixels / top * 255, atol=0.51)
    assert len(np.unique(found)) > 60, "not 16 grey levels"
    found = loading.LoadImage(percentiles=(10, 90)).read(str(path))
    assert (found == 0).mean() == pytest.approx(0.1, abs=0.03) == (found == 255).mean()


def test_one_band_of_floats(tmp_path):
    values = np.array([[0, 0.5, 1, np.nan]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    found = loading.LoadImage(value_range=(0, 1)).read(str(tmp_path / "a.tif"))
    assert found[0, :, 0].tolist() == found[0, :, 2].tolist() == [0, 128, 255, 0]


def test_bands(tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (4, 6, 4)).astype(np.uint8)
    path = str(tmp_path / "a.tif")
    Image.fromarray(pixels).save(path)
    np.testing.assert_array_equal(read_image(path), pixels[..., :3])
    np.testing.assert_array_equal(loading.LoadImage(bands=(3, 1, 0)).read(path), pixels[..., [3, 1, 0]])
    Image.fromarray(pixels[..., :3]).save(path)
    with pytest.raises(DataError, match=r"has 3 bands; LoadImage asks for bands=\(3, 1, 0\)"):
        loading.LoadImage(bands=(3, 1, 0)).read(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp", ".jfif", ".PNG", ""])
def test_every_format_with_any_suffix(tmp_path, suffix):
    formats = {".jpg": "JPEG", ".tif": "TIFF", ".webp": "WEBP", ".bmp": "BMP", ".jfif": "JPEG"}
    path = tmp_path / f"image{suffix}"
    Image.fromarray(PIXELS).save(
        path, formats.get(suffix, "PNG"), **{} if suffix != ".webp" else {"lossless": True}
    )
    found = read_image(str(path))
    assert found.shape == PIXELS.shape
    if formats.get(suffix) != "JPEG":
        np.testing.assert_array_equal(found, PIXELS)


def turned_jpeg(path, orientation, size=(6, 4)):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size).save(path, exif=exif)


@pytest.mark.parametrize(
    ("orientation", "size", "drawn_on", "refused"),
    [
        (1, (6, 4), "both", False),
        (6, (6, 4), "shown", False),  # the size of the label tells
        (6, (6, 4), "stored", True),
        (3, (6, 4), "both", True),  # upside down: any label fits
        (2, (6, 4), "both", True),  # mirrored
        (6, (4, 4), "both", True),  # a square
    ],
)
def test_a_turned_image_and_its_label(tmp_path, orientation, size, drawn_on, refused):
    image, label = tmp_path / "a.jpg", tmp_path / "a.png"
    turned_jpeg(image, orientation, size)
    shape = size if drawn_on == "shown" else size[::-1]
    cv2.imwrite(str(label), np.zeros(shape, np.uint8))
    described = dict(img_path=str(image), seg_map_path=str(label), num_classes=2, id_lookup=None)

    def load(**settings):
        return loading.LoadLabel()(loading.LoadImage(**settings)(dict(described)))

    if refused:
        with pytest.raises(DataError, match=r"say whether labels were drawn .*orientation='raw'"):
            load()
    else:
        load()
    loaded = load(orientation="exif" if drawn_on == "shown" else "raw")
    assert loaded["img"].shape[:2] == loaded["gt_semantic_seg"].shape
    unlabelled = loading.LoadImage()({**described, "seg_map_path": None})
    assert loading.LoadImage().size(str(image)) == unlabelled["img"].shape[1::-1]


def test_labels_of_colours(tmp_path):
    colours = np.array([[[128, 64, 128], [0, 0, 0], [1, 2, 3]]], np.uint8)
    path = str(tmp_path / "label.png")
    Image.fromarray(colours).save(path)
    results = dict(seg_map_path=path, img_path="a.png", ori_shape=(1, 3), num_classes=2)
    table = loading.ColorTable({(128, 64, 128): 1, (0, 0, 0): 0})
    assert loading.LoadLabel()({**results, "id_lookup": table})["gt_semantic_seg"].tolist() == [[1, 0, 255]]
    with pytest.raises(DataError, match=r"has 3 channels, expected one; name the colours in id_map"):
        loading.LoadLabel()({**results, "id_lookup": None})
    Image.fromarray(colours[..., 0]).save(path)
    with pytest.raises(DataError, match=r"has one channel, expected three; id_map names colours"):
        loading.LoadLabel()({**results, "id_lookup": table})


@pytest.mark.parametrize(
    "settings",
    [
        dict(value_range=(1, 1)),
        dict(percentiles=(-1, 5)),
        dict(value_range=(0, 1), percentiles=(1, 2)),
        dict(bands=(0, 1)),
        dict(orientation="left"),
    ],
)
def test_settings_of_reading_are_checked(settings):
    with pytest.raises(ConfigError, match="pipeline: LoadImage"):
        loading.LoadImage(**settings)


@pytest.mark.parametrize(("suffix", "orientation"), [(".webp", 3), (".webp", 6), (".png", 3)])
def test_notes_of_cameras_anywhere_in_a_file(tmp_path, suffix, orientation):
    image, label = tmp_path / f"a{suffix}", tmp_path / "label.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    noise = np.random.RandomState(0).randint(0, 256, (200, 300, 3)).astype(np.uint8)
    Image.fromarray(noise).save(image, exif=exif, **({"lossless": True} if suffix == ".webp" else {}))
    cv2.imwrite(str(label), np.zeros((200, 300), np.uint8))
    described = dict(img_path=str(image), seg_map_path=str(label), num_classes=2, id_lookup=None)
    with pytest.raises(DataError, match="say whether labels were drawn"):
        loading.LoadLabel()(loading.LoadImage()(described))


@pytest.mark.parametrize("orientation", [0, 9])
def test_notes_that_mean_nothing_are_ignored(tmp_path, orientation):
    turned_jpeg(tmp_path / "a.jpg", orientation)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 6), np.uint8))
    described = dict(img_path=str(tmp_path / "a.jpg"), seg_map_path=str(tmp_path / "a.png"), num_classes=2)
    loading.LoadLabel()(loading.LoadImage()(described))


def test_labels_that_cannot_be_read_exactly_are_refused(tmp_path):
    grey = Image.fromarray(np.full((8, 8), 60, np.uint8))
    grey.save(tmp_path / "lossy.webp")
    grey.save(tmp_path / "jpeg.tif", compression="jpeg")
    Image.new("CMYK", (8, 8)).save(tmp_path / "cmyk.tif")
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((8, 8, 3), 300, np.uint16))
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(DataError, match=path.name):
            read_label(str(path))
    Image.fromarray(np.full((8, 8), 60, np.uint8)).convert("LA").save(tmp_path / "alpha.png")
    assert read_label(str(tmp_path / "alpha.png")).tolist() == [[60] * 8] * 8


def test_a_tiff_of_two_deep_bands_is_not_cut(tmp_path):
    path = str(tmp_path / "a.tif")
    assert cv2.imwrite(path, np.full((8, 8, 3), 200, np.uint16))
    with pytest.raises(DataError, match="expected 8 bits"):
        read_image(path)
    for orientation in (None, "raw"):
        found = loading.LoadImage(value_range=(0, 400), orientation=orientation).read(path)
        assert found.shape == (8, 8, 3) and (abs(found.astype(int) - 128) <= 1).all()


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("bands", [3, 4, 5, 8])
def test_tiff_of_many_bands(tmp_path, bands, dtype, compression, planar):
    path = str(tmp_path / "a.tif")
    pixels = np.random.RandomState(0).randint(0, 256, (6, 9, bands)).astype(dtype)
    kind = dict(photometric="minisblack", compression=compression)
    stored, order = (pixels.transpose(2, 0, 1), "separate") if planar else (pixels, "contig")
    tifffile.imwrite(path, stored, planarconfig=order, **kind)
    depth = dict(value_range=(0, 255)) if dtype == "uint16" else {}
    assert (loading.LoadImage(**depth).read(path) == pixels[..., :3]).all()
    chosen = (bands - 1, 0, 1)
    assert (loading.LoadImage(bands=chosen, **depth).read(path) == pixels[..., list(chosen)]).all()
    assert loading.LoadImage().size(path) == (9, 6)
    with pytest.raises(DataError, match=rf"has {bands} bands; LoadImage asks for"):
        loading.LoadImage(bands=(0, 1, bands), **depth).read(path)


def test_tiff_of_two_bands_needs_a_choice(tmp_path):
    path = str(tmp_path / "a.tif")
    pixels = np.random.RandomState(0).randint(0, 256, (6, 9, 2)).astype(np.uint8)
    tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig="contig")
    with pytest.raises(DataError, match=r"two bands.*bands=\(0, 1, 1\)"):
        read_image(path)
    assert (read_image(path, bands=(1, 0, 0)) == pixels[..., [1, 0, 0]]).all()


def test_tiff_that_no_library_reads_is_refused(tmp_path):
    path = str(tmp_path / "a.tif")
    tifffile.imwrite(path, np.zeros((6, 9), np.complex64), photometric="minisblack")
    with pytest.raises(DataError, match="complex64 values"):
        read_image(path)


@pytest.mark.parametrize(("photometric", "white"), [("minisblack", 255), ("miniswhite", 0)])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_tiff_of_few_bits_is_stretched(tmp_path, bits, photometric, white):
    path = tmp_path / "a.tif"
    tags = dict(width=(256, 8), height=(257, 1), bits=(258, bits), photometric=(262, int(white == 255)))
    tags |= dict(compression=(259, 1), offset=(273, 8), samples=(277, 1), rows=(278, 1), bytes=(279, bits))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.values()))
    pixels = b"\xff" * (bits - bits // 2) + b"\0" * (bits // 2)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + bits) + pixels + directory)
    found = read_image(str(path))
    assert found.shape == (1, 8, 3) and (found[0, : (8 * (bits - bits // 2)) // bits] == white).all()
    assert bits == 1 or (found[0, 4:] == 255 - white).all()


# ------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_percentiles_are_those_of_the_bands_and_numbers_that_are_used(tmp_path, dtype):
    path = str(tmp_path / "a.tif")
    pixels = np.random.RandomState(0).randint(0, 1000, (20, 20, 4)).astype(dtype)
    pixels[..., 3] = 65535
    if dtype == "float32":
        pixels[0, :5], pixels[1, :5, 0], pixels[2, :5] = np.inf, np.nan, -np.inf
    tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=["unspecified"])
    used = pixels[..., :3]
    low, high = np.percentile(used[np.isfinite(used)], (10, 90))
    expected = np.nan_to_num((used - low) * 255 / (high - low)).clip(0, 255)
    found = loading.LoadImage(percentiles=(10, 90)).read(path)
    np.testing.assert_allclose(found, expected, atol=0.51)
    np.testing.assert_array_equal(loading.LoadImage(percentiles=(10, 90), bands=(0, 1, 2)).read(path), found)


@pytest.mark.parametrize("settings", [{}, dict(value_range=(0, 1)), dict(percentiles=(1, 99))])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_without_a_number_are_refused(tmp_path, settings, value):
    path = str(tmp_path / "a.tif")
    tifffile.imwrite(path, np.full((4, 6), value, np.float32))
    with pytest.raises(DataError, match=r"a\.tif: holds no finite number, all 72 values"):
        loading.LoadImage(**settings).read(path)


@pytest.mark.parametrize("value", [0, 7, -3])
def test_the_range_that_is_proposed_for_a_constant_image_is_one(tmp_path, value):
    path = str(tmp_path / "a.tif")
    tifffile.imwrite(path, np.full((4, 6), value, np.int16))
    with pytest.raises(DataError, match="expected 8 bits") as refused:
        read_image(path)
    low, high = re.search(r"value_range=\((.*?), (.*?)\)", str(refused.value)).groups()
    loading.LoadImage(value_range=(float(low), float(high))).read(path)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float64", "uint64", "int64"]
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tiff_labels_of_every_type_are_exact_or_refused_by_name(tmp_path, dtype, byteorder):
    path = str(tmp_path / "label.tif")
    label = np.arange(24).reshape(4, 6).astype(dtype)
    label[0, 0] = -1 if label.dtype.kind == "i" else np.array(-1).astype(dtype)
    tifffile.imwrite(path, label, byteorder=byteorder)
    if (dtype, byteorder) == ("uint32", ">"):  # no library
        with pytest.raises(DataError, match=r"label\.tif: not a readable label image .*TIFF of 1 x uint32"):
            read_label(path)
    elif label.dtype.kind == "f" or label.dtype.itemsize > 4:
        with pytest.raises(
            DataError, match=rf"label\.tif: the label holds {dtype} values, expected integers"
        ):
            read_label(path)
    else:
        np.testing.assert_array_equal(read_label(path), label)


@pytest.mark.parametrize("id_map", [False, True])
def test_negative_bytes_are_no_ignored_pixels(tmp_path, id_map):
    path = str(tmp_path / "label.tif")
    tifffile.imwrite(path, np.array([[-1, 0, 1]], np.int8))
    results = dict(seg_map_path=path, img_path="a.png", ori_shape=(1, 3), num_classes=2)
    if id_map:
        results["id_lookup"] = np.zeros(257, np.uint8)
    with pytest.raises(DataError, match=r"label values? -1"):
        loading.LoadLabel()(results)


def test_labels_with_white_zero_are_refused_with_the_reason(tmp_path):
    path = str(tmp_path / "label.tif")
    tifffile.imwrite(path, np.zeros((4, 6), np.uint8), photometric="miniswhite")
    with pytest.raises(DataError, match="0 is white in this file"):
        read_label(path)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int32"])
def test_ids_as_large_as_a_type_and_larger(tmp_path, dtype):
    path, top = str(tmp_path / "label.tif"), np.iinfo(dtype).max
    tifffile.imwrite(path, np.array([[0, 200, top]], dtype))
    listed = dict(id_map={0: 0, 200: 1, min(int(top), 65535): 1})
    dataset = CustomDataset.__new__(CustomDataset)
    dataset.classes = ("a", "b")
    lookup = dataset._id_lookup(listed["id_map"])
    results = dict(seg_map_path=path, img_path="a.png", ori_shape=(1, 3), num_classes=2, id_lookup=lookup)
    expected = [0, 1, 1 if top <= 65535 else 255]
    assert loading.LoadLabel()(results)["gt_semantic_seg"].tolist() == [expected]


def test_bands_are_whole_numbers():
    with pytest.raises(ConfigError, match="expected three whole numbers"):
        loading.LoadImage(bands=(0.0, 1.0, 2.0))


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "webp", "nothing", "header"])
def test_a_damaged_image_is_told_by_the_error_and_not_by_logs(tmp_path, kind, capfd, caplog):
    path, file = tmp_path / "a", io.BytesIO()
    format = {"nothing": "png", "header": "tiff"}.get(kind, kind)
    Image.fromarray(PIXELS).save(file, format, **(dict(compression="tiff_lzw") if format == "tiff" else {}))
    content = file.getvalue()
    third, half = len(content) // 3, len(content) // 2
    content = content[:third] + bytes(half - third) + content[half:]
    path.write_bytes({"nothing": b"", "header": content[:8] + b"\xff" * 40}.get(kind, content))
    for read in (read_image, read_label):
        with contextlib.suppress(DataError):
            read(str(path))
    assert not caplog.records
    assert "[" not in capfd.readouterr().err, "lines of OpenCV"


def test_what_is_left_out_of_a_file_is_remarked(tmp_path):
    path = str(tmp_path / "a.tif")
    tifffile.imwrite(path, np.zeros((2, 6, 9), np.uint8), photometric="minisblack")
    assert loading.LoadImage().remark(path) == f"{path}: has 2 pages, of which the first is read"
    deep = np.zeros((6, 9, 4), np.uint16)
    tifffile.imwrite(path, deep, photometric="rgb", extrasamples=["unspecified"])
    assert "has 4 bands, of which (3, 1, 0) are red" in loading.LoadImage(bands=(3, 1, 0)).remark(path)
    tifffile.imwrite(path, deep[..., :3], photometric="rgb")
    assert loading.LoadImage().remark(path) is None


@pytest.mark.parametrize("number", [-1, 2**24])
def test_ids_that_make_no_table_are_refused(tmp_path, number):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="expected ids from 0 to 16777215"):
        CustomDataset(str(tmp_path), classes=("a", "b"), id_map={0: 0, number: 1})
