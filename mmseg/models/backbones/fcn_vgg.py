"""VGG-16 as fully convolutional network.

Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.models.backbones.vgg import VGG16
from mmseg.registry import MODELS

PADDING = 99
"""Of the image. With that of the first convolution it is the 100 pixels of the Caffe network, which leave the
7×7 convolution ``fc6`` something of any image."""


@MODELS.register_module()
class FCNVGG16(VGG16):
    """Levels for :class:`~mmseg.models.decode_heads.FCN8sHead`: the image, pools 3 and 4, ``fc7``.

    All but the first are those of the image with a margin of zeros. The pools round sizes up.

    Args:
        channels: Of ``fc6`` and ``fc7``.
        dropout_ratio: Probability of leaving out a whole channel behind each of the two.

    Attributes:
        channels: Of the levels.
    """

    def __init__(self, channels: int = 4096, dropout_ratio: float = 0.5) -> None:
        fc6, fc7 = nn.Conv2d(512, channels, 7), nn.Conv2d(channels, channels, 1)
        super().__init__(5, True, 1, fc6, fc7, dropout_ratio)
        self.channels = (3, 256, 512, channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Encode an image.

        Args:
            image: (B, 3, H, W), normalised.

        Returns:
            The image, which tells the head its size, and maps of strides 8, 16 and 32.
        """
        third, fourth = (end + 1 for end in self.ends[2:4])
        pool3 = self.features[:third](F.pad(image, (PADDING,) * 4))
        pool4 = self.features[third:fourth](pool3)
        return [image, pool3, pool4, self.fully_connected(self.features[fourth:](pool4))]
