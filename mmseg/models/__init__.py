"""Networks, losses and adaptation methods; importing this registers them."""

from mmseg.models import backbones, decode_heads, losses, necks, segmentors, uda
from mmseg.models.data_preprocessor import SegDataPreprocessor

__all__ = ["SegDataPreprocessor", "backbones", "decode_heads", "losses", "necks", "segmentors", "uda"]
