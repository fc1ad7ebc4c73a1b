"""The decoder of SegNet.

Badrinarayanan, Kendall, Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image
Segmentation", TPAMI 2017.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mmseg.models.decode_heads.base_decode_head import BaseDecodeHead
from mmseg.models.layers import segnet_conv
from mmseg.models.layers.segnet_conv import SegNetConv
from mmseg.registry import MODELS

CLASSIFIER = "conv1_1_D"
"""The last convolution, which has neither norm nor ReLU."""


@MODELS.register_module()
class SegNetHead(BaseDecodeHead):
    """The encoder backwards: values go back to where the maxima were, convolutions fill what lies between.

    Args:
        stages: Channels of the convolutions of each stage of the encoder.
        kwargs: Arguments of :class:`BaseDecodeHead`; ``in_channels`` are those of the levels of
            :class:`~mmseg.models.backbones.SegNetEncoder`, all of which are taken.
    """

    def __init__(self, stages: Sequence[Sequence[int]], **kwargs: Any) -> None:
        levels = tuple(range(len(stages) + 2))
        super().__init__(**{"in_index": levels, "channels": stages[0][0], "dropout_ratio": 0, **kwargs})
        del self.conv_seg  # the last convolution classifies
        self.names: list[list[str]] = []
        before = [self.num_classes, *(widths[-1] for widths in stages)]
        for stage, widths in reversed(list(enumerate(stages, start=1))):
            places = [(f"conv{stage}_{number}_D", width) for number, width in enumerate(widths, start=1)]
            outputs = [before[stage - 1], *widths[:-1]]
            for (name, width), channels in reversed(list(zip(places, outputs, strict=True))):
                block = SegNetConv(width, channels, self.block["norm_cfg"])
                self.add_module(name, block.conv if name == CLASSIFIER else block)
            self.names.append([name for name, _ in reversed(places)])

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Takes image, places of maxima and last map to logits (B, num_classes, H, W)."""
        image, *places, feature_map = self.select(features)
        sizes = [level.shape[2:] for level in (image, *places[:-1])]
        for names, where, size in zip(self.names, reversed(places), reversed(sizes), strict=True):
            feature_map = unpooled(feature_map, where, size)
            for name in names:
                feature_map = self.get_submodule(name)(feature_map)
        return feature_map

    def own_name(self, name: str) -> str:
        """Name here of an entry that is named like the layers of the published prototxt."""
        return name if name.startswith(f"{CLASSIFIER}.") else segnet_conv.own_name(name)


def unpooled(feature_map: Tensor, places: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, h, w) values at their places in a flattened map of zeros, as (B, C, *size).

    ``max_unpool2d`` does the same, but has no deterministic form on a GPU.
    """
    flat = feature_map.new_zeros((*feature_map.shape[:2], size[0] * size[1]))
    return flat.scatter(2, places.flatten(2), feature_map.flatten(2)).unflatten(2, (size[0], size[1]))
