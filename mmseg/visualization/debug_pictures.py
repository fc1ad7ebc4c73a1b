"""Pictures of a training step."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from mmseg.visualization.palette_image import Palette, colorize

COLUMNS = 4
CAPTION_HEIGHT = 18


def to_rgb(picture: Tensor, denormalize: Callable[[Tensor], Tensor], palette: Palette) -> list[np.ndarray]:
    """Turn one entry of a step's pictures into RGB images.

    Args:
        picture: (B, 3, H, W) normalised image, (B, H, W) integer label map or (B, H, W) float weight in [0,
            1].
        denormalize: Maps normalised images to [0, 1].
        palette: RGB of each class.

    Returns:
        B arrays (H, W, 3) uint8.
    """
    if picture.dim() == 4:
        rgb = denormalize(picture.float()).clamp(0, 1).mul(255).byte()
        return list(rgb.permute(0, 2, 3, 1).cpu().numpy())
    if picture.dtype.is_floating_point or picture.dtype == torch.bool:
        grey = picture.float().clamp(0, 1).mul(255).byte().cpu().numpy()
        return [np.repeat(image[..., None], 3, axis=2) for image in grey]
    return [colorize(label, palette) for label in picture.cpu().numpy()]


def draw_step(
    pictures: dict[str, Tensor],
    denormalize: Callable[[Tensor], Tensor],
    palette: Palette,
    out_dir: Path,
    prefix: str,
) -> list[Path]:
    """Write one captioned PNG per sample of the batch.

    Args:
        pictures: Name -> tensor, see :func:`to_rgb`; small maps are enlarged to the size of the first
            picture.
        denormalize: Maps normalised images to [0, 1].
        palette: RGB of each class.
        out_dir: Folder to write to; made if missing.
        prefix: File names are ``{prefix}_{sample}.png``.

    Returns:
        The files written.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    rows = {name: to_rgb(picture, denormalize, palette) for name, picture in pictures.items()}
    height, width = next(iter(rows.values()))[0].shape[:2]
    paths = []
    for sample in range(min(len(images) for images in rows.values())):
        tiles = [_tile(images[sample], name, height, width) for name, images in rows.items()]
        tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
        grid = np.vstack([np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)])
        path = out_dir / f"{prefix}_{sample}.png"
        cv2.imwrite(str(path), grid[..., ::-1])
        paths.append(path)
    return paths


def _tile(image: np.ndarray, caption: str, height: int, width: int) -> np.ndarray:
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST)
    strip = np.full((CAPTION_HEIGHT, width, 3), 255, np.uint8)
    cv2.putText(strip, caption, (3, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return cv2.copyMakeBorder(
        np.vstack([strip, image]), 0, 2, 0, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255)
    )
