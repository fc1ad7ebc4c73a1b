from mmseg.datasets.transforms.formatting import PackInputs
from mmseg.datasets.transforms.geometry import Pad, RandomCrop, RandomFlip, RandomResolution, Resize
from mmseg.datasets.transforms.loading import LoadImage, LoadLabel
from mmseg.datasets.transforms.photometric import PhotoMetricDistortion

__all__ = [
    "LoadImage",
    "LoadLabel",
    "PackInputs",
    "Pad",
    "PhotoMetricDistortion",
    "RandomCrop",
    "RandomFlip",
    "RandomResolution",
    "Resize",
]
