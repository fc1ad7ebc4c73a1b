"""TIFF files, of whose depths, bands and layouts no single library reads all."""

from __future__ import annotations

import io
import logging
from contextlib import suppress
from typing import Any, NamedTuple

import cv2
import numpy as np
import tifffile
from PIL import Image

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and BigTIFF."""
ORIENTATION_TAG = 0x0112
logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs what the errors here say with a path


class Tiff(NamedTuple):
    """First page of a TIFF file.

    Attributes:
        content: The file with its orientation set to upright: Pillow and OpenCV turn pixels on their own,
            in some layouts and not in others.
        page: What tifffile knows of it.
        pages: How many there are.
        orientation: As the file says, 1 to 8.
    """

    content: bytes
    page: Any
    pages: int
    orientation: int

    @property
    def is_planar(self) -> bool:
        """Whether bands lie one behind the other."""
        return self.page.planarconfig == 2 and self.page.samplesperpixel > 1


def open_tiff(content: bytes) -> Tiff:
    """Read the header of a TIFF file.

    Raises:
        ValueError: It is damaged.
    """
    try:
        file = tifffile.TiffFile(io.BytesIO(content))
        page: Any = file.pages[0]
        tag, pages = page.tags.get(ORIENTATION_TAG), len(file.pages)
    except Exception as error:  # of many classes
        raise ValueError(str(error)) from error
    if tag is None or tag.value not in range(2, 9):
        return Tiff(content, page, pages, 1)
    upright = (1).to_bytes(tag.valuebytecount, "little" if file.byteorder == "<" else "big")
    end = tag.valueoffset + len(upright)
    return Tiff(content[: tag.valueoffset] + upright + content[end:], page, pages, tag.value)


def decode_tiff(tiff: Tiff) -> np.ndarray:
    """Pixels by the first library that gives all bands in all bits.

    Returns:
        (H, W) or (H, W, bands) in the depth of the file, not turned.

    Raises:
        ValueError: None of those that are installed does.
    """
    page = tiff.page
    bits, samples = page.bitspersample, page.samplesperpixel
    if (samples == 4 and bits == 8 and not tiff.is_planar) or (samples == 1 and bits < 8):
        # OpenCV would multiply colours by the fourth band, and does not know few bits
        with suppress(OSError, SyntaxError, ValueError), open_upright(tiff) as file:
            if file.mode in ("RGBA", "RGBX", "L"):
                return np.asarray(file)
    if not tiff.is_planar and samples <= 4 and page.sampleformat in (1, 2, 3):
        with suppress(cv2.error):
            image = cv2.imdecode(np.frombuffer(tiff.content, np.uint8), cv2.IMREAD_UNCHANGED)
            channels = 0 if image is None else 1 if image.ndim == 2 else image.shape[-1]
            is_whole = channels == samples or page.photometric == tifffile.PHOTOMETRIC.PALETTE
            if image is not None and is_whole and image.dtype.itemsize * 8 >= bits:
                return red_first(np.asarray(image))
    try:
        image = page.asarray()
    except Exception as error:  # of many classes, as above
        remedy = "; run: pip install imagecodecs" if "imagecodecs" in str(error) else ""
        raise ValueError(f"{error}{remedy}") from error
    if not np.isrealobj(image):
        raise ValueError(f"{image.dtype} values")
    return np.moveaxis(image, 0, -1) if tiff.is_planar else image


def open_upright(tiff: Tiff) -> Image.Image:
    """Open a TIFF with Pillow, which does not turn it then.

    Raises:
        OSError: Pillow does not know this kind.
    """
    file = Image.open(io.BytesIO(tiff.content))
    file.getexif()[ORIENTATION_TAG] = 1  # or it would look for one in the XMP text
    return file


def red_first(image: np.ndarray) -> np.ndarray:
    """Bands in OpenCV's order (blue, green, red, further ones) as red, green, blue, further ones."""
    if image.ndim == 2 or image.shape[-1] < 3:
        return image
    return image[..., [2, 1, 0, *range(3, image.shape[-1])]]
