"""Conversion of raw labels to train ids, and the class statistics for rare class sampling."""

from mmseg.datasets.conversion.cityscapes import CITYSCAPES, convert_cityscapes
from mmseg.datasets.conversion.gta import GTA, convert_gta
from mmseg.datasets.conversion.label_conversion import LabelConversion, lookup_table
from mmseg.datasets.conversion.mapillary import MAPILLARY, convert_mapillary
from mmseg.datasets.conversion.runner import ConversionReport, convert_dataset
from mmseg.datasets.conversion.synthia import SYNTHIA, convert_synthia

__all__ = [
    "CITYSCAPES",
    "GTA",
    "MAPILLARY",
    "SYNTHIA",
    "ConversionReport",
    "LabelConversion",
    "convert_cityscapes",
    "convert_dataset",
    "convert_gta",
    "convert_mapillary",
    "convert_synthia",
    "lookup_table",
]
