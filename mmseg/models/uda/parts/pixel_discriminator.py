"""A discriminator of single positions (J. Hoffman et al., "CyCADA", ICML 2018, published code)."""

from torch import Tensor, nn


class PixelDiscriminator(nn.Module):
    """Scores, position by position, from which domain scores or features come.

    Three 1×1 convolutions; the first two are followed by dropout of channels and then a ReLU.

    Args:
        in_channels: Channels of its input.
        channels: Channels behind the first convolution, half of them behind the second: 512 for class scores
            and 1024 for the 4096 features of a VGG16 in the published code.
        out_channels: 2 for one score per domain, 1 for the logit of one of them.
        dropout_ratio: Probability of leaving out a channel.
    """

    def __init__(
        self, in_channels: int, channels: int = 512, out_channels: int = 2, dropout_ratio: float = 0.5
    ) -> None:
        super().__init__()
        self.D = nn.Sequential(
            nn.Conv2d(in_channels, channels, kernel_size=1),
            nn.Dropout2d(dropout_ratio),
            nn.ReLU(),
            nn.Conv2d(channels, channels // 2, kernel_size=1),
            nn.Dropout2d(dropout_ratio),
            nn.ReLU(),
            nn.Conv2d(channels // 2, out_channels, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H, W) scores."""
        return self.D(x)
