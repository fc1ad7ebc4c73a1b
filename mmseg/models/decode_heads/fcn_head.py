"""The decoder of fully convolutional networks.

Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015; in this form, as main or
auxiliary head of a dilated network, from Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017, section
3.3.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.decode_heads.base_decode_head import BaseDecodeHead
from mmseg.registry import MODELS


@MODELS.register_module()
class FCNHead(BaseDecodeHead):
    """A few convolutions, by choice merged with their input.

    Args:
        num_convs: Convolutions in a row; 0 classifies the input directly.
        kernel_size: Of every convolution.
        concat_input: Merge the input and the last convolution's output by one more convolution.
        dilation: Of the convolutions in a row.
        kwargs: Arguments of :class:`BaseDecodeHead`.

    Raises:
        ConfigError: Without convolutions, ``channels`` differ from ``in_channels``.
    """

    def __init__(
        self,
        num_convs: int = 2,
        kernel_size: int = 3,
        concat_input: bool = True,
        dilation: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        in_channels = self.channels_of_one_level()
        if num_convs == 0 and in_channels != self.channels:
            raise ConfigError(
                f"FCNHead: num_convs=0 with in_channels={in_channels} and channels={self.channels}; without "
                "convolutions they must be equal"
            )
        widths = [in_channels] + num_convs * [self.channels]
        self.convs = nn.Sequential(
            *(self.conv_block(width, kernel_size, dilation=dilation) for width in widths[:num_convs])
        )
        self.conv_cat = self.conv_block(in_channels + self.channels, kernel_size) if concat_input else None

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Takes the level (B, in_channels, h, w) to logits (B, num_classes, h, w)."""
        (level,) = self.select(features)
        convolved = self.convs(level)
        if self.conv_cat is not None:
            convolved = self.conv_cat(torch.cat([level, convolved], dim=1))
        return self.classify(convolved)
