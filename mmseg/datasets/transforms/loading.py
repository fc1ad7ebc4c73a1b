"""From files to arrays, with an explanation for every file that cannot be used."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin

from mmseg.datasets.transforms.base import Results, Transform
from mmseg.errors import ConfigError, DataError
from mmseg.labels import IGNORE_INDEX
from mmseg.registry import TRANSFORMS

try:  # comes with kornia
    from kornia_rs.io import decode_image_png_u8
except ImportError:  # not needed, only faster
    decode_image_png_u8 = None


ORIENTATION_REMEDY = (
    "say whether labels were drawn on the image as it is shown, dict(type='LoadImage', orientation='exif'), "
    "or as it is stored, orientation='raw', in each pipeline of this data set"
)
INVERTED = ("1;I", "L;I", "L;2I", "L;4I", "1;IR", "L;IR", "L;2IR", "L;4IR")
"""Pillow's words for files in which 0 is white."""
FORMATS = ("PNG", "JPEG", "TIFF", "WebP", "BMP")
_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)  # orientations that swap width and height
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*")
_PNG_SIGNATURE, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
_JPEG_SIGNATURE, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_TAIL = 4096  # some cameras append data behind the end marker
_PNG_ORIENTATION = b"eXIf"  # a camera's note of how it was held, which OpenCV follows
_LARGEST_PNG = 2**28  # pixels; the header of a damaged file may claim any number
_PNG_GREY, _PNG_RGB, _PNG_PALETTE = 0, 2, 3  # colour types


def _read_bytes(path: str) -> bytes:
    """Content of an image file that is complete as far as its end marker tells.

    Decoders fill the missing part of a truncated file with grey and only warn, so the marker is looked at
    first.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); restore the file") from error
    for signature, end in ((_PNG_SIGNATURE, _PNG_END), (_JPEG_SIGNATURE, _JPEG_END)):
        if content.startswith(signature) and end not in content[-_TAIL:]:
            raise DataError(
                f"{path}: the file is truncated ({len(content)} bytes without end marker); copy it again"
            )
    return content


def _decode_png(content: bytes, colour_types: tuple[int, ...], mode: str) -> np.ndarray | None:
    """Decode a plain 8-bit PNG, exactly as libpng does and in half the time.

    Args:
        content: The file.
        colour_types: Only files of these types are decoded.
        mode: ``rgb``, or ``mono`` for grey values and palette indices.

    Returns:
        (H, W, channels) uint8. None for any other file, and for a damaged one: the decoders that know more
        formats read it, or say that it cannot be read.
    """
    if decode_image_png_u8 is None or not content.startswith(_PNG_SIGNATURE) or len(content) < 26:
        return None
    width, height, depth, colour_type = struct.unpack_from(">IIBB", content, 16)
    is_plain = depth == 8 and colour_type in colour_types and _PNG_ORIENTATION not in content
    if not is_plain or width * height > _LARGEST_PNG:
        return None
    try:
        return decode_image_png_u8(content, (height, width), mode)
    except Exception:  # kornia_rs knows no other class
        return None


def read_image(
    path: str,
    value_range: tuple[float, float] | None = None,
    percentiles: tuple[float, float] | None = None,
    bands: Sequence[int] | None = None,
    turn: bool = True,
) -> np.ndarray:
    """Decode an image file; of several pages the first.

    Args:
        path: PNG, JPEG, TIFF, WebP or BMP.
        value_range: In an image deeper than 8 bits, the values that become 0 and 255.
        percentiles: Instead, the shares of its values (in percent) that lie below these two.
        bands: Which three bands are red, green and blue, counted from 0; None: the first three.
        turn: Whether a camera's note of how it was held (EXIF orientation) is followed.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: The file is missing, truncated or no image; it is deeper than 8 bits and nobody said which
            values are black and white; it has other bands.
    """
    content = _read_bytes(path)
    if bands is None:
        image = _decode_png(content, (_PNG_RGB,), "rgb")
        if image is not None:
            return image
    image = _decode(content, bands is not None, turn)
    if image is None:
        raise DataError(
            f"{path}: not a readable image (expected {', '.join(FORMATS)} with one, three or four bands of "
            "one type, pixel by pixel); copy, download or convert it again"
        )
    if image.ndim == 2:
        image = np.stack([image] * 3, axis=-1)
    else:
        image = image[..., [2, 1, 0, *range(3, image.shape[-1])]]  # OpenCV stores blue, green, red
    if bands is not None:
        if max(bands) >= image.shape[-1]:
            raise DataError(f"{path}: has {image.shape[-1]} bands; LoadImage asks for bands={tuple(bands)}")
        image = image[..., list(bands)]
    if image.dtype != np.uint8:
        image = _to_8_bits(image, path, value_range, percentiles)
    return np.ascontiguousarray(image[..., :3])


def _decode(content: bytes, all_bands: bool, turn: bool) -> np.ndarray | None:
    """Pixels as OpenCV has them, in the depth of the file; None when it cannot read them."""
    orientation = 0 if turn else cv2.IMREAD_IGNORE_ORIENTATION
    colours = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | orientation
    if content[:4] in _TIFF_SIGNATURES:
        return _decode_tiff(content, orientation, turn)
    for flag in (colours, cv2.IMREAD_UNCHANGED)[all_bands:]:  # one band of floats has no colours
        with suppress(cv2.error):
            image = cv2.imdecode(np.frombuffer(content, np.uint8), flag) if content else None
            if image is not None:
                return np.asarray(image)
    return None


def _decode_tiff(content: bytes, orientation: int, turn: bool) -> np.ndarray | None:
    """As :func:`_decode`; None also where OpenCV would give other bands or fewer bits than there are."""
    if (bands := _four_bands(content, turn)) is not None:
        return bands
    try:
        stream = io.BytesIO(content)
        header = TiffImagePlugin.ImageFileDirectory_v2(stream.read(8))
        stream.seek(header.next)
        header.load(stream)
        bits, samples = header.get(258, (1,)), header.get(277, 1)
        is_palette, is_planar = header.get(262) == 3, header.get(284, 1) == 2
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return None
    color = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | orientation
    with suppress(cv2.error):
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED if turn else color)
        if image is None:
            return None
        channels = 1 if image.ndim == 2 else image.shape[-1]
        exact = image.dtype.itemsize * 8 >= max(bits if isinstance(bits, tuple) else (bits,))
        if exact and (is_palette or channels == samples or (samples == 1 and not turn)):
            return np.asarray(image) if samples == 1 or not is_planar else None
    return None


def _four_bands(content: bytes, turn: bool) -> np.ndarray | None:
    """Blue, green, red and the fourth band of an 8-bit TIFF; OpenCV would multiply the others by it."""
    with suppress(OSError, SyntaxError, ValueError), Image.open(io.BytesIO(content)) as file:
        if file.mode in ("RGBA", "RGBX"):
            return np.asarray(ImageOps.exif_transpose(file) if turn else file)[..., [2, 1, 0, 3]]
    return None


def _to_8_bits(
    image: np.ndarray,
    path: str,
    value_range: tuple[float, float] | None,
    percentiles: tuple[float, float] | None,
) -> np.ndarray:
    if value_range is not None:
        low, high = value_range
    elif percentiles is not None:
        low, high = np.nanpercentile(image, percentiles)
    else:
        least, most = np.nanmin(image), np.nanmax(image)
        raise DataError(
            f"{path}: holds {image.dtype} values from {least:g} to {most:g}, expected 8 bits; say what is "
            "black and white in each pipeline that reads such images: "
            f"dict(type='LoadImage', value_range=({least:g}, {most:g})), the same for all images, or "
            "percentiles=(1, 99) of each image"
        )
    scaled = (image.astype(np.float32) - low) * (255 / max(high - low, 1e-12))
    return np.nan_to_num(scaled, nan=0.0).clip(0, 255).round().astype(np.uint8)


def orientation_of(path: str) -> int:
    """A camera's note of how it was held (EXIF orientation 1 to 8); 1 where there is none."""
    try:
        with Image.open(path) as file:
            found = file.getexif().get(_EXIF_ORIENTATION, 1)
            return found if found in range(1, 9) else 1
    except (OSError, SyntaxError, ValueError, TypeError):
        return 1


def read_label(path: str) -> np.ndarray:
    """Decode a label file, whose grey values or palette indices are the labels; colours stay colours.

    Returns:
        (H, W) uint8 or, for deeper files, a wider integer type; (H, W, 3) uint8 for an RGB file.

    Raises:
        DataError: The file is missing, truncated or no image, or does not hold whole numbers.
    """
    content = _read_bytes(path)
    indices = _decode_png(content, (_PNG_GREY, _PNG_PALETTE), "mono")
    if indices is not None:
        return indices[..., 0]
    try:
        with Image.open(io.BytesIO(content)) as file:
            stored, kind = _stored_mode(file), file.format
            lossy = "jpeg" in str(file.info.get("compression", ""))
            label = np.array(file)[..., :3] if file.mode == "RGBA" else np.array(file)
            label = label[..., 0] if file.mode in ("LA", "PA") else label
            if label.ndim == 3 and (file.mode not in ("RGB", "RGBA") or ";16" in stored):
                raise ValueError(f"colours of the kind {stored}, expected RGB of 8 bits")
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's errors for damaged files
        raise DataError(f"{path}: not a readable label image ({error}); convert it again") from error
    if lossy or kind not in ("PNG", "TIFF", "BMP", "GIF"):
        raise DataError(
            f"{path}: a {kind} file{' with JPEG inside' if lossy else ''}, whose compression may change "
            "label values; store labels as PNG, TIFF or BMP"
        )
    if not (label.dtype == bool or np.issubdtype(label.dtype, np.integer)) or stored in INVERTED:
        raise DataError(
            f"{path}: the label holds {label.dtype} values ({stored}), expected whole numbers; write them as "
            "8- or 16-bit integers"
        )
    if bits := re.fullmatch(r"L;([24])R?", stored):  # Pillow has stretched them to 255
        label = label // (255 // (2 ** int(bits[1]) - 1))
    return label.astype(np.uint8) if label.dtype == bool else label


def _stored_mode(file: Image.Image) -> str:
    """How the pixels lie in the file, in Pillow's words: ``L;4`` for four bits of grey."""
    tiles = getattr(file, "tile", ())
    arguments = tiles[0][3] if tiles else file.mode
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments or file.mode)


@TRANSFORMS.register_module()
class LoadImage(Transform):
    """Read ``img_path`` and set ``img``, the shapes and, with ``pseudo_margins``, ``valid_pseudo_mask``.

    The pipelines of training, test and one's own images need the same arguments.

    Args:
        value_range, percentiles, bands: See :func:`read_image`.
        orientation: ``'exif'``: turn images as the camera noted it, ``'raw'``: leave them as they are stored.
            None turns them as well, but refuses a labelled image whose label could be meant for either.
    """

    def __init__(
        self,
        value_range: Sequence[float] | None = None,
        percentiles: Sequence[float] | None = None,
        bands: Sequence[int] | None = None,
        orientation: str | None = None,
    ) -> None:
        for name, pair in (("value_range", value_range), ("percentiles", percentiles)):
            if pair is not None and not (_are_numbers(pair) and len(pair) == 2 and pair[0] < pair[1]):
                raise ConfigError(f"pipeline: LoadImage {name}={pair!r}, expected (lower, higher)")
        if percentiles is not None and not 0 <= percentiles[0] < percentiles[1] <= 100:
            raise ConfigError(f"pipeline: LoadImage percentiles={percentiles!r}, expected 0 to 100")
        if value_range is not None and percentiles is not None:
            raise ConfigError("pipeline: LoadImage takes value_range or percentiles, not both")
        if bands is not None and not (_are_numbers(bands) and len(bands) == 3 and min(bands) >= 0):
            raise ConfigError(f"pipeline: LoadImage bands={bands!r}, expected three numbers from 0 on")
        if orientation not in (None, "exif", "raw"):
            raise ConfigError(f"pipeline: LoadImage orientation={orientation!r}, expected 'exif' or 'raw'")
        self.orientation = orientation
        self.bands = (0, 1, 2) if bands is None else tuple(bands)
        settings: dict[str, Any] = dict(value_range=value_range, percentiles=percentiles, bands=bands)
        self._settings: dict[str, Any] = {
            name: tuple(value) for name, value in settings.items() if value is not None
        }
        if orientation == "raw":
            self._settings["turn"] = False

    @classmethod
    def of(cls, pipeline: Iterable[Transform | Mapping[str, Any]]) -> LoadImage:
        """The one in a pipeline of transforms or their configs, or one without arguments."""
        for step in pipeline:
            if isinstance(step, LoadImage):
                return step
            if isinstance(step, Mapping) and step.get("type") in ("LoadImage", LoadImage):
                return cls(**{key: value for key, value in step.items() if key != "type"})
        return cls()

    def read(self, path: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB pixels of an image file."""
        return read_image(path, **self._settings)

    def size(self, path: str) -> tuple[int, int]:
        """(width, height) of an image file, without decoding it."""
        with Image.open(path) as file:
            width, height = file.size
        turned = self.orientation != "raw" and orientation_of(path) in _SIDEWAYS
        return (height, width) if turned else (width, height)

    def __call__(self, results: Results) -> Results:
        image = self.read(results["img_path"])
        shape = image.shape[:2]
        results.update(img=image, ori_shape=shape, img_shape=shape, scale_factor=(1.0, 1.0), flip=False)
        if self.orientation is None and results["seg_map_path"] is not None:
            self._check_orientation(results["img_path"], *shape)
        if results.get("pseudo_margins") is not None:
            results["valid_pseudo_mask"] = results["pseudo_margins"].mask(*shape)
        return results

    @staticmethod
    def _check_orientation(path: str, height: int, width: int) -> None:
        """Refuse an image whose label has its size whether it was turned or not."""
        orientation = _noted_orientation(path)
        if orientation != 1 and not (orientation in _SIDEWAYS and height != width):
            raise DataError(
                f"{path}: has the EXIF orientation {orientation}, and a label drawn on the image as it is "
                f"stored would have the same size; {ORIENTATION_REMEDY}"
            )


@TRANSFORMS.register_module()
class LoadLabel(Transform):
    """Read ``seg_map_path`` and set ``gt_semantic_seg``; a sample without label passes unchanged.

    Before :class:`Resize` the label is resized with the image, as training needs it; behind it the label
    keeps the size of its file, as evaluation needs it.

    Raises:
        DataError: The label is unreadable, has another size than its image, or holds a value that is no
            class.
    """

    def __call__(self, results: Results) -> Results:
        if results["seg_map_path"] is not None:
            _, results["gt_semantic_seg"] = self.read(results)
        return results

    def read(self, results: Results) -> tuple[np.ndarray, np.ndarray]:
        """Values as they are in the file, (H, W) or (H, W, 3), and classes, (H, W) uint8.

        Without ``ori_shape`` the size is not compared with that of the image.
        """
        path: str = results["seg_map_path"]
        label = raw = read_label(path)
        if "ori_shape" in results:
            self._check_size(label, path, results)
        lookup = results.get("id_lookup")
        if isinstance(lookup, ColorTable) != (label.ndim == 3):
            found, remedy = (
                (f"{label.shape[-1]} channels", "name the colours in id_map, as id_map={(128, 64, 128): 0}")
                if label.ndim == 3
                else ("one channel", "id_map names colours: give it the numbers instead")
            )
            raise DataError(
                f"{path}: the label has {found}, expected {'one' if label.ndim == 3 else 'three'}; {remedy}"
            )
        if lookup is not None:
            label = lookup(label) if isinstance(lookup, ColorTable) else _map_ids(label, lookup, path)
        self._check_values(label, results["num_classes"], path)
        return raw, label.astype(np.uint8, copy=False)

    @staticmethod
    def _check_size(label: np.ndarray, path: str, results: Results) -> None:
        (label_height, label_width), (height, width) = label.shape[:2], results["ori_shape"]
        if (label_height, label_width) == (height, width):
            return
        problem = (
            f"{path}: the label is {label_width}x{label_height} pixels, its image {results['img_path']} is "
            f"{width}x{height}"
        )
        if (label_height, label_width) == (width, height) and _noted_orientation(results["img_path"]) != 1:
            raise DataError(f"{problem}, since it was turned; {ORIENTATION_REMEDY}")
        raise DataError(
            f"{problem}; copy or convert them again, or name all other pairs in a file, the split of the "
            "data set (tools/verify_dataset.py finds all such pairs)"
        )

    @staticmethod
    def _check_values(label: np.ndarray, num_classes: int, path: str) -> None:
        if label.dtype == np.uint8 and (label + np.uint8(1)).max() <= num_classes:
            return  # 255 + 1 is 0: the common case in one pass
        outside = ((label >= num_classes) | (label < 0)) & (label != IGNORE_INDEX)
        if outside.any():
            values = ", ".join(map(str, np.unique(label[outside])[:10].tolist()))
            raise DataError(
                f"{path}: label values {values} found, expected 0 to {num_classes - 1} or {IGNORE_INDEX}; "
                "convert the labels to train ids or set id_map and classes of the data set"
            )


def _are_numbers(value: Any) -> bool:
    numbers = isinstance(value, Sequence) and all(isinstance(each, int | float) for each in value)
    return numbers and not isinstance(value, str)


def _noted_orientation(path: str) -> int:
    """As :func:`orientation_of`; files that cannot hold a note are not opened a second time."""
    content = _read_bytes(path)
    if content[:4] in _TIFF_SIGNATURES or any(
        word in content for word in (b"Exif", b"EXIF", _PNG_ORIENTATION)
    ):
        return orientation_of(path)
    return 1


class ColorTable:
    """Classes by colour, for RGB labels; other colours are ignored.

    Args:
        classes: (red, green, blue) -> class or 255.
    """

    def __init__(self, classes: Mapping[tuple[int, int, int], int]) -> None:
        keys = {(r << 16) | (g << 8) | b: c for (r, g, b), c in classes.items()}
        self.keys = np.array(sorted(keys), np.int32)
        self.classes = np.array([keys[key] for key in self.keys.tolist()], np.uint8)

    def __call__(self, label: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 colours → (H, W) uint8 classes."""
        red, green, blue = (label[..., band].astype(np.int32) for band in range(3))
        packed = (red << 16) | (green << 8) | blue
        place = np.searchsorted(self.keys, packed).clip(max=len(self.keys) - 1)
        return np.where(self.keys[place] == packed, self.classes[place], np.uint8(IGNORE_INDEX))

    def items(self) -> Iterator[tuple[tuple[int, int, int], int]]:
        """(red, green, blue) and class of each colour."""
        for key, c in zip(self.keys.tolist(), self.classes.tolist(), strict=True):
            yield (key >> 16, key >> 8 & 255, key & 255), c

    def tolist(self) -> list[list[int]]:
        """(red, green, blue, class) of each colour."""
        return [[*color, c] for color, c in self.items()]


def _map_ids(label: np.ndarray, lookup: np.ndarray, path: str) -> np.ndarray:
    """Look up the train id of every raw id; ids beyond the table are ignored like unlisted ones."""
    if label.min() < 0:
        raise DataError(f"{path}: negative label value {label.min()}; raw ids have to be 0 or larger")
    if label.dtype != np.uint8:
        label = np.minimum(label, len(lookup) - 1)  # the last entry is 255
    return lookup[label]
