"""The decoder of FCN-8s.

Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015; in
the PyTorch form that CyCADA and BDL use.
"""

import re
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import constant_init
from torch import Tensor, nn

from mmseg.models.decode_heads.base_decode_head import BaseDecodeHead
from mmseg.registry import MODELS

POOL4_SCALE, POOL3_SCALE = 0.01, 0.0001
"""Factors of the skip connections, as the Caffe network trained at once has them."""
POOL4_OFFSET, POOL3_OFFSET, IMAGE_OFFSET = 5, 9, 31
"""Where the maps of the padded image begin to show what the map that joins them shows."""


class BilinearUpsampling(nn.Module):
    """Transposed convolution that interpolates bilinearly, each channel for itself; it is never trained.

    Args:
        channels: Number of channels C.
        factor: Of the enlargement.
    """

    weight: Tensor

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        ramp = 1 - (torch.arange(2 * factor) + 0.5 - factor).abs() / factor
        kernel = torch.einsum("cd,h,w->cdhw", torch.eye(channels), ramp, ramp)
        self.register_buffer("weight", kernel)

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, C, h, w) to (B, C, (h + 1) · factor, (w + 1) · factor)."""
        return F.conv_transpose2d(feature_map, self.weight, stride=self.factor)


@MODELS.register_module()
class FCN8sHead(BaseDecodeHead):
    """Classifies three levels and adds them up on the way to the size of the image.

    Args:
        kwargs: Arguments of :class:`BaseDecodeHead`; ``in_channels`` are those of the image, of the pools 3
            and 4 and of ``fc7``, see :class:`~mmseg.models.backbones.FCNVGG16`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"in_index": (0, 1, 2, 3), "dropout_ratio": 0, **kwargs})
        _, pool3, pool4, last = self.channels_of_levels()
        self.conv_seg = nn.Conv2d(last, self.num_classes, 1)
        self.upscore2 = BilinearUpsampling(self.num_classes, 2)
        self.score_pool4 = zero_classifier(pool4, self.num_classes)
        self.upscore_pool4 = BilinearUpsampling(self.num_classes, 2)
        self.score_pool3 = zero_classifier(pool3, self.num_classes)
        self.upscore8 = BilinearUpsampling(self.num_classes, 8)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Takes image (B, 3, H, W), pool 3, pool 4 and ``fc7`` to logits (B, num_classes, H, W)."""
        image, pool3, pool4, last = self.select(features)
        scores = self.upscore2(self.classify(last))
        scores = scores + cropped(self.score_pool4(POOL4_SCALE * pool4), POOL4_OFFSET, scores)
        scores = self.upscore_pool4(scores)
        scores = scores + cropped(self.score_pool3(POOL3_SCALE * pool3), POOL3_OFFSET, scores)
        return cropped(self.upscore8(scores), IMAGE_OFFSET, image)

    def own_name(self, name: str) -> str:
        """Name here of an entry of CyCADA's network, which calls the kernels ``upscore….w``."""
        return re.sub(r"^(upscore\w+)\.w$", r"\1.weight", name)


def zero_classifier(in_channels: int, num_classes: int) -> nn.Conv2d:
    """1×1 convolution that begins at zero, so that the network starts without its skip connections."""
    conv = nn.Conv2d(in_channels, num_classes, 1)
    constant_init(conv, 0)
    return conv


def cropped(feature_map: Tensor, offset: int, like: Tensor) -> Tensor:
    """The part of (B, C, h, w) of the size of ``like`` that begins ``offset`` rows and columns inside."""
    height, width = like.shape[2:]
    return feature_map[:, :, offset : offset + height, offset : offset + width]
