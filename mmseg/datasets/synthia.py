"""SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016): rendered street scenes."""

from __future__ import annotations

from mmseg.datasets.classes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class SynthiaDataset(SegmentationDataset):
    """``RGB/*.png`` with ``GT/LABELS/*_labelTrainIds.png``.

    The label space is that of Cityscapes; terrain, truck and train do not occur.
    """

    default_img_dir = "RGB"
    default_ann_dir = "GT/LABELS"
    default_seg_map_suffix = "_labelTrainIds.png"
    default_classes = CITYSCAPES_CLASSES
    default_palette = CITYSCAPES_PALETTE
    converter = "synthia"
    class_subsets = ("16", "13")
