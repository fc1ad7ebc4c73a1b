"""Networks, losses and adaptation methods; importing this registers them."""

from mmseg._torchvision import declare_missing_operators
from mmseg.models import backbones, decode_heads, losses, necks, segmentors, uda
from mmseg.models.data_preprocessor import SegDataPreprocessor

declare_missing_operators()  # before timm imports torchvision

__all__ = ["SegDataPreprocessor", "backbones", "decode_heads", "losses", "necks", "segmentors", "uda"]
