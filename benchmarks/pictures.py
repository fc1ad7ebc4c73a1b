"""Full-size street pictures whose PNGs are as large, and as slow to decode, as those of the real data sets.

Scenes are the toy ones with the textures of the camera renderer. Outlines are roughened, and a slight blur
leaves as much noise as gives 2 to 2.5 MB a picture (GTA: 57 GB for 24,966, Cityscapes: 11 GB for 5,000).
Files are written with adaptive row filters and the default compression level, as libpng does.
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from rich.progress import track

from mmseg.checkpoints.atomic import replacing
from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.datasets.conversion.cityscapes import TRAIN_IDS
from mmseg.datasets.conversion.label_conversion import count_pixels
from mmseg.datasets.sampling.class_statistics import Counted, write_class_statistics
from mmseg.toy.generator import Settings, make_sample
from mmseg.toy.layouts import TRAIN

SIZES = {"gta": (1914, 1052), "cityscapes": (2048, 1024)}
"""(width, height) of the real pictures."""
FILES = {
    "gta": ("images/{:05d}.png", "labels/{:05d}_labelTrainIds.png"),
    "cityscapes": (
        "leftImg8bit/train/city/city_{:06d}_leftImg8bit.png",
        "gtFine/train/city/city_{:06d}_gtFine_labelTrainIds.png",
    ),
}
BLUR = 0.9  # standard deviation in pixels
ROUGHNESS, ROUGH_CELL = 2.5, 12  # pixels: how far outlines move, and over which distance
CANDIDATE_PIXELS = 3000  # only classes that rare class sampling could draw enter the statistics


def write_pictures(root: Path, number: int, shrink: int = 1) -> None:
    """Write ``number`` pictures with labels for each data set below ``root``; what is there is kept.

    Args:
        root: Gets the folders gta and cityscapes.
        number: Pictures of each data set.
        shrink: Divisor of the picture sizes, for tests.
    """
    for name in SIZES:
        labels: dict[str, dict[int, int]] = {}
        for index in track(range(number), f"pictures of {name}", transient=True):
            picture_path, label_path = (root / name / file.format(index) for file in FILES[name])
            if not (picture_path.exists() and label_path.exists()):
                _write_picture(name, index, shrink, picture_path, label_path)
            pixels = count_pixels(np.array(Image.open(label_path)))
            frequent = {c: n for c, n in pixels.items() if n > CANDIDATE_PIXELS // shrink**2}
            labels[str(label_path)] = frequent
        write_class_statistics(root / name, labels, Counted(CITYSCAPES_CLASSES))


def _write_picture(name: str, index: int, shrink: int, picture_path: Path, label_path: Path) -> None:
    width, height = (length // shrink for length in SIZES[name])
    scene, picture = make_sample(Settings("cityscapes", width, height, 1, 0, seed=len(name)), TRAIN, index)
    rng = np.random.default_rng(index)
    cells = (width // ROUGH_CELL + 1, height // ROUGH_CELL + 1)
    shifts = [
        ROUGHNESS * cv2.resize(rng.standard_normal(cells[::-1], dtype=np.float32), (width, height))
        for _ in range(2)
    ]
    rows, columns = np.indices((height, width), dtype=np.float32)
    places = (columns + shifts[0], rows + shifts[1])
    sharp = cv2.remap(picture, *places, cv2.INTER_LINEAR)
    label = cv2.remap(TRAIN_IDS[scene.label_ids()], *places, cv2.INTER_NEAREST, borderValue=255)
    for path, image in ((picture_path, cv2.GaussianBlur(sharp, (0, 0), BLUR)), (label_path, label)):
        with replacing(path, flush=False) as temporary:
            Image.fromarray(image).save(temporary, "PNG")
