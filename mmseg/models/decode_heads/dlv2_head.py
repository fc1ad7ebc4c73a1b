"""The decoder of DeepLabV2.

Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and Fully
Connected CRFs", TPAMI 2018 (arXiv:1606.00915).
"""

import re
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
        num_summed: How many of them are summed; None = all. Networks released with AdaptSegNet hold four, but
            their code sums the first two: the others never had a gradient.
        in_index: Which of the encoder's levels to use.
        loss_decode: Config of the loss, or of several.
        align_corners: See :class:`BaseDecodeHead`.

    Raises:
        ConfigError: Several levels are configured, or no dilation to sum.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        dilations: Sequence[int] = (6, 12, 18, 24),
        num_summed: int | None = None,
        in_index: int = -1,
        loss_decode: dict | Sequence[dict] | None = None,
        align_corners: bool = False,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=num_classes,
            num_classes=num_classes,
            dropout_ratio=0,
            in_index=in_index,
            loss_decode=loss_decode,
            align_corners=align_corners,
        )
        if not dilations:
            raise ConfigError("DLV2Head: dilations is empty; expected at least one, as (6, 12, 18, 24)")
        if num_summed is not None and not 1 <= num_summed <= len(dilations):
            raise ConfigError(
                f"DLV2Head: num_summed={num_summed}; expected None or a number from 1 to {len(dilations)}, "
                "the number of dilations"
            )
        self.num_summed = num_summed or len(dilations)
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
        for branch in self.aspp_modules[1 : self.num_summed]:
            logits = logits + branch(level)
        return logits

    def own_name(self, name: str) -> str:
        """Name here of an entry that DeepLab's PyTorch ports name ``conv2d_list.<branch>.<entry>``."""
        return re.sub(r"^conv2d_list\.(\d+)\.", r"aspp_modules.\1.conv.", name)
