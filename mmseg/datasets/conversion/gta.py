"""GTA5 (Richter et al., Playing for Data, 2016): palette PNGs whose indices are the ids of Cityscapes."""

from mmseg.datasets.conversion.cityscapes import TRAIN_IDS
from mmseg.datasets.conversion.label_conversion import LabelConversion, LabelMap, read_indexed_png


def read_label(path: str) -> LabelMap:
    """Train ids of a raw GTA label, shape (H, W)."""
    return TRAIN_IDS.take(read_indexed_png(path))


GTA = LabelConversion(
    name="GTA",
    gt_dir="labels",
    pattern=r"[0-9]\.png$",
    ending=".png",
    read=read_label,
    example="labels/00001.png",
    remedy="unpack the labels of https://download.visinf.tu-darmstadt.de/data/from_games/ there",
)
