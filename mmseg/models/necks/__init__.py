"""Layers between encoder and decoder."""

from mmseg.models.necks.segformer_adapter import SegFormerAdapter
from mmseg.models.necks.vit_pyramid import ViTPyramid

__all__ = ["SegFormerAdapter", "ViTPyramid"]
