"""Label maps as pictures."""

import errno
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from mmseg.checkpoints.atomic import replacing
from mmseg.errors import ConfigError

Palette = Sequence[Sequence[int]]
Pixels = npt.NDArray[np.uint8]


def color_table(palette: Palette) -> Pixels:
    """Colour of each label value, shape (256, 3); black beyond the palette."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    return table


def colorize(label_map: npt.NDArray, palette: Palette) -> Pixels:
    """Colours of a label map.

    Args:
        label_map: Shape (H, W), values 0 … 255; values beyond the palette (ignore) become black.
        palette: RGB of each class, 0 … 255.

    Returns:
        Shape (H, W, 3), uint8 RGB.
    """
    return color_table(palette)[label_map.astype(np.uint8)]


def save_palette_png(path: str | Path, label_map: Pixels, palette: Palette) -> None:
    """Write train ids as an indexed PNG: programs read the ids, viewers show the colours.

    Args:
        path: File to write; its folder must exist.
        label_map: Shape (H, W), uint8; values beyond the palette are shown black.
        palette: RGB of each class, 0 … 255.

    Raises:
        ValueError: The label map is not two-dimensional uint8.
    """
    if label_map.ndim != 2 or label_map.dtype != np.uint8:
        raise ValueError(f"label map of shape {label_map.shape}, {label_map.dtype}; expected (H, W), uint8")
    image = Image.fromarray(label_map)
    image.putpalette(color_table(palette).ravel().tolist())  # turns the grey image into an indexed one
    save_png(path, image)


def save_grey_png(path: str | Path, values: npt.NDArray[np.floating]) -> None:
    """Write numbers as a grey picture.

    Args:
        path: File to write; its folder must exist.
        values: Shape (H, W); 0 is black, 1 is white, values beyond are clipped.
    """
    save_png(path, Image.fromarray((255 * values).round().clip(0, 255).astype(np.uint8)))


def save_png(path: str | Path, image: Image.Image) -> None:
    """Write a picture as PNG, whole or not at all; its folder is made if missing.

    Raises:
        OSError: It cannot be written.
    """
    with replacing(path, flush=False) as temporary:
        image.save(temporary, format="PNG")


def save_picture(path: Path, picture: Pixels) -> None:
    """Write (H, W, 3) uint8 RGB pixels in the format that the suffix names, whole or not at all.

    Raises:
        OSError: It cannot be written, or there is no such format.
    """
    try:
        written, content = cv2.imencode(path.suffix, picture[..., ::-1])
    except cv2.error:
        written = False
    if not written:
        raise OSError(errno.EINVAL, f"no picture of this size in a format {path.suffix!r}", str(path))
    with replacing(path, flush=False) as temporary:
        temporary.write_bytes(content.tobytes())


def blend(image_rgb: Pixels, label_map: Pixels, palette: Palette, opacity: float = 0.5) -> Pixels:
    """Mix an image with the colours of its labels.

    Args:
        image_rgb: Shape (H, W, 3), uint8.
        label_map: Shape (H, W), uint8. Where it is no class of the palette, the image stays as it is.
        palette: RGB of each class, 0 … 255.
        opacity: Share of the label colours, 0 … 1.

    Returns:
        Shape (H, W, 3), uint8 RGB.

    Raises:
        ConfigError: The opacity is outside 0 … 1.
        ValueError: Image and label map differ in size.
    """
    if not 0 <= opacity <= 1:
        raise ConfigError(
            f"opacity {opacity}; expected a number from 0 (only the image) to 1 (only the labels)"
        )
    if image_rgb.shape != (*label_map.shape, 3):
        raise ValueError(f"image of shape {image_rgb.shape} for a label map of shape {label_map.shape}")
    mixed = (1 - opacity) * image_rgb + opacity * color_table(palette)[label_map]
    is_class = (label_map < len(palette))[..., None]
    return np.where(is_class, mixed.round().astype(np.uint8), image_rgb)
