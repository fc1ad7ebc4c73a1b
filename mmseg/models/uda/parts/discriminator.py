"""The fully convolutional discriminator of output space adaptation (Tsai et al., CVPR 2018)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch.nn.functional as F
from torch import Tensor, nn

DISCRIMINATOR = "discriminator"
"""Name of its optimizer."""
SOURCE, TARGET = 0.0, 1.0  # what it is to say
SLOPE = 0.2  # of the leaky ReLU


class FCDiscriminator(nn.Module):
    """Scores, patch by patch, from which domain class probabilities come.

    Five 4×4 convolutions of stride 2 with leaky ReLU in between, without norm and without sigmoid.

    Args:
        num_classes: Channels of the probabilities.
        channels: Channels of the first convolution; they double with each of the next three.
    """

    def __init__(self, num_classes: int, channels: int = 64) -> None:
        super().__init__()
        self.conv1 = downsampling(num_classes, channels)
        self.conv2 = downsampling(channels, channels * 2)
        self.conv3 = downsampling(channels * 2, channels * 4)
        self.conv4 = downsampling(channels * 4, channels * 8)
        self.classifier = downsampling(channels * 8, 1)

    def forward(self, probabilities: Tensor) -> Tensor:
        """(B, C, H, W) probabilities, 32 pixels or more each way, to (B, 1, H / 32, W / 32) scores."""
        x = probabilities
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.leaky_relu(conv(x), SLOPE)
        return self.classifier(x)


def downsampling(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A convolution that halves the resolution."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=4, stride=2, padding=1)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """What is computed inside sends gradients through the network, but none to its parameters."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
