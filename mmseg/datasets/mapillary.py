"""Mapillary Vistas (Neuhold et al., ICCV 2017): street scenes of the world.

Its 65 labels are merged to the 19 classes of Cityscapes.
"""

from __future__ import annotations

from mmseg.datasets.classes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class MapillaryDataset(SegmentationDataset):
    """``training/images/*.jpg`` with ``training/labels/*_labelTrainIds.png``."""

    default_img_dir = "training/images"
    default_ann_dir = "training/labels"
    default_img_suffix = ".jpg"
    default_seg_map_suffix = "_labelTrainIds.png"
    default_classes = CITYSCAPES_CLASSES
    default_palette = CITYSCAPES_PALETTE
    converter = "mapillary"
