"""Makes the pyramid of MiT fit decoders that were written for dilated ResNets."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.registry import MODELS


@MODELS.register_module()
class SegFormerAdapter(nn.Module):
    """Upsamples chosen levels; the others pass unchanged.

    Args:
        out_layers: Indices of the levels to upsample.
        scales: Their factors.
    """

    def __init__(self, out_layers: Sequence[int] = (3,), scales: Sequence[float] = (4,)) -> None:
        super().__init__()
        if len(out_layers) != len(scales):
            raise ConfigError(
                f"SegFormerAdapter: out_layers={list(out_layers)} and scales={list(scales)}; "
                "expected one scale per layer"
            )
        self.factors = dict(zip(out_layers, scales, strict=True))

    def channels_of(self, channels: Sequence[int]) -> Sequence[int]:
        """Channels of what comes out, from those of what goes in: the same."""
        return channels

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Levels (B, C_i, h_i, w_i) to a list of the same length."""
        return [
            F.interpolate(level, scale_factor=self.factors[index], mode="bilinear", align_corners=False)
            if index in self.factors  # by the factor, as published: it says where the cells of odd sizes lie
            else level
            for index, level in enumerate(features)
        ]
