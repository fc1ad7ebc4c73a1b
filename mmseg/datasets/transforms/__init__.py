from mmseg.datasets.transforms.formatting import PackInputs
from mmseg.datasets.transforms.geometry import (
    MiningCrop,
    Pad,
    RandomCrop,
    RandomFlip,
    RandomResolution,
    RandomScale,
    Resize,
)
from mmseg.datasets.transforms.loading import LoadImage, LoadLabel
from mmseg.datasets.transforms.photometric import PhotoMetricDistortion

__all__ = [
    "LoadImage",
    "LoadLabel",
    "MiningCrop",
    "PackInputs",
    "Pad",
    "PhotoMetricDistortion",
    "RandomCrop",
    "RandomFlip",
    "RandomResolution",
    "RandomScale",
    "Resize",
]
