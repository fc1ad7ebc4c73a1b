"""Whole segmentation networks."""

from mmseg.models.segmentors.encoder_decoder import EncoderDecoder

__all__ = ["EncoderDecoder"]
