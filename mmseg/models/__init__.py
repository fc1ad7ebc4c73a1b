"""Networks, losses and adaptation methods; importing this registers them."""

from mmseg.models import backbones, decode_heads, losses, necks, segmentors, translation, uda
from mmseg.models.data_preprocessor import SegDataPreprocessor
from mmseg.models.torchvision_operators import declare_missing_operators

declare_missing_operators()  # before timm imports torchvision

__all__ = [
    "SegDataPreprocessor",
    "backbones",
    "decode_heads",
    "losses",
    "necks",
    "segmentors",
    "translation",
    "uda",
]
