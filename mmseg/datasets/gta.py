"""GTA5 (Richter et al., ECCV 2016): frames of a computer game."""

from __future__ import annotations

from mmseg.datasets.classes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class GTADataset(SegmentationDataset):
    """``images/*.png`` with ``labels/*_labelTrainIds.png``."""

    default_img_dir = "images"
    default_ann_dir = "labels"
    default_seg_map_suffix = "_labelTrainIds.png"
    default_classes = CITYSCAPES_CLASSES
    default_palette = CITYSCAPES_PALETTE
    converter = "gta"
