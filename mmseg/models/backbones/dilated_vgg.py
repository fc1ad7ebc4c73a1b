"""VGG-16 with dilated convolutions instead of the last two pools.

As "front end": Yu, Koltun, "Multi-Scale Context Aggregation by Dilated Convolutions", ICLR 2016.
With other sizes of ``fc6`` and ``fc7``, the encoder of DeepLabV2 on VGG-16 (Chen et al., TPAMI 2018).
"""

from torch import Tensor, nn

from mmseg.models.backbones.vgg import VGG16
from mmseg.registry import MODELS


@MODELS.register_module()
class DilatedVGG16(VGG16):
    """Levels at strides 4, 8, 8 and 8: the stages 3 to 5 of VGG-16 and its fully connected layers.

    The last stage has dilation 2, ``fc6`` dilation 4; maps keep their size. The defaults are the front end.

    Args:
        channels: Of ``fc6`` and ``fc7``.
        fc6_kernel: Size of the convolution ``fc6``.
        fc7_kernel: Size of ``fc7``, which is dilated like ``fc6``.
        dropout_ratio: Probability of leaving out a whole channel behind each of the two.

    Attributes:
        channels: Of the levels.
    """

    def __init__(
        self, channels: int = 4096, fc6_kernel: int = 7, fc7_kernel: int = 1, dropout_ratio: float = 0.5
    ) -> None:
        fc6, fc7 = (
            nn.Conv2d(width, channels, kernel, padding=4 * (kernel // 2), dilation=4)
            for width, kernel in ((512, fc6_kernel), (channels, fc7_kernel))
        )
        super().__init__(3, False, 2, fc6, fc7, dropout_ratio)
        self.channels = (256, 512, 512, channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Encode an image.

        Args:
            image: (B, 3, H, W), normalised.

        Returns:
            Maps of :attr:`channels`: (B, 256, ⌊H/4⌋, ⌊W/4⌋), then three of (⌊H/8⌋, ⌊W/8⌋).
        """
        third, fourth, fifth = self.ends[2:]
        levels = [self.features[:third](image)]
        levels.append(self.features[third:fourth](levels[-1]))
        levels.append(self.features[fourth:fifth](levels[-1]))
        return [*levels, self.fully_connected(levels[-1])]
