"""Whole segmentation networks."""

from mmseg.models.segmentors.encoder_decoder import EncoderDecoder
from mmseg.models.segmentors.hrda_encoder_decoder import HRDAEncoderDecoder
from mmseg.models.segmentors.voting_encoder_decoder import VotingEncoderDecoder

__all__ = ["EncoderDecoder", "HRDAEncoderDecoder", "VotingEncoderDecoder"]
