"""Grids of captioned pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mmseg.visualization.palette_image import Palette, Pixels, colorize, save_picture

LINE_HEIGHT = 18
GAP = 4
MIN_WIDTH = 240
"""Columns are at least this wide, so that captions of small crops can be read."""
BACKGROUND = 225
"""Grey between the tiles, so that white masks have an edge."""
FONT, SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.42


@dataclass(frozen=True)
class Tile:
    """A picture, (H, W, 3) uint8 RGB, and the lines above it."""

    image: npt.NDArray
    caption: Sequence[str] = ()


def draw_grid(rows: Sequence[Sequence[Tile]]) -> Pixels:
    """One picture of all tiles; no tile is resized.

    A tile stands below the captions of its row, ``LINE_HEIGHT`` pixels for each line of the longest one, at
    the left edge of its column.

    Args:
        rows: Rows of tiles, top to bottom; a short row leaves its end empty.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    num_columns = max(len(row) for row in rows)
    columns = [[row[i].image for row in rows if i < len(row)] for i in range(num_columns)]
    widths = [max(MIN_WIDTH, *(image.shape[1] for image in column)) for column in columns]
    captions = [LINE_HEIGHT * max(len(tile.caption) for tile in row) for row in rows]
    heights = [
        max(tile.image.shape[0] for tile in row) + caption
        for row, caption in zip(rows, captions, strict=True)
    ]
    height, width = (sum(lengths) + GAP * (len(lengths) - 1) for lengths in (heights, widths))
    grid = np.full((height, width, 3), BACKGROUND, np.uint8)
    top = 0
    for row, caption, height in zip(rows, captions, heights, strict=True):
        left = 0
        for tile, width in zip(row, widths, strict=False):
            _draw_caption(grid[top : top + caption, left : left + width], tile.caption)
            tile_height, tile_width = tile.image.shape[:2]
            first = top + caption
            grid[first : first + tile_height, left : left + tile_width] = tile.image
            left += width + GAP
        top += height + GAP
    return grid


def _draw_caption(area: Pixels, lines: Sequence[str]) -> None:
    strip = np.full_like(area, BACKGROUND)
    for index, line in enumerate(lines):
        origin = (2, LINE_HEIGHT * (index + 1) - 5)
        cv2.putText(strip, fitting(line, area.shape[1] - 4), origin, FONT, SIZE, (0, 0, 0), 1, cv2.LINE_AA)
    area[:] = strip


def fitting(text: str, width: int) -> str:
    """A text that is at most ``width`` pixels wide; of a longer one the end, which tells files apart."""
    shown = text
    for start in range(1, len(text)):
        if cv2.getTextSize(shown, FONT, SIZE, 1)[0][0] <= width:
            break
        shown = f"...{text[start:]}"
    return shown


def write_grid(path: Path, rows: Sequence[Sequence[Tile]]) -> None:
    """Write :func:`draw_grid` as a PNG; its folder is made if missing.

    Raises:
        OSError: It cannot be written.
    """
    save_picture(path, draw_grid(rows))


def draw_comparison(
    images: Sequence[Pixels],
    columns: Mapping[str, Sequence[Pixels]],
    palette: Palette,
    path: Path,
    width: int = 384,
) -> None:
    """Write several networks side by side: a row per image, a column for it and for each set of labels.

    Args:
        images: (H, W, 3) uint8 RGB.
        columns: Caption -> one (H, W) label map per image (truth, predictions of a method, …); 255 is black.
        palette: RGB of each class.
        path: PNG file to write.
        width: Width of a tile in pixels; the height follows each image.
    """
    rows: list[list[Tile]] = []
    for index, image in enumerate(images):
        size = (width, round(image.shape[0] * width / image.shape[1]))
        pictures: dict[str, npt.NDArray] = {"image": cv2.resize(image, size, interpolation=cv2.INTER_AREA)}
        for caption, labels in columns.items():
            label = cv2.resize(labels[index], size, interpolation=cv2.INTER_NEAREST)
            pictures[caption] = colorize(label, palette)
        rows.append([Tile(picture, () if rows else (name,)) for name, picture in pictures.items()])
    write_grid(path, rows)
