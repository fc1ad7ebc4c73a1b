"""``tools/test.py`` on finished runs, and the files it reads and writes."""

import itertools
from pathlib import Path

import numpy as np
from PIL import Image

from tools.test import main

_names = itertools.count()


def run_tool(run, *options, settings=()):
    """``tools/test.py`` on a finished run; mmengine keeps one logger per experiment name."""
    config = next(path for path in run.work_dir.glob("*.py"))
    name = f"experiment_name=test_tool_{next(_names)}"
    return main(
        [str(config), str(run.checkpoint), *map(str, options), "--cfg-options", name, *map(str, settings)]
    )


def val_images(data: Path) -> list[Path]:
    return sorted((data / "cityscapes/leftImg8bit/val").rglob("*.png"))


def label_of(image: Path) -> np.ndarray:
    path = str(image).replace("leftImg8bit.png", "gtFine_labelTrainIds.png").replace("leftImg8bit", "gtFine")
    return np.array(Image.open(path))


def written_ids(folder: Path, image: Path) -> np.ndarray:
    return np.array(Image.open(next(folder.rglob(image.name))))
