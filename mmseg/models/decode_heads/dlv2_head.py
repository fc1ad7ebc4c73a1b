"""The decoder of DeepLabV2.

Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and Fully
Connected CRFs", TPAMI 2018 (arXiv:1606.00915), section 3.2.
"""

from collections.abc import Sequence

from mmengine.model import normal_init
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.decode_heads.base_decode_head import BaseDecodeHead
from mmseg.models.layers.conv import ConvBlock
from mmseg.registry import MODELS


@MODELS.register_module()
class DLV2Head(BaseDecodeHead):
    """Sum of dilated 3×3 convolutions that classify directly, without norm, activation or dropout.

    Args:
        in_channels: Channels of the input level.
        num_classes: Number of classes.
        dilations: One classifier each; UDA works also use the first two alone.
        in_index: Which of the encoder's levels to use.
        loss_decode: Config of the loss, or of several.

    Raises:
        ConfigError: Several levels are configured, or no dilation.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        dilations: Sequence[int] = (6, 12, 18, 24),
        in_index: int = -1,
        loss_decode: dict | Sequence[dict] | None = None,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=num_classes,
            num_classes=num_classes,
            dropout_ratio=0,
            in_index=in_index,
            loss_decode=loss_decode,
        )
        if not dilations:
            raise ConfigError("DLV2Head: dilations is empty; expected at least one, as (6, 12, 18, 24)")
        del self.conv_seg  # the branches are the classifiers
        self.aspp_modules = nn.ModuleList(
            ConvBlock(self.channels_of_one_level(), num_classes, 3, dilation, act_cfg=None)
            for dilation in dilations
        )
        for branch in self.aspp_modules:
            normal_init(branch.conv, std=0.01)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Takes the level (B, in_channels, h, w) to logits (B, num_classes, h, w)."""
        (level,) = self.select(features)
        logits = self.aspp_modules[0](level)
        for branch in self.aspp_modules[1:]:
            logits = logits + branch(level)
        return logits
