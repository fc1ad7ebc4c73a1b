"""Makes the maps of a plain vision transformer, which all have one stride, a pyramid for decode heads.

After the simple feature pyramid of Li et al., "Exploring Plain Vision Transformer Backbones for Object
Detection", ECCV 2022, section 3, with one map of the transformer for each level.
"""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.layers.channels import filled
from mmseg.registry import MODELS


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of a (B, C, H, W) map."""

    def forward(self, feature_map: Tensor) -> Tensor:
        """Normalise each position."""
        return super().forward(feature_map.movedim(1, -1)).movedim(-1, 1)


@MODELS.register_module()
class ViTPyramid(nn.Module):
    """Normalises each map and resizes it by a learnt layer.

    The features of a transformer grow with depth, so each level has its own layer norm; transposed
    convolutions of kernel and stride 2 enlarge, maximum pooling reduces. Channels stay as they are.

    Args:
        in_channels: Channels of the maps.
        scales: Factor of the size of each map, a power of two. With a patch size of 16 the default gives the
            strides 4, 8, 16 and 32.

    Raises:
        ConfigError: A scale is no power of two, or there is not one for each map.
    """

    def __init__(self, in_channels: Sequence[int], scales: Sequence[float] = (4, 2, 1, 0.5)) -> None:
        super().__init__()
        if len(in_channels) != len(scales) or not all(s > 0 and math.log2(s).is_integer() for s in scales):
            raise ConfigError(
                f"ViTPyramid: in_channels={list(in_channels)}, scales={list(scales)}; expected one scale per "
                "map, a power of two such as 4, 2, 1 or 0.5"
            )
        self.levels = nn.ModuleList(
            nn.Sequential(ChannelNorm(channels), *_resizing(channels, scale))
            for channels, scale in zip(in_channels, scales, strict=True)
        )

    @classmethod
    def with_channels(cls, neck: dict[str, Any], channels: Sequence[int]) -> dict[str, Any]:
        """Arguments with ``in_channels`` of the encoder's levels."""
        return filled(neck, "in_channels", range(len(channels)), channels)

    def channels_of(self, channels: Sequence[int]) -> Sequence[int]:
        """Channels of what comes out, from those of what goes in: the same."""
        return channels

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, C_i, h, w) to maps (B, C_i, h·scale_i, w·scale_i)."""
        return [level(feature) for level, feature in zip(self.levels, features, strict=True)]


def _resizing(channels: int, scale: float) -> list[nn.Module]:
    if scale < 1:
        return [nn.MaxPool2d(round(1 / scale), ceil_mode=True)]
    layers: list[nn.Module] = []
    for step in range(round(math.log2(scale))):
        layers += [nn.GELU()] if step else []
        layers += [nn.ConvTranspose2d(channels, channels, kernel_size=2, stride=2)]
    return layers
