"""Pictures of a training step."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from mmseg.visualization.grid import Tile, write_grid
from mmseg.visualization.palette_image import Palette, colorize

COLUMNS = 4


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

    Raises:
        OSError: One cannot be written.
    """
    images = {name: to_rgb(picture, denormalize, palette) for name, picture in pictures.items()}
    height, width = next(iter(images.values()))[0].shape[:2]
    paths = []
    for sample in range(min(map(len, images.values()))):
        tiles = [
            Tile(cv2.resize(image[sample], (width, height), interpolation=cv2.INTER_NEAREST), (name,))
            for name, image in images.items()
        ]
        paths.append(out_dir / f"{prefix}_{sample}.png")
        write_grid(paths[-1], [tiles[i : i + COLUMNS] for i in range(0, len(tiles), COLUMNS)])
    return paths
