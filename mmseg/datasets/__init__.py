"""Data sets, their transforms, and how samples become batches."""

from mmseg.datasets import transforms
from mmseg.datasets.acdc import ACDCDataset
from mmseg.datasets.camvid import CamVidDataset
from mmseg.datasets.cityscapes import CityscapesDataset
from mmseg.datasets.collate import seg_collate
from mmseg.datasets.custom import CustomDataset
from mmseg.datasets.dark_zurich import DarkZurichDataset
from mmseg.datasets.easy_hard_dataset import EasyHardDataset
from mmseg.datasets.gta import GTADataset
from mmseg.datasets.mapillary import MapillaryDataset
from mmseg.datasets.sampling.position_sampler import PositionSampler
from mmseg.datasets.sampling.rare_class_sampling import RareClassSampling
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.datasets.self_training_dataset import SelfTrainingDataset
from mmseg.datasets.several_test_sets import SeveralTestSets
from mmseg.datasets.synthia import SynthiaDataset
from mmseg.datasets.uda_dataset import UDADataset

__all__ = [
    "ACDCDataset",
    "CamVidDataset",
    "CityscapesDataset",
    "CustomDataset",
    "DarkZurichDataset",
    "EasyHardDataset",
    "GTADataset",
    "MapillaryDataset",
    "PositionSampler",
    "RareClassSampling",
    "SegmentationDataset",
    "SelfTrainingDataset",
    "SeveralTestSets",
    "SynthiaDataset",
    "UDADataset",
    "seg_collate",
    "transforms",
]
