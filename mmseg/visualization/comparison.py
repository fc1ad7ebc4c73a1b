"""Side-by-side pictures of several networks on the same images."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmseg.visualization.palette_image import Palette, colorize

CAPTION_HEIGHT = 22
GAP = 4


def draw_comparison(
    images: Sequence[np.ndarray],
    columns: dict[str, Sequence[np.ndarray]],
    palette: Palette,
    path: Path,
    width: int = 384,
) -> None:
    """Write one PNG: a row per image, a column for the image and for each set of label maps.

    Args:
        images: (H, W, 3) uint8 RGB.
        columns: Caption -> one (H, W) label map per image (truth, predictions of a method, …); 255 is black.
        palette: RGB of each class.
        path: File to write.
        width: Width of a tile in pixels; the height follows each image.
    """
    captions = ["image", *columns]
    header = np.full((CAPTION_HEIGHT, len(captions) * (width + GAP) - GAP, 3), 255, np.uint8)
    for index, caption in enumerate(captions):
        origin = (index * (width + GAP) + 4, 15)
        cv2.putText(header, caption, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    rows = [header]
    for index, image in enumerate(images):
        height = round(image.shape[0] * width / image.shape[1])
        tiles = [cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)]
        for labels in columns.values():
            label = cv2.resize(labels[index], (width, height), interpolation=cv2.INTER_NEAREST)
            tiles.append(colorize(label, palette))
        gap = np.full((height, GAP, 3), 255, np.uint8)
        row = np.hstack([part for tile in tiles for part in (tile, gap)][:-1])
        rows += [row, np.full((GAP, row.shape[1], 3), 255, np.uint8)]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.vstack(rows[:-1])[..., ::-1])
