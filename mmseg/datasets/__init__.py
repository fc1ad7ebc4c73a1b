"""Data sets, their transforms, and how samples become batches."""

from mmseg.datasets.acdc import ACDCDataset
from mmseg.datasets.cityscapes import CityscapesDataset
from mmseg.datasets.classes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.datasets.collate import seg_collate
from mmseg.datasets.custom import CustomDataset
from mmseg.datasets.dark_zurich import DarkZurichDataset
from mmseg.datasets.gta import GTADataset
from mmseg.datasets.mapillary import MapillaryDataset
from mmseg.datasets.sampling.keyed_random import keyed_random_state
from mmseg.datasets.sampling.position_sampler import PositionSampler
from mmseg.datasets.sampling.rare_class_sampling import RareClassSampling
from mmseg.datasets.segmentation_dataset import Sample, SegmentationDataset
from mmseg.datasets.synthia import SynthiaDataset
from mmseg.datasets.transforms import (
    LoadImage,
    LoadLabel,
    PackInputs,
    Pad,
    PhotoMetricDistortion,
    RandomCrop,
    RandomFlip,
    Resize,
)
from mmseg.datasets.uda_dataset import UDADataset

__all__ = [
    "CITYSCAPES_CLASSES",
    "CITYSCAPES_PALETTE",
    "ACDCDataset",
    "CityscapesDataset",
    "CustomDataset",
    "DarkZurichDataset",
    "GTADataset",
    "LoadImage",
    "LoadLabel",
    "MapillaryDataset",
    "PackInputs",
    "Pad",
    "PhotoMetricDistortion",
    "PositionSampler",
    "RandomCrop",
    "RandomFlip",
    "RareClassSampling",
    "Resize",
    "Sample",
    "SegmentationDataset",
    "SynthiaDataset",
    "UDADataset",
    "keyed_random_state",
    "seg_collate",
]
