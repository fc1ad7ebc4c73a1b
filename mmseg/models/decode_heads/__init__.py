"""Decoders: feature maps to class scores."""

from mmseg.models.decode_heads.base_decode_head import BaseDecodeHead
from mmseg.models.decode_heads.daformer_head import DAFormerHead
from mmseg.models.decode_heads.hrda_head import HRDAHead
from mmseg.models.decode_heads.segformer_head import SegFormerHead

__all__ = ["BaseDecodeHead", "DAFormerHead", "HRDAHead", "SegFormerHead"]
