"""Images of the source with the low frequencies of the target.

Yang, Soatto, "FDA: Fourier Domain Adaptation for Semantic Segmentation", CVPR 2020.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.registry import TRANSLATORS


@TRANSLATORS.register_module(name="FDA")
class FourierTranslator(nn.Module):
    """Gives a source image the amplitudes of a target image at low frequencies; the phases stay.

    The frequencies are those that the published training exchanged. With b = ⌊β · min(H, W)⌋, u the vertical
    and v the horizontal frequency, they are |u| < b at v = 0 and −b ≤ u < b at 0 < v < b, with their mirror
    images: b = 1 exchanges the mean of each channel alone, b = 0 nothing. The published demonstration takes a
    larger window. Nothing is clipped.

    Args:
        beta: β, the half width of the exchanged window as a share of the shorter side.

    Raises:
        ConfigError: β is not in [0, 0.5).
    """

    needs_target: ClassVar[bool] = True

    def __init__(self, beta: float = 0.01) -> None:
        super().__init__()
        if not 0 <= beta < 0.5:
            raise ConfigError(f"translator: beta={beta}; expected a share from 0 on, below 0.5")
        self.beta = beta

    @torch.no_grad()
    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Translate images.

        Args:
            source: (B, 3, H, W) colours on a scale that begins at 0.
            target: As many of the same size; each is the partner of the source image in its place.

        Returns:
            (B, 3, H, W) on the same scale, with values beyond its ends.

        Raises:
            ConfigError: The sizes differ.
        """
        if source.shape != target.shape:
            raise ConfigError(
                f"translator FDA: source images of shape {tuple(source.shape)}, target images of "
                f"{tuple(target.shape)}; expected equal ones: give both domains the same crop_size"
            )
        height, width = source.shape[2:]
        spectrum = torch.fft.rfft2(source)
        exchanged = torch.polar(torch.fft.rfft2(target).abs(), spectrum.angle())
        low = low_frequencies(height, width, math.floor(min(height, width) * self.beta), source.device)
        return torch.fft.irfft2(torch.where(low, exchanged, spectrum), s=(height, width))


def low_frequencies(height: int, width: int, half_width: int, device: torch.device) -> Tensor:
    """Which frequencies of a real image, (H, W // 2 + 1), are exchanged; see :class:`FourierTranslator`."""
    row = torch.arange(height, device=device)
    u = torch.where(row < (height + 1) // 2, row, row - height)[:, None]
    v = torch.arange(width // 2 + 1, device=device)
    inside = (u >= -half_width) & (u < half_width) & (v < half_width)
    return inside & ((v > 0) | (u > -half_width))
