"""Cityscapes (Cordts et al., CVPR 2016): street scenes of German cities in good weather."""

from __future__ import annotations

from typing import ClassVar

from mmseg.datasets.classes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class CityscapesDataset(SegmentationDataset):
    """``leftImg8bit/{split}/*/*_leftImg8bit.png`` with ``gtFine/{split}/*/*_gtFine_labelTrainIds.png``."""

    default_img_dir = "leftImg8bit/train"
    default_ann_dir = "gtFine/train"
    default_img_suffix = "_leftImg8bit.png"
    default_seg_map_suffix = "_gtFine_labelTrainIds.png"
    default_classes = CITYSCAPES_CLASSES
    default_palette = CITYSCAPES_PALETTE
    margin_reference_size = (1024, 2048)
    converter: ClassVar[str | None] = "cityscapes"
