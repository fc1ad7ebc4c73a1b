"""SYNTHIA-RAND-CITYSCAPES (Ros et al., 2016): 16-bit RGB PNGs, red is the class and green the instance."""

from mmseg.datasets.conversion.label_conversion import (
    LabelConversion,
    LabelMap,
    lookup_table,
    read_16bit_red,
)

# Terrain, truck and train do not occur in the labels, so that 16 of the 19 classes remain.
ID_TO_TRAIN_ID = {
    3: 0,  # road
    4: 1,  # sidewalk
    2: 2,  # building
    21: 3,  # wall
    5: 4,  # fence
    7: 5,  # pole
    15: 6,  # traffic light
    9: 7,  # traffic sign
    6: 8,  # vegetation
    16: 9,  # terrain
    1: 10,  # sky
    10: 11,  # person
    17: 12,  # rider
    8: 13,  # car
    18: 14,  # truck
    19: 15,  # bus
    20: 16,  # train
    12: 17,  # motorcycle
    11: 18,  # bicycle
}
_TRAIN_IDS = lookup_table(ID_TO_TRAIN_ID, size=1 << 16)


def read_label(path: str) -> LabelMap:
    """Train ids of a raw Synthia label, shape (H, W)."""
    return _TRAIN_IDS.take(read_16bit_red(path))


SYNTHIA = LabelConversion(
    name="Synthia",
    gt_dir="GT/LABELS",
    pattern=r"[0-9]\.png$",
    ending=".png",
    read=read_label,
    example="GT/LABELS/0000000.png",
    remedy="download SYNTHIA-RAND-CITYSCAPES from https://synthia-dataset.net and unpack it there",
)
