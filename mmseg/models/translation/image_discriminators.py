"""Discriminators of images: drawn, or photographed?

Zhu, Park, Isola, Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
ICCV 2017. Names of layers are those of its published networks. Scores are logits; where the published network
ends in a sigmoid (``no_lsgan``), the loss contains it.
"""

from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.translation.layers import initialise, norm_layer
from mmseg.registry import MODELS


@MODELS.register_module()
class PatchDiscriminator(nn.Module):
    """4×4 convolutions that judge overlapping patches, of 70×70 pixels with three strided ones.

    Args:
        layers: Number of strided convolutions.
        channels: Behind the first one; doubled up to eightfold.
        norm: ``'instance'`` or ``'batch'``.

    Raises:
        ConfigError: The norm is unknown, or there is no strided convolution.
    """

    def __init__(self, layers: int = 3, channels: int = 64, norm: str = "instance") -> None:
        super().__init__()
        if layers < 1:
            raise ConfigError(f"PatchDiscriminator: layers={layers}; expected one at least")
        layer, bias = norm_layer(norm), norm == "instance"
        parts: list[nn.Module] = [nn.Conv2d(3, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        widths = [min(2**number, 8) * channels for number in range(layers + 1)]
        for number in range(1, layers + 1):
            stride = 2 if number < layers else 1
            convolution = nn.Conv2d(widths[number - 1], widths[number], 4, stride, padding=1, bias=bias)
            parts += [convolution, layer(widths[number]), nn.LeakyReLU(0.2)]
        self.model = nn.Sequential(*parts, nn.Conv2d(widths[-1], 1, 4, padding=1))
        self.apply(initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] to scores (B, 1, h, w), one for each patch."""
        return self.model(image)


@MODELS.register_module()
class ColourDiscriminator(nn.Module):
    """1×1 convolutions that judge single pixels (the published ``pixel``).

    Args:
        channels: Behind the first convolution, twice as many behind the second.
        norm: ``'instance'`` or ``'batch'``.

    Raises:
        ConfigError: The norm is unknown.
    """

    def __init__(self, channels: int = 64, norm: str = "instance") -> None:
        super().__init__()
        layer, bias = norm_layer(norm), norm == "instance"
        self.net = nn.Sequential(
            nn.Conv2d(3, channels, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, 2 * channels, 1, bias=bias),
            layer(2 * channels),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * channels, 1, 1, bias=bias),
        )
        self.apply(initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] to scores (B, 1, H, W)."""
        return self.net(image)
