"""From image files to arrays, with an explanation for every file that cannot be read exactly."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mmseg.datasets.tiff import (
    ORIENTATION_TAG,
    TIFF_SIGNATURES,
    decode_tiff,
    open_tiff,
    open_upright,
    red_first,
)
from mmseg.errors import DataError

try:  # comes with kornia
    from kornia_rs.io import decode_image_png_u8
except ImportError:  # not needed, only faster
    decode_image_png_u8 = None


cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the errors here say it, with the path
INVERTED = ("1;I", "L;I", "L;2I", "L;4I", "1;IR", "L;IR", "L;2IR", "L;4IR")
"""Pillow's words for files in which 0 is white."""
FEW_VALUES, FLAT_SHARE = 64, 0.8
"""More values or colours than classes can have, and the share of pixels like their neighbours in labels."""
FORMATS = ("PNG", "JPEG", "TIFF", "WebP", "BMP")
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
_PNG_SIGNATURE, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
_JPEG_SIGNATURE, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_TAIL = 4096  # some cameras append data behind the end marker
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")  # of a PNG
_TEXT_NOTES = (b"Raw profile type exif", b"XML:com.adobe.xmp")  # texts that may hold an orientation
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
    is_plain = depth == 8 and colour_type in colour_types and not _png_has_note(content)
    if not is_plain or width * height > _LARGEST_PNG:
        return None
    try:
        return decode_image_png_u8(content, (height, width), mode)
    except Exception:  # kornia_rs knows no other class
        return None


class Stored(NamedTuple):
    """What an image file holds.

    Attributes:
        pixels: (H, W) or (H, W, 3), as they lie in the file.
        orientation: A camera's note of how it was held (EXIF orientation), 1 to 8; 1 where there is none.
    """

    pixels: np.ndarray
    orientation: int

    @property
    def upright(self) -> np.ndarray:
        """The pixels turned and mirrored as the note says."""
        pixels = self.pixels.swapaxes(0, 1) if self.orientation in SIDEWAYS else self.pixels
        rows = slice(None, None, -1 if self.orientation in (3, 4, 7, 8) else 1)
        columns = slice(None, None, -1 if self.orientation in (2, 3, 6, 7) else 1)
        return np.ascontiguousarray(pixels[rows, columns])


def stored_image(
    path: str,
    value_range: tuple[float, float] | None = None,
    percentiles: tuple[float, float] | None = None,
    bands: Sequence[int] | None = None,
) -> Stored:
    """Decode an image file; of several pages the first.

    Args:
        path: PNG, JPEG, TIFF, WebP or BMP.
        value_range: In an image deeper than 8 bits, the values that become 0 and 255.
        percentiles: Instead, the shares of its values (in percent) that lie below these two; of the bands
            that are used, without infinite values and those that are no number.
        bands: Which three bands are red, green and blue, counted from 0; None: the first three.

    Returns:
        (H, W, 3) uint8 RGB pixels.

    Raises:
        DataError: The file is missing, truncated or no image; it is deeper than 8 bits and nobody said which
            values are black and white; it has other bands.
    """
    content = _read_bytes(path)
    if bands is None:
        image = _decode_png(content, (_PNG_RGB,), "rgb")
        if image is not None:
            return Stored(image, 1)
    try:
        image, orientation = _decode(content, bands is not None)
    except ValueError as error:
        reason = f": {error}" if str(error) else ""
        raise DataError(
            f"{path}: not a readable image{reason} (expected {', '.join(FORMATS)}); copy, download or "
            "convert it again"
        ) from error
    if image.ndim == 2:
        image = np.stack([image] * 3, axis=-1)
    if bands is not None and max(bands) >= image.shape[-1]:
        raise DataError(f"{path}: has {image.shape[-1]} bands; LoadImage asks for bands={tuple(bands)}")
    if bands is None and image.shape[-1] < 3:
        raise DataError(f"{path}: has two bands, expected one or three; say e.g. LoadImage bands=(0, 1, 1)")
    image = image[..., :3] if bands is None else image[..., list(bands)]
    if image.dtype != np.uint8:
        image = _to_8_bits(image, path, value_range, percentiles)
    return Stored(np.ascontiguousarray(image), orientation)


def read_image(path: str, **settings: Any) -> np.ndarray:
    """(H, W, 3) uint8 RGB pixels of an image file, turned upright; settings as of :func:`stored_image`."""
    return stored_image(path, **settings).upright


def _decode(content: bytes, all_bands: bool) -> tuple[np.ndarray, int]:
    """(H, W) or (H, W, bands) pixels in the depth of the file, not turned, and the note of orientation.

    Raises:
        ValueError: No library can read it.
    """
    if content[:4] in TIFF_SIGNATURES:
        tiff = open_tiff(content)
        return decode_tiff(tiff), tiff.orientation
    colours = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    flags = cv2.IMREAD_UNCHANGED if all_bands else colours
    image = None
    with suppress(cv2.error):
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if content else None
    if image is None:
        raise ValueError
    return red_first(np.asarray(image)), _noted_orientation(content)


def _noted_orientation(content: bytes) -> int:
    """What a file other than TIFF says of its orientation; 1 where it says nothing or nonsense."""
    if content.startswith(_PNG_SIGNATURE) and not _png_has_note(content):
        return 1  # Pillow would decode it to look behind the pixels
    try:
        with Image.open(io.BytesIO(content)) as file:
            found = file.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # damaged notes end in errors of many classes
        return 1
    return found if found in range(1, 9) else 1


def _png_has_note(content: bytes) -> bool:
    """Whether a PNG has a chunk that may tell its orientation."""
    place = len(_PNG_SIGNATURE)
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        if kind == b"eXIf" or (kind in _TEXT_CHUNKS and content.startswith(_TEXT_NOTES, place + 8)):
            return True
        place += length + 12  # with length, kind and checksum
    return False


class ImageHeader(NamedTuple):
    """What an image file says of itself: (width, height) as stored, pages, bands, format in Pillow's word,
    EXIF orientation."""

    size: tuple[int, int]
    pages: int
    bands: int
    format: str | None
    orientation: int


def read_header(path: str) -> ImageHeader:
    """Header of an image file, without decoding it.

    Raises:
        OSError: It is no image.
    """
    content = Path(path).read_bytes()
    if content[:4] in TIFF_SIGNATURES:
        try:
            tiff = open_tiff(content)
        except ValueError as error:
            raise OSError(f"{path}: {error}") from error
        size = (tiff.page.imagewidth, tiff.page.imagelength)
        return ImageHeader(size, tiff.pages, tiff.page.samplesperpixel, "TIFF", tiff.orientation)
    with Image.open(io.BytesIO(content)) as file:
        pages, bands = getattr(file, "n_frames", 1), len(file.getbands())
        return ImageHeader(file.size, pages, bands, file.format, _noted_orientation(content))


def _to_8_bits(
    image: np.ndarray,
    path: str,
    value_range: tuple[float, float] | None,
    percentiles: tuple[float, float] | None,
) -> np.ndarray:
    used = image[np.isfinite(image)]
    if not used.size:
        raise DataError(
            f"{path}: holds no finite number, all {image.size} values are NaN or infinite; write it again or "
            "leave it out"
        )
    if value_range is not None:
        low, high = value_range
    elif percentiles is not None:
        low, high = np.percentile(used, percentiles)
    else:
        least, most = used.min(), used.max()
        low, high = (least, most) if least < most else (min(least, 0), max(most, 1))
        raise DataError(
            f"{path}: holds {image.dtype} values from {least:g} to {most:g}, expected 8 bits; say what is "
            "black and white in each pipeline that reads such images: "
            f"dict(type='LoadImage', value_range=({low:g}, {high:g})), the same for all images, or "
            "percentiles=(1, 99) of each image"
        )
    scaled = (image.astype(np.float32) - low) * (255 / max(high - low, 1e-12))
    return np.nan_to_num(scaled, nan=0.0).clip(0, 255).round().astype(np.uint8)


def seems_label(path: str) -> bool:
    """Whether an image file looks like a label map: few values, or mostly pixels like their neighbours.

    The second is for labels of many colours, and for those whose compression has changed values.
    """
    try:
        pixels, _ = _decode(_read_bytes(path), True)
    except (DataError, ValueError):
        return False
    rows = pixels[:: max(len(pixels) // 64, 1)]
    rows = rows.reshape(*rows.shape[:2], -1)
    if len(np.unique(rows.reshape(-1, rows.shape[-1]), axis=0)) <= FEW_VALUES:
        return True
    return float((rows[:, 1:] == rows[:, :-1]).all(-1).mean()) >= FLAT_SHARE


def stored_label(path: str) -> Stored:
    """Decode a label file, whose grey values or palette indices are the labels; colours stay colours.

    Returns:
        (H, W) uint8 or, for deeper files, another integer type; (H, W, 3) uint8 for an RGB file.

    Raises:
        DataError: The file is missing, truncated or no image, or does not hold whole numbers.
    """
    content = _read_bytes(path)
    indices = _decode_png(content, (_PNG_GREY, _PNG_PALETTE), "mono")
    if indices is not None:
        return Stored(indices[..., 0], 1)
    tiff = dtype = None
    try:
        if content[:4] in TIFF_SIGNATURES:
            tiff = open_tiff(content)
            dtype = tiff.page.dtype
            if dtype is None or dtype.kind not in "uib" or dtype.itemsize > 4:
                raise DataError(_no_whole_numbers(path, str(dtype or f"{tiff.page.bitspersample}-bit")))
        with open_upright(tiff) if tiff else Image.open(io.BytesIO(content)) as file:
            stored, kind = _stored_mode(file), file.format
            lossy = "jpeg" in str(file.info.get("compression", ""))
            label = np.array(file)[..., :3] if file.mode == "RGBA" else np.array(file)
            label = label[..., 0] if file.mode in ("LA", "PA") else label
            if label.ndim == 3 and (file.mode not in ("RGB", "RGBA") or ";16" in stored):
                raise ValueError(f"colours of the kind {stored}, expected RGB of 8 bits")
    except UnidentifiedImageError as error:  # whose text names no file but a buffer
        found = f"TIFF of {tiff.page.samplesperpixel} x {dtype}" if tiff else "none that is known"
        raise DataError(
            f"{path}: not a readable label image (the format is {found}); store labels as PNG, TIFF or BMP "
            "of 8 or 16 bits"
        ) from error
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's errors for damaged files
        raise DataError(
            f"{path}: not a readable label image ({error}); copy, download or convert it again"
        ) from error
    if lossy or kind not in ("PNG", "TIFF", "BMP", "GIF"):
        raise DataError(
            f"{path}: a {kind} file{' with JPEG inside' if lossy else ''}, whose compression may change "
            "label values; store labels as PNG, TIFF or BMP"
        )
    if stored in INVERTED:
        raise DataError(
            f"{path}: 0 is white in this file ({stored}), so that its values are not the label values; store "
            "it with 0 as black"
        )
    if not (label.dtype == bool or np.issubdtype(label.dtype, np.integer)):
        raise DataError(_no_whole_numbers(path, str(label.dtype)))
    if bits := re.fullmatch(r"L;([24])R?", stored):  # Pillow has stretched them to 255
        label = label // (255 // (2 ** int(bits[1]) - 1))
    if label.dtype == bool:
        label = label.astype(np.uint8)
    elif dtype is not None and dtype.itemsize == label.dtype.itemsize and dtype.kind != label.dtype.kind:
        label = label.view(dtype.newbyteorder("="))  # Pillow knows no signed bytes, no unsigned 32 bits
    return Stored(label, _noted_orientation(content) if tiff is None else tiff.orientation)


def read_label(path: str) -> np.ndarray:
    """The pixels of :func:`stored_label`, turned upright."""
    return stored_label(path).upright


def _no_whole_numbers(path: str, kind: str) -> str:
    return (
        f"{path}: the label holds {kind} values, expected integers of at most 32 bits; write them as 8- or "
        "16-bit integers"
    )


def _stored_mode(file: Image.Image) -> str:
    """How the pixels lie in the file, in Pillow's words: ``L;4`` for four bits of grey."""
    tiles = getattr(file, "tile", ())
    arguments = tiles[0][3] if tiles else file.mode
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments or file.mode)
