"""ACDC (Sakaridis et al., ICCV 2021): street scenes in fog, night, rain and snow."""

from __future__ import annotations

from mmseg.datasets.cityscapes import CityscapesDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class ACDCDataset(CityscapesDataset):
    """``rgb_anon/{split}/*_rgb_anon.png`` with ``gt/{split}/*_gt_labelTrainIds.png``."""

    default_img_dir = "rgb_anon/train"
    default_ann_dir = "gt/train"
    default_img_suffix = "_rgb_anon.png"
    default_seg_map_suffix = "_gt_labelTrainIds.png"
    margin_reference_size = (1080, 1920)
    converter = None
    server_format = "trainids"
