"""Means over the image as context of every pixel.

Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.layers.conv import ConvBlock
from mmseg.models.layers.resize import resize


class PooledConv(nn.Sequential):
    """Means over a grid of image parts, then 1×1 convolution, norm and activation.

    Args:
        in_channels: Input channels.
        channels: Output channels.
        scale: Rows and columns of the grid; 1 is the mean over the whole image.
        norm_cfg: Normalisation after the convolution.
        act_cfg: Activation after the convolution.
    """

    def __init__(
        self, in_channels: int, channels: int, scale: int, norm_cfg: dict | None, act_cfg: dict | None
    ) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(scale),
            ConvBlock(in_channels, channels, norm_cfg=norm_cfg, act_cfg=act_cfg),
        )

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, in_channels, h, w) to (B, channels, scale, scale).

        Raises:
            ConfigError: One image is to be normalised by the statistics of its single mean.
        """
        pool, conv = self
        means = pool(feature_map)
        if isinstance(conv.norm, nn.BatchNorm2d) and conv.norm.training and means[:, 0].numel() == 1:
            raise ConfigError(
                "image pooling: found a batch of one image in training, whose mean is the only value that "
                "batch norm gets for a channel; expected at least two images per device: raise "
                "train_dataloader.batch_size, or choose norm_cfg=None, dict(type='GN', num_groups=32) or, on "
                "several devices, dict(type='SyncBN') for the decode head"
            )
        return conv(means)


class PyramidPooling(nn.ModuleList):
    """Means over grids of several sizes, brought back to the size of the input.

    Args:
        in_channels: Input channels.
        channels: Channels of each grid.
        scales: Rows and columns of each grid.
        norm_cfg: Normalisation after each convolution.
        act_cfg: Activation after each convolution.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        scales: Sequence[int],
        norm_cfg: dict | None,
        act_cfg: dict | None,
    ) -> None:
        super().__init__(PooledConv(in_channels, channels, scale, norm_cfg, act_cfg) for scale in scales)

    def forward(self, feature_map: Tensor) -> list[Tensor]:
        """(B, in_channels, h, w) to one (B, channels, h, w) per scale."""
        size = feature_map.shape[2:]
        return [resize(branch(feature_map), size) for branch in self]
