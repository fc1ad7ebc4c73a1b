"""Generators: networks that draw an image of one domain in the look of another one.

Zhu, Park, Isola, Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
ICCV 2017. Names of layers are those of its published networks.
"""

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.translation.layers import initialise, norm_layer
from mmseg.registry import MODELS


@MODELS.register_module()
class ResnetGenerator(nn.Module):
    """Two strided convolutions, residual blocks, and two transposed convolutions.

    The output has the input's size, rounded up to a multiple of four.

    Args:
        blocks: Number of residual blocks: 9, or 6 for images of 128 pixels.
        channels: Behind the first convolution; four times as many in the blocks.
        norm: ``'instance'`` or ``'batch'``.
        dropout_ratio: Of the values inside a block, in tests as well as in training where the generator stays
            in training mode; 0 = without, as today's published networks. With it the second convolution of a
            block has the number 6 instead of 5 in the names.

    Raises:
        ConfigError: The norm is unknown, or there is no block.
    """

    multiple = 4
    """Height and width that are multiples of it are kept."""

    def __init__(
        self, blocks: int = 9, channels: int = 64, norm: str = "instance", dropout_ratio: float = 0.0
    ) -> None:
        super().__init__()
        if blocks < 1:
            raise ConfigError(f"ResnetGenerator: blocks={blocks}; expected one at least")
        layer, bias, c = norm_layer(norm), norm == "instance", channels
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, c, 7, bias=bias), layer(c), nn.ReLU()]
        for width in (c, 2 * c):
            down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=bias)
            layers += [down, layer(2 * width), nn.ReLU()]
        layers += [ResnetBlock(4 * c, norm, dropout_ratio) for _ in range(blocks)]
        for width in (4 * c, 2 * c):
            up = nn.ConvTranspose2d(width, width // 2, 3, stride=2, padding=1, output_padding=1, bias=bias)
            layers += [up, layer(width // 2), nn.ReLU()]
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(c, 3, 7), nn.Tanh())
        self.apply(initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Images (B, 3, H, W) with values in [-1, 1] to images of that kind."""
        return self.model(image)


class ResnetBlock(nn.Module):
    """Two 3×3 convolutions around which the input is led; nothing follows the sum.

    Args:
        channels: Of input and output.
        norm, dropout_ratio: See :class:`ResnetGenerator`.
    """

    def __init__(self, channels: int, norm: str, dropout_ratio: float) -> None:
        super().__init__()
        layer, bias = norm_layer(norm), norm == "instance"

        def half() -> list[nn.Module]:
            convolution = nn.Conv2d(channels, channels, 3, bias=bias)
            return [nn.ReflectionPad2d(1), convolution, layer(channels)]

        dropout = [nn.Dropout(dropout_ratio)] if dropout_ratio else []
        self.conv_block = nn.Sequential(*half(), nn.ReLU(), *dropout, *half())

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) to the same shape."""
        return x + self.conv_block(x)


@MODELS.register_module()
class UNetGenerator(nn.Module):
    """Strided convolutions down to few values, transposed ones back, each joined with its counterpart.

    Args:
        downs: Number of strided convolutions, 5 at least; height and width have to be multiples of 2^downs: 7
            for 128 pixels, 8 for 256.
        channels: Behind the first convolution; doubled three times, then kept.
        norm: ``'instance'`` or ``'batch'``.
        dropout_ratio: Behind the transposed convolutions of the widest levels but the innermost one; 0 =
            without.

    Raises:
        ConfigError: The norm is unknown, or there are too few levels.
    """

    def __init__(
        self, downs: int = 8, channels: int = 64, norm: str = "instance", dropout_ratio: float = 0.0
    ) -> None:
        super().__init__()
        if downs < 5:
            raise ConfigError(f"UNetGenerator: downs={downs}; expected 5 at least")
        self.multiple = 2**downs
        widths = [min(2**level, 8) * channels for level in range(downs)]
        level: UNetLevel | None = None
        for number in range(downs - 1, 0, -1):
            dropout = dropout_ratio if 4 <= number < downs - 1 else 0.0
            level = UNetLevel(widths[number - 1], widths[number], level, norm, dropout)
        self.model = UNetLevel(3, channels, level, norm, outermost=True)
        self.apply(initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Images (B, 3, H, W) with values in [-1, 1] to images of that kind and size.

        Raises:
            ConfigError: The size cannot be halved so often.
        """
        height, width = image.shape[2:]
        if height % self.multiple or width % self.multiple:
            raise ConfigError(
                f"UNetGenerator: images of {height}x{width} pixels; expected multiples of {self.multiple}, "
                "crop them so or take fewer downs"
            )
        return self.model(image)


class UNetLevel(nn.Module):
    """Half the resolution, the levels below, and back.

    Args:
        outer: Channels of its input, and of what it makes.
        inner: Channels of the level below.
        below: None for the innermost level.
        norm, dropout_ratio: See :class:`UNetGenerator`.
        outermost: Makes the image.
    """

    def __init__(
        self,
        outer: int,
        inner: int,
        below: nn.Module | None,
        norm: str,
        dropout_ratio: float = 0.0,
        outermost: bool = False,
    ) -> None:
        super().__init__()
        layer, bias = norm_layer(norm), norm == "instance"
        self.outermost = outermost
        down = nn.Conv2d(outer, inner, 4, stride=2, padding=1, bias=bias)
        joined = inner if below is None else 2 * inner
        up = nn.ConvTranspose2d(joined, outer, 4, stride=2, padding=1, bias=bias or outermost)
        if outermost:
            layers: list[nn.Module | None] = [down, below, nn.ReLU(), up, nn.Tanh()]
        else:
            dropout = nn.Dropout(dropout_ratio) if dropout_ratio else None
            normed = None if below is None else layer(inner)
            layers = [nn.LeakyReLU(0.2), down, normed, below, nn.ReLU(), up, layer(outer), dropout]
        self.model = nn.Sequential(*(part for part in layers if part is not None))

    def forward(self, x: Tensor) -> Tensor:
        """(B, outer, h, w) to (B, 2 · outer, h, w), input and output; the outermost level: the output."""
        found = self.model(x)
        return found if self.outermost else torch.cat([x, found], dim=1)
