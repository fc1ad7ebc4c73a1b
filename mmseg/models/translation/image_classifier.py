"""The classifier of digits with which CyCADA holds on to what images show.

Hoffman et al., "CyCADA: Cycle-Consistent Adversarial Domain Adaptation", ICML 2018. Names of layers are those
of its published network.
"""

from torch import Tensor, nn

from mmseg.models.translation.layers import initialise
from mmseg.registry import MODELS


@MODELS.register_module()
class DigitClassifier(nn.Module):
    """Four strided 3×3 convolutions without padding, and two linear layers with nothing in between.

    Args:
        num_classes: Number of classes.
        channels: Behind the first two convolutions; the next two double them.
    """

    def __init__(self, num_classes: int = 10, channels: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, stride=2), nn.LeakyReLU(0.2)]
        for inner, outer in ((1, 1), (1, 2), (2, 4)):
            convolution = nn.Conv2d(inner * channels, outer * channels, 3, stride=2)
            layers += [convolution, nn.BatchNorm2d(outer * channels), nn.LeakyReLU(0.2)]
        self.before_linear = nn.Sequential(*layers)
        self.after_linear = nn.Sequential(nn.Linear(4 * channels, 1024), nn.Linear(1024, num_classes))
        self.apply(initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Images (B, 3, 32, 32) in [-1, 1] to logits (B, classes)."""
        return self.after_linear(self.before_linear(image).flatten(1))
