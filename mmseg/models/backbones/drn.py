"""Dilated residual networks of the form C, whose last stages remove the grid that dilation leaves.

Yu, Koltun, Funkhouser, "Dilated Residual Networks", CVPR 2017. DRN-26 is the encoder of CyCADA's
second network.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.registry import MODELS

CHANNELS = (16, 32, 64, 128, 256, 512, 512, 512)
STRIDES = (1, 2, 2, 2, 1, 1, 1, 1)
DILATIONS = (1, 1, 1, 1, 2, 4, 2, 1)
NUM_RESIDUAL = 6
"""The stages behind these have no shortcuts."""
LEVELS = (3, 4, 5, 8)


class Block(nn.Module):
    """Two 3×3 convolutions with norms, and a shortcut around them.

    Args:
        in_channels: Input channels.
        channels: Output channels.
        stride: Of the first convolution.
        dilation: Of both.
        residual: Whether there is a shortcut.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, dilation: int, residual: bool) -> None:
        super().__init__()
        around: dict[str, Any] = dict(padding=dilation, dilation=dilation, bias=False)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, **around)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, **around)
        self.bn2 = nn.BatchNorm2d(channels)
        self.residual = residual
        self.downsample = None
        if residual and (stride != 1 or in_channels != channels):
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, in_channels, h, w) to (B, channels, h / stride, w / stride)."""
        convolved = self.bn2(self.conv2(self.bn1(self.conv1(feature_map)).relu()))
        if self.residual:
            convolved = convolved + (feature_map if self.downsample is None else self.downsample(feature_map))
        return convolved.relu()


@MODELS.register_module()
class DRN(nn.Module):
    """Encoder of levels at strides 4, 8, 8 and 8: the ends of stages 3, 4, 5 and 8.

    Args:
        depths: Blocks of the eight stages; the default is DRN-26.

    Attributes:
        channels: Of the levels.
    """

    def __init__(self, depths: Sequence[int] = (1, 1, 2, 2, 2, 2, 1, 1)) -> None:
        super().__init__()
        width = CHANNELS[0]
        self.conv1 = nn.Conv2d(3, width, 7, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        stages = zip(depths, CHANNELS, STRIDES, DILATIONS, strict=True)
        for stage, (depth, channels, stride, dilation) in enumerate(stages, start=1):
            layer = nn.Sequential()
            for index in range(depth):
                step = stride if index == 0 else 1
                layer.append(Block(width, channels, step, dilation, stage <= NUM_RESIDUAL))
                width = channels
            self.add_module(f"layer{stage}", layer)
        self.channels = tuple(CHANNELS[stage - 1] for stage in LEVELS)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> list[Tensor]:
        """Encode an image.

        Args:
            image: (B, 3, H, W), normalised.

        Returns:
            Maps (B, C_i, ⌈H/s⌉, ⌈W/s⌉) of :attr:`channels`, for s = 4, 8, 8, 8.
        """
        feature_map, levels = torch.relu(self.bn1(self.conv1(image))), []
        for stage in range(1, len(CHANNELS) + 1):
            feature_map = self.get_submodule(f"layer{stage}")(feature_map)
            if stage in LEVELS:
                levels.append(feature_map)
        return levels
