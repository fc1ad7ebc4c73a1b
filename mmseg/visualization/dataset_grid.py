"""Grids of captioned pictures whose pixels are shown as they are."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mmseg.visualization.palette_image import Pixels

LINE_HEIGHT = 18
CAPTION_LINES = 2
CAPTION_HEIGHT = CAPTION_LINES * LINE_HEIGHT
GAP = 4
MIN_WIDTH = 240
"""Columns are at least this wide, so that captions of small crops can be read."""
BACKGROUND = 225
"""Grey between the tiles, so that white masks have an edge."""
FONT, SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.42


@dataclass(frozen=True)
class Tile:
    """A picture, (H, W, 3) uint8 RGB, and the lines above it."""

    image: Pixels
    caption: Sequence[str]


def draw_grid(rows: Sequence[Sequence[Tile]]) -> Pixels:
    """One picture of all tiles; no tile is resized.

    The picture of a tile begins ``CAPTION_HEIGHT`` pixels below the top of its row, at the left edge of its
    column.

    Args:
        rows: Rows of tiles, top to bottom; a short row leaves its end empty.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    num_columns = max(len(row) for row in rows)
    columns = [[row[i].image for row in rows if i < len(row)] for i in range(num_columns)]
    widths = [max(MIN_WIDTH, *(image.shape[1] for image in column)) for column in columns]
    heights = [max(tile.image.shape[0] for tile in row) + CAPTION_HEIGHT for row in rows]
    height, width = (sum(lengths) + GAP * (len(lengths) - 1) for lengths in (heights, widths))
    grid = np.full((height, width, 3), BACKGROUND, np.uint8)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for tile, width in zip(row, widths, strict=False):
            _draw_caption(grid[top : top + CAPTION_HEIGHT, left : left + width], tile.caption)
            tile_height, tile_width = tile.image.shape[:2]
            first = top + CAPTION_HEIGHT
            grid[first : first + tile_height, left : left + tile_width] = tile.image
            left += width + GAP
        top += height + GAP
    return grid


def _draw_caption(area: Pixels, lines: Sequence[str]) -> None:
    strip = np.full_like(area, BACKGROUND)
    for index, line in enumerate(lines[:CAPTION_LINES]):
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
