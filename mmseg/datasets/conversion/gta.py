"""GTA5 (Richter et al., Playing for Data, 2016): palette PNGs whose indices are the ids of Cityscapes."""

from mmseg.datasets.conversion.label_conversion import (
    LabelConversion,
    LabelMap,
    lookup_table,
    read_indexed_png,
)
from mmseg.datasets.conversion.runner import ConversionReport, convert_dataset

ID_TO_TRAIN_ID = {
    7: 0,  # road
    8: 1,  # sidewalk
    11: 2,  # building
    12: 3,  # wall
    13: 4,  # fence
    17: 5,  # pole
    19: 6,  # traffic light
    20: 7,  # traffic sign
    21: 8,  # vegetation
    22: 9,  # terrain
    23: 10,  # sky
    24: 11,  # person
    25: 12,  # rider
    26: 13,  # car
    27: 14,  # truck
    28: 15,  # bus
    31: 16,  # train
    32: 17,  # motorcycle
    33: 18,  # bicycle
}
_TRAIN_IDS = lookup_table(ID_TO_TRAIN_ID)


def read_label(path: str) -> LabelMap:
    """Train ids of a raw GTA label, shape (H, W)."""
    return _TRAIN_IDS.take(read_indexed_png(path))


GTA = LabelConversion(
    name="GTA",
    gt_dir="labels",
    pattern=r"[0-9]\.png$",
    ending=".png",
    read=read_label,
    example="labels/00001.png",
    remedy="unpack the labels of https://download.visinf.tu-darmstadt.de/data/from_games/ there",
)


def convert_gta(
    root: str, gt_dir: str | None = None, out_dir: str | None = None, nproc: int = 4
) -> ConversionReport:
    """Convert the labels of GTA; see :func:`convert_dataset`."""
    return convert_dataset(GTA, root, gt_dir, out_dir, nproc)
