"""CamVid (Brostow, Fauqueur and Cipolla, 2009) as the SegNet tutorial distributes it: 11 classes, 480x360."""

from __future__ import annotations

from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.registry import DATASETS

CAMVID_CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip


@DATASETS.register_module()
class CamVidDataset(SegmentationDataset):
    """``train/*.png`` (or JPEG) with ``trainannot/*_labelTrainIds.png``, the same for ``val`` and ``test``.

    ``split`` names one of the lists by time of day that the converter writes, as ``ROOT/day_train.txt``.
    """

    default_img_dir = "train"
    default_ann_dir = "trainannot"
    default_img_suffix = (".png", ".jpg")
    default_seg_map_suffix = "_labelTrainIds.png"
    default_classes = CAMVID_CLASSES
    default_palette = [
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ]  # fmt: skip
    margin_reference_size = (360, 480)
    converter = "camvid"
    server_format = "trainids"
