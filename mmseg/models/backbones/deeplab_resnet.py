"""The residual encoder of DeepLabV2, as the methods of 2018 and 2019 train it.

Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and Fully
Connected CRFs", TPAMI 2018; the PyTorch port of its Caffe network that AdaptSegNet, ADVENT and CLAN share.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mmseg.models.backbones.timm_backbone import TimmBackbone
from mmseg.registry import MODELS

DILATIONS = {"layer3": 2, "layer4": 4}
CAFFE_PREFIX = "Scale."
"""Begins the names in the files of weights that were converted from Caffe."""


@MODELS.register_module()
class DeepLabResNet(TimmBackbone):
    """timm's ResNet laid out as in Caffe: levels of 256, 512, 1024 and 2048 channels, stride 4 once, then 8.

    It differs from ``TimmBackbone(name, output_stride=8)`` in what strides and dilations apply to: a stage
    with a stride has it in the first 1×1 convolution instead of the 3×3; **every** 3×3 convolution of the
    dilated stages has the dilation of its stage; the max pool rounds sizes up, so that 512 pixels become 65
    cells. The input is BGR without division by the standard deviation, see
    ``configs/_base_/models/parts/deeplab_resnet101.py``.

    Args:
        name: timm's name of a ResNet of bottleneck blocks.
        options: See :class:`TimmBackbone`.
    """

    def __init__(self, name: str = "resnet101", **options: Any) -> None:
        super().__init__(name, output_stride=8, **options)
        network: Any = self.network
        network.maxpool.ceil_mode = True
        for stage in ("layer1", "layer2", "layer3", "layer4"):
            for block in network[stage]:
                block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
                dilation = DILATIONS.get(stage, 1)
                block.conv2.dilation = block.conv2.padding = (dilation, dilation)
        self.apply(initialise)

    def adapt_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights as entries of this module; names may begin with ``Scale.``."""
        return super().adapt_weights(
            {name.removeprefix(CAFFE_PREFIX): value for name, value in state.items()}
        )


def initialise(module: nn.Module) -> None:
    """Initial values of one layer: convolutions N(0, 0.01), norms the identity."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.01)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
