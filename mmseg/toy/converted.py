"""Toy street scenes, ready for training."""

import os
from pathlib import Path

from mmseg.datasets.conversion.cityscapes import convert_cityscapes
from mmseg.datasets.conversion.gta import GTA
from mmseg.datasets.conversion.runner import convert_dataset
from mmseg.toy.generator import make_toy_dataset


def write_converted(root: Path, train: int, val: int) -> None:
    """Draw and convert source and target scenes in the layouts of GTA and Cityscapes.

    Args:
        root: Folder of both; what is there already stays.
        train: Images to train with, of each.
        val: Images to test with, of each.
    """
    processes = os.cpu_count() or 1
    make_toy_dataset(root, ["gta", "cityscapes"], train=train, val=val, nproc=processes)
    convert_dataset(GTA, str(root / "gta"), nproc=processes)
    convert_cityscapes(str(root / "cityscapes"), nproc=processes)
