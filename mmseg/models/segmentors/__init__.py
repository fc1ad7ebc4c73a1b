"""Whole segmentation networks."""

from mmseg.models.segmentors.encoder_decoder import EncoderDecoder
from mmseg.models.segmentors.hrda_encoder_decoder import HRDAEncoderDecoder

__all__ = ["EncoderDecoder", "HRDAEncoderDecoder"]
