"""Encoders: image to feature maps of several strides."""

from mmseg.models.backbones.deeplab_resnet import DeepLabResNet
from mmseg.models.backbones.mix_transformer import MixVisionTransformer
from mmseg.models.backbones.timm_backbone import TimmBackbone

__all__ = ["DeepLabResNet", "MixVisionTransformer", "TimmBackbone"]
