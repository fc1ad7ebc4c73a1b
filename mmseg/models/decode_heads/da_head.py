"""The decoder of DANet.

Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import Scale
from torch import Tensor, nn

from mmseg.models.decode_heads.base_decode_head import BaseDecodeHead
from mmseg.models.layers.precision import without_autocast
from mmseg.registry import MODELS


class PositionAttention(nn.Module):
    """Every pixel attends to all pixels, added to the input with a learned factor from 0 on.

    Args:
        channels: Of input, values and output.
        key_channels: Of keys and queries.
    """

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.key_project = nn.Conv2d(channels, key_channels, 1)
        self.query_project = nn.Conv2d(channels, key_channels, 1)
        self.value_project = nn.Conv2d(channels, channels, 1)
        self.gamma = Scale(0)

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""

        def sequence(projected: Tensor) -> Tensor:  # (B, one head, h · w, C) in the order fused kernels need
            return projected.flatten(2).transpose(1, 2).unsqueeze(1).contiguous()

        attended = F.scaled_dot_product_attention(
            sequence(self.query_project(feature_map)),
            sequence(self.key_project(feature_map)),
            sequence(self.value_project(feature_map)),
            scale=1.0,
        )
        attended = attended.squeeze(1).transpose(1, 2).unflatten(2, feature_map.shape[2:])
        return self.gamma(attended) + feature_map


class ChannelAttention(nn.Module):
    """Every channel attends to the channels least like it, added as above."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = Scale(0)

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        maps = feature_map.flatten(2)
        # Similarities are sums over all pixels: their differences, which the softmax looks at, are lost in
        # half precision.
        with without_autocast(feature_map.device):
            exact = maps.to(torch.promote_types(maps.dtype, torch.float32))
            attention = (-(exact @ exact.transpose(1, 2))).softmax(dim=-1)
        attended = attention.to(maps.dtype) @ maps
        return self.gamma(attended.unflatten(2, feature_map.shape[2:])) + feature_map


@MODELS.register_module()
class DAHead(BaseDecodeHead):
    """Position and channel attention side by side, classified as sum and each for itself.

    The separate classifiers serve training only: :meth:`forward` gives the logits of the sum.

    Args:
        pam_channels: Channels of keys and queries of the position attention.
        kwargs: Arguments of :class:`BaseDecodeHead`.
    """

    def __init__(self, pam_channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        in_channels = self.channels_of_one_level()
        self.pam_in_conv = self.conv_block(in_channels, 3)
        self.pam = PositionAttention(self.channels, pam_channels)
        self.pam_out_conv = self.conv_block(self.channels, 3)
        self.pam_conv_seg = nn.Conv2d(self.channels, self.num_classes, 1)
        self.cam_in_conv = self.conv_block(in_channels, 3)
        self.cam = ChannelAttention()
        self.cam_out_conv = self.conv_block(self.channels, 3)
        self.cam_conv_seg = nn.Conv2d(self.channels, self.num_classes, 1)

    def attend(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps (B, channels, h, w) of position and channel attention."""
        (level,) = self.select(features)
        position = self.pam_out_conv(self.pam(self.pam_in_conv(level)))
        channel = self.cam_out_conv(self.cam(self.cam_in_conv(level)))
        return position, channel

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Takes the level (B, in_channels, h, w) to logits (B, num_classes, h, w) of the sum."""
        position, channel = self.attend(features)
        return self.classify(position + channel)

    def training_logits(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        """Logits (B, num_classes, h, w) of the sum, ``pam_cam``, and of both attentions, ``pam``, ``cam``."""
        position, channel = self.attend(features)
        return {
            "pam_cam": self.classify(position + channel),
            "pam": self.pam_conv_seg(self.dropout(position)),
            "cam": self.cam_conv_seg(self.dropout(channel)),
        }

    def forward_with_logits(
        self, features: Sequence[Tensor], gt_semantic_seg: Tensor, seg_weight: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of all three classifiers, ``pam_cam.loss_seg`` and so on, and the logits of the sum."""
        logits = self.training_logits(features)
        losses = {
            f"{branch}.{name}": value
            for branch, branch_logits in logits.items()
            for name, value in self.loss(branch_logits, gt_semantic_seg, seg_weight).items()
        }
        return losses, logits["pam_cam"]
