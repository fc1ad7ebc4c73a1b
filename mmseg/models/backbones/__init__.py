"""Encoders: image to feature maps of several strides."""

from mmseg.models.backbones.deeplab_resnet import DeepLabResNet
from mmseg.models.backbones.dilated_vgg import DilatedVGG16
from mmseg.models.backbones.drn import DRN
from mmseg.models.backbones.fcn_vgg import FCNVGG16
from mmseg.models.backbones.mix_transformer import MixVisionTransformer
from mmseg.models.backbones.segnet import SegNetEncoder
from mmseg.models.backbones.timm_backbone import TimmBackbone

__all__ = [
    "DRN",
    "FCNVGG16",
    "DeepLabResNet",
    "DilatedVGG16",
    "MixVisionTransformer",
    "SegNetEncoder",
    "TimmBackbone",
]
