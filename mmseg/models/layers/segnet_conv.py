"""The block that encoder and decoder of SegNet are made of (Badrinarayanan et al., TPAMI 2017)."""

import re
from typing import Any

from mmengine.model import kaiming_init
from torch import nn

from mmseg.models.layers.conv import ConvBlock

NORM = dict(type="BN", eps=1e-9)
"""As in its Caffe. There, the statistics for testing are counted after the training, over all of its images:
the mean of batch means and the mean of unbiased batch variances (PyTorch: ``momentum=None``)."""


class SegNetConv(ConvBlock):
    """3×3 convolution with bias, batch norm and ReLU.

    Args:
        in_channels: Input channels.
        channels: Output channels.
        norm_cfg: Normalisation; None = :data:`NORM`.
    """

    def __init__(self, in_channels: int, channels: int, norm_cfg: dict[str, Any] | None = None) -> None:
        super().__init__(in_channels, channels, 3, norm_cfg=norm_cfg or NORM)
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1)
        kaiming_init(self.conv, mode="fan_in")


def own_name(name: str) -> str:
    """``conv1_1.weight`` and ``conv1_1_bn.weight``, as the layers of its prototxt, as an entry of a block."""
    name = re.sub(r"^(conv\d_\d(?:_D)?)_bn\.", r"\1.bn.", name)
    return re.sub(r"^(conv\d_\d(?:_D)?)\.(?=weight$|bias$)", r"\1.conv.", name)
