"""The encoder of SegNet.

Badrinarayanan, Kendall, Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image
Segmentation", TPAMI 2017.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.models.backbones.vgg import STAGES
from mmseg.models.layers import segnet_conv
from mmseg.models.layers.segnet_conv import SegNetConv
from mmseg.registry import MODELS


@MODELS.register_module()
class SegNetEncoder(nn.Module):
    """VGG-16 with batch norm whose pools remember where their maxima were.

    Args:
        norm_cfg: Normalisation; by default :data:`~mmseg.models.layers.segnet_conv.NORM`.
        stages: Channels of the convolutions of each stage.
    """

    def __init__(self, norm_cfg: dict | None = None, stages: Sequence[Sequence[int]] = STAGES) -> None:
        super().__init__()
        width = 3
        self.names: list[list[str]] = []
        for stage, widths in enumerate(stages, start=1):
            self.names.append([f"conv{stage}_{number}" for number, _ in enumerate(widths, start=1)])
            for name, channels in zip(self.names[-1], widths, strict=True):
                self.add_module(name, SegNetConv(width, channels, norm_cfg))
                width = channels

    def forward(self, image: Tensor) -> list[Tensor]:
        """Encode an image.

        Args:
            image: (B, 3, H, W), normalised.

        Returns:
            The image, which tells the decoder its size; for each stage (B, C_i, ⌈H/2^i⌉, ⌈W/2^i⌉) int64, the
            places of the maxima in the flattened map in front of the pool; the last stage's pooled map.
        """
        levels, feature_map = [image], image
        for names in self.names:
            for name in names:
                feature_map = self.get_submodule(name)(feature_map)
            feature_map, places = F.max_pool2d(feature_map, 2, ceil_mode=True, return_indices=True)
            levels.append(places)
        return [*levels, feature_map]

    def own_name(self, name: str) -> str:
        """Name here of an entry that is named like the layers of the published prototxt."""
        return segnet_conv.own_name(name)
