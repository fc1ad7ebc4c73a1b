"""Encoders: image to feature maps of several strides."""

from mmseg.models.backbones.mix_transformer import MixVisionTransformer

__all__ = ["MixVisionTransformer"]
