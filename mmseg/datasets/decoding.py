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
import tifffile
from PIL import Image, ImageOps

from mmseg.errors import DataError

try:  # comes with kornia
    from kornia_rs.io import decode_image_png_u8
except ImportError:  # not needed, only faster
    decode_image_png_u8 = None


INVERTED = ("1;I", "L;I", "L;2I", "L;4I", "1;IR", "L;IR", "L;2IR", "L;4IR")
"""Pillow's words for files in which 0 is white."""
FORMATS = ("PNG", "JPEG", "TIFF", "WebP", "BMP")
_EXIF_ORIENTATION = 0x0112
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
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
    reason = ""
    try:
        image = _decode(content, bands is not None, turn)
    except ValueError as error:
        image, reason = None, f": {error}"
    if image is None:
        raise DataError(
            f"{path}: not a readable image{reason} (expected {', '.join(FORMATS)}); copy, download or "
            "convert it again"
        )
    if image.ndim == 2:
        image = np.stack([image] * 3, axis=-1)
    else:
        image = _blue_first(image)
    if bands is not None:
        if max(bands) >= image.shape[-1]:
            raise DataError(f"{path}: has {image.shape[-1]} bands; LoadImage asks for bands={tuple(bands)}")
        image = image[..., list(bands)]
    if image.shape[-1] < 3:
        raise DataError(f"{path}: has two bands, expected one or three; say e.g. LoadImage bands=(0, 1, 1)")
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
    """As :func:`_decode`, by the first library that gives all bands in all bits.

    Raises:
        ValueError: None of those that are installed does.
    """
    try:
        page: Any = tifffile.TiffFile(io.BytesIO(content)).pages[0]
        bits, samples = page.bitspersample, page.samplesperpixel
        is_palette, is_planar = page.photometric == 3, page.planarconfig == 2 and samples > 1
        opencv_knows_it = not is_planar and samples <= 4 and page.sampleformat in (1, 2, 3)
    except Exception:  # a damaged header ends in errors of many classes
        return None
    with suppress(OSError, SyntaxError, ValueError), Image.open(io.BytesIO(content)) as file:
        # OpenCV would multiply colours by the fourth band, and does not know few bits
        if (file.mode in ("RGBA", "RGBX") and bits == 8 and not is_planar) or (file.mode == "L" and bits < 8):
            return _blue_first(np.asarray(ImageOps.exif_transpose(file) if turn else file))
    color = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | orientation
    with suppress(cv2.error):
        flag = cv2.IMREAD_UNCHANGED if turn else color
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flag) if opencv_knows_it else None
        channels = 0 if image is None else 1 if image.ndim == 2 else image.shape[-1]
        exact = image is not None and image.dtype.itemsize * 8 >= bits
        if exact and (is_palette or channels == samples or (samples == 1 and not turn)):
            return np.asarray(image)
    if turn and (turned := page.tags.valueof(_EXIF_ORIENTATION, 1)) != 1:
        raise ValueError(f"{samples} bands with the EXIF orientation {turned}; store it upright")
    try:
        image = page.asarray()
    except Exception as error:  # of many classes, as above
        remedy = "; run: pip install imagecodecs" if "imagecodecs" in str(error) else ""
        raise ValueError(f"{error}{remedy}") from error
    if not np.isrealobj(image):
        raise ValueError(f"{image.dtype} values")
    return _blue_first(np.moveaxis(image, 0, -1) if is_planar else image)


def _blue_first(image: np.ndarray) -> np.ndarray:
    """Red, green, blue and further bands in OpenCV's order, or the other way round."""
    order = [2, 1, 0, *range(3, image.shape[-1])] if image.shape[-1] > 2 else [0, 1]
    return image if image.ndim == 2 else image[..., order]


class ImageHeader(NamedTuple):
    """What an image file says of itself: (width, height) as stored, pages, bands, format in Pillow's word."""

    size: tuple[int, int]
    pages: int
    bands: int
    format: str | None


def read_header(path: str) -> ImageHeader:
    """Header of an image file, without decoding it.

    Raises:
        OSError: It is no image.
    """
    try:
        with Image.open(path) as file:
            return ImageHeader(file.size, getattr(file, "n_frames", 1), len(file.getbands()), file.format)
    except OSError:
        try:  # Pillow knows no TIFF with more than four bands
            with tifffile.TiffFile(path) as tiff:
                page: Any = tiff.pages[0]
                size = (page.imagewidth, page.imagelength)
                return ImageHeader(size, len(tiff.pages), page.samplesperpixel, "TIFF")
        except (tifffile.TiffFileError, IndexError):
            pass
        raise


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


def noted_orientation(path: str) -> int:
    """As :func:`orientation_of`; files that cannot hold a note are not opened a second time."""
    content = _read_bytes(path)
    if content[:4] in _TIFF_SIGNATURES or any(
        word in content for word in (b"Exif", b"EXIF", _PNG_ORIENTATION)
    ):
        return orientation_of(path)
    return 1
