"""Layers between encoder and decoder."""

from mmseg.models.necks.segformer_adapter import SegFormerAdapter

__all__ = ["SegFormerAdapter"]
