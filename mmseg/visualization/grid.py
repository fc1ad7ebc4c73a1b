"""Grids of captioned pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mmseg.visualization.palette_image import Palette, Pixels, color_table, colorize, save_picture

LINE_HEIGHT = 18
GAP = 4
MIN_WIDTH = 240
"""Columns are at least this wide, so that captions of small crops can be read."""
MAX_COLUMNS = 9
"""As many pictures of a comparison stand side by side; further ones stand below."""
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
    names: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> None:
    """Write several networks side by side: a row per image, a column for it and for each set of labels; those
    beyond ``MAX_COLUMNS`` stand below.

    Args:
        images: (H, W, 3) uint8 RGB.
        columns: Caption, of one or more lines -> one (H, W) label map per image (truth, predictions of a
            method, …); 255 is black.
        palette: RGB of each class.
        path: PNG file to write.
        width: Width of a tile in pixels; the height follows each image.
        names: Of the images.
        classes: Their names; those that occur are explained below the pictures.
    """
    rows: list[list[Tile]] = []
    for index, image in enumerate(images):
        size = (width, round(image.shape[0] * width / image.shape[1]))
        name = names[index] if names else "" if rows else "image"
        row = [Tile(cv2.resize(image, size, interpolation=cv2.INTER_AREA), (name,) if name else ())]
        for caption, labels in columns.items():
            label = cv2.resize(labels[index], size, interpolation=cv2.INTER_NEAREST)
            row.append(Tile(colorize(label, palette), () if rows else caption.splitlines()))
        rows.append(row)
    starts = range(0, len(columns) + 1, MAX_COLUMNS)
    grid = draw_grid([row[start : start + MAX_COLUMNS] for start in starts for row in rows])
    if classes:
        values = [np.unique(label) for labels in columns.values() for label in labels]
        entries = {
            classes[value] if value < len(classes) else "ignored": color_table(palette)[value].tolist()
            for value in sorted({int(value) for found in values for value in found})
        }
        grid = np.concatenate([grid, draw_legend(entries, grid.shape[1])])
    save_picture(path, grid)


def draw_legend(entries: Mapping[str, Sequence[int]], width: int) -> Pixels:
    """Names beside their colours, in as many columns as fit.

    Args:
        entries: Name -> RGB.
        width: Of the picture in pixels.

    Returns:
        (H, ``width``, 3) uint8 RGB.
    """
    text_width = max((cv2.getTextSize(name, FONT, SIZE, 1)[0][0] for name in entries), default=0)
    cell = min(width, LINE_HEIGHT + text_width + 4 * GAP)
    per_line = width // cell
    legend = np.full((GAP + LINE_HEIGHT * -(-len(entries) // per_line), width, 3), BACKGROUND, np.uint8)
    for index, (name, color) in enumerate(entries.items()):
        top, left = GAP + LINE_HEIGHT * (index // per_line), cell * (index % per_line)
        legend[top : top + LINE_HEIGHT - GAP, left + GAP : left + LINE_HEIGHT] = color
        _draw_caption(legend[top : top + LINE_HEIGHT, left + LINE_HEIGHT + GAP : left + cell], (name,))
    return legend
