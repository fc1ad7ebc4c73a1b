"""A camera's note of how it was held: the same for every format, and for images and labels."""

import builtins
import io
import itertools

import numpy as np
import pytest
import tifffile
from PIL import Image

from mmseg.datasets.decoding import read_image, read_label
from mmseg.datasets.transforms import loading
from mmseg.errors import DataError

ORIENTATIONS = range(1, 9)
NOTHING = Image.Transpose
TURNS = {
    2: NOTHING.FLIP_LEFT_RIGHT, 3: NOTHING.ROTATE_180, 4: NOTHING.FLIP_TOP_BOTTOM, 5: NOTHING.TRANSPOSE,
    6: NOTHING.ROTATE_270, 7: NOTHING.TRANSVERSE, 8: NOTHING.ROTATE_90,
}  # fmt: skip
"""What the EXIF standard asks for, in Pillow's words."""
PIXELS = np.random.RandomState(0).randint(0, 256, (6, 9, 5)).astype(np.uint8)


def turned(pixels, orientation):
    if orientation == 1:
        return pixels
    bands = pixels[..., None] if pixels.ndim == 2 else pixels
    moved = [Image.fromarray(band).transpose(TURNS[orientation]) for band in np.moveaxis(bands, -1, 0)]
    return np.stack([np.asarray(band) for band in moved], -1).reshape(
        (*moved[0].size[::-1], *pixels.shape[2:])
    )


def save(path, pixels, orientation=1, **tiff):
    if path.suffix == ".tif":
        tags = [] if orientation == 1 else [(274, "H", 1, orientation, True)]
        tifffile.imwrite(path, pixels, extratags=tags, **tiff)
        return
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif, **({"lossless": True} if path.suffix == ".webp" else {}))


RGB, FIVE = PIXELS[..., :3], PIXELS
FILES = {
    ".png": (RGB, {}),
    ".webp": (RGB, {}),
    "colours.tif": (RGB, {}),
    "big.tif": (RGB, dict(bigtiff=True)),
    "big-endian.tif": (RGB, dict(byteorder=">")),
    "deflated.tif": (RGB, dict(compression="zlib")),
    "grey.tif": (PIXELS[..., 0], {}),
    "16-bit grey.tif": (PIXELS[..., 0].astype(np.uint16), {}),
    "16-bit.tif": (RGB.astype(np.uint16), dict(photometric="rgb")),
    "float.tif": (PIXELS[..., 0].astype(np.float32), {}),
    "four.tif": (PIXELS[..., :4], dict(photometric="rgb", extrasamples=["unassalpha"])),
    "five.tif": (FIVE, dict(photometric="minisblack", planarconfig="contig")),
    "planar.tif": (RGB.transpose(2, 0, 1).copy(), dict(photometric="rgb", planarconfig="separate")),
}


@pytest.mark.parametrize("bands", [None, (2, 0, 1)])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", FILES)
def test_every_format_is_turned_once_and_only_when_asked(tmp_path, kind, orientation, bands):
    path = tmp_path / f"a{kind}"
    stored, options = FILES[kind]
    save(path, stored, orientation, **options)
    bands_last = np.moveaxis(stored, 0, -1) if "planar" in kind else stored
    rgb = np.stack([bands_last] * 3, -1) if stored.ndim == 2 else bands_last[..., :3]
    expected = (rgb if bands is None else rgb[..., list(bands)]).astype(np.uint8)
    depth = {} if stored.dtype == np.uint8 else dict(value_range=(0, 255))
    for setting in (None, "exif", "raw"):
        loader = loading.LoadImage(orientation=setting, bands=bands, **depth)
        wanted = expected if setting == "raw" else turned(expected, orientation)
        found = loader.read(str(path))
        np.testing.assert_array_equal(found, wanted)
        assert loader.size(str(path)) == found.shape[1::-1]
    np.testing.assert_array_equal(read_image(str(path), bands=bands, **depth), turned(expected, orientation))


def test_jpeg_is_turned_with_bands_as_without(tmp_path):
    path = tmp_path / "a.jpg"
    save(path, np.arange(240, dtype=np.uint8).reshape(8, 10, 3), 6)
    plain = loading.LoadImage().read(str(path))
    assert plain.shape == (10, 8, 3)
    np.testing.assert_array_equal(loading.LoadImage(bands=(2, 1, 0)).read(str(path)), plain[..., ::-1])


def test_an_orientation_in_the_xmp_text_of_a_tiff_turns_nothing(tmp_path):
    text = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS[..., 0], extratags=[(700, "B", len(text), text, True)])
    np.testing.assert_array_equal(read_label(str(path)), PIXELS[..., 0])
    assert loading.LoadImage().size(str(path)) == (9, 6) == read_image(str(path)).shape[1::-1]


LABEL_FORMATS = (".png", ".tif")


@pytest.mark.parametrize("suffix", LABEL_FORMATS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_labels_are_turned_as_images_are(tmp_path, suffix, orientation):
    path = tmp_path / f"a{suffix}"
    save(path, PIXELS[..., 0], orientation)
    np.testing.assert_array_equal(read_label(str(path)), turned(PIXELS[..., 0], orientation))


def pair(folder, image_suffix, image, label_suffix, label):
    """An image and a label of the same stored pixels."""
    paths = folder / f"image{image_suffix}", folder / f"label{label_suffix}"
    for path, orientation in zip(paths, (image, label), strict=True):
        save(path, PIXELS[..., 0], orientation)
    return dict(img_path=str(paths[0]), seg_map_path=str(paths[1]), num_classes=256)


@pytest.mark.parametrize(
    ("image_suffix", "label_suffix"), itertools.product([".png", ".tif", ".webp"], LABEL_FORMATS)
)
def test_pairs(tmp_path, image_suffix, label_suffix):
    for image, label in itertools.product((1, 3, 6, 8), (1, 3, 6)):
        described = pair(tmp_path, image_suffix, image, label_suffix, label)

        def load(orientation, described=described):
            results = loading.LoadLabel()(loading.LoadImage(orientation=orientation)(dict(described)))
            return results["img"][..., 0], results["gt_semantic_seg"]

        found, raw_label = load("raw")  # both as they are stored
        np.testing.assert_array_equal(raw_label, PIXELS[..., 0])
        np.testing.assert_array_equal(found, raw_label) if image_suffix != ".webp" else None
        if (image in (6, 8)) != (label in (6, 8)):  # one lies on its side
            for setting in (None, "exif"):
                with pytest.raises(
                    DataError, match=r"label is .*the EXIF orientation of .*orientation='raw'"
                ):
                    load(setting)
            continue
        shown = load("exif")
        np.testing.assert_array_equal(shown[1], turned(PIXELS[..., 0], label))
        assert shown[0].shape == shown[1].shape
        if image == label:
            np.testing.assert_array_equal(load(None)[1], shown[1])
        else:
            with pytest.raises(
                DataError, match=r"has the size of its image turned or not: .*orientation='raw'"
            ):
                load(None)


def test_a_label_drawn_on_the_image_as_it_is_shown(tmp_path):
    for suffix in (".tif", ".png"):
        image, label = tmp_path / f"a{suffix}", tmp_path / "label.png"
        save(image, PIXELS[..., 0], 6)
        save(label, turned(PIXELS[..., 0], 6))
        described = dict(img_path=str(image), seg_map_path=str(label), num_classes=256)
        results = loading.LoadLabel()(loading.LoadImage()(described))
        np.testing.assert_array_equal(results["img"][..., 0], results["gt_semantic_seg"])


def test_image_and_label_are_read_once(tmp_path, monkeypatch):
    described = pair(tmp_path, ".tif", 3, ".tif", 3)
    opened, original = [], io.open

    def counting(file, *args, **options):
        opened.append(str(file))
        return original(file, *args, **options)

    monkeypatch.setattr(io, "open", counting)  # pathlib's
    monkeypatch.setattr(builtins, "open", counting)  # Pillow's
    loading.LoadLabel()(loading.LoadImage()(described))
    assert opened == [described["img_path"], described["seg_map_path"]]
