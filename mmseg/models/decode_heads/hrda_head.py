"""Multi-resolution fusion of HRDA.

Hoyer, Dai, Van Gool, "HRDA: Context-Aware High-Resolution Domain-Adaptive Semantic Segmentation", ECCV 2022,
section 3.2 and 3.3.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.decode_heads.hrda_features import HRDAFeatures
from mmseg.models.layers.channels import with_channels
from mmseg.models.layers.resize import resize
from mmseg.models.layers.sliding_window import Window, average_windows
from mmseg.registry import MODELS

SCALE_ATTENTION = {"LR": 0.0, "HR": 1.0}
"""Weight of the detail in the prediction of one scale alone: context (LR) or detail (HR)."""


class Fusion(NamedTuple):
    """What the head makes of both scales.

    Attributes:
        fused: Logits (B, C, h, w) at the stride of the detail.
        context: Logits of the context times (1 - attention), at their own stride.
        detail: Logits (N · B, C, h', w') of the detail crops.
        attention: Weight of the detail (B, C or 1, h, w) in [0, 1] at the stride of the detail.
    """

    fused: Tensor
    context: Tensor
    detail: Tensor
    attention: Tensor

    def attention_map(self) -> Tensor:
        """Weight of the detail as one map, (B, 1, h, w) in [0, 1].

        The attention of the classes is averaged by their predicted probability, as published.
        """
        return (self.attention * self.fused.softmax(dim=1)).sum(dim=1, keepdim=True)


@MODELS.register_module()
class HRDAHead(nn.Module):
    """Predicts context and detail with one shared head and fuses them by a learned scale attention.

    Args:
        single_scale_head: Type of the head that both scales share: any registered decode head. Its logits
            alone are trained; further classifiers that it has for training only are not used.
        attention_head: Config of the head that gives the scale attention, without ``num_classes``; by default
            what the shared head says in ``attention_config``.
        attention_classwise: One attention map per class instead of one for all.
        hr_loss_weight: Weight of the loss on the detail logits alone.
        lr_loss_weight: Weight of the loss on the (attended) context logits alone.
        fixed_attention: This weight of the detail everywhere, instead of a learned attention.
        head: Arguments of the shared head.

    Raises:
        ConfigError: No such head, or weights that leave nothing to the fused loss.
    """

    def __init__(
        self,
        single_scale_head: str,
        attention_head: dict | None = None,
        attention_classwise: bool = True,
        hr_loss_weight: float = 0.0,
        lr_loss_weight: float = 0.0,
        fixed_attention: float | None = None,
        **head: Any,
    ) -> None:
        super().__init__()
        if min(hr_loss_weight, lr_loss_weight) < 0 or hr_loss_weight + lr_loss_weight >= 1:
            raise ConfigError(
                f"HRDAHead: hr_loss_weight={hr_loss_weight} and lr_loss_weight={lr_loss_weight}; expected "
                "two numbers from 0 on with a sum below 1, the rest is the weight of the fused loss"
            )
        if fixed_attention is not None and not 0 <= fixed_attention <= 1:
            raise ConfigError(
                f"HRDAHead: fixed_attention={fixed_attention}; expected None or a number in [0, 1]"
            )
        self.hr_loss_weight = hr_loss_weight
        self.lr_loss_weight = lr_loss_weight
        self.fixed_attention = fixed_attention
        self.head = MODELS.build(dict(type=single_scale_head, **head))
        if fixed_attention is None:
            attention = attention_head or dict(self.head.attention_config(head), type=single_scale_head)
            maps = self.head.num_classes if attention_classwise else 1
            self.scale_attention = MODELS.build(dict(attention, num_classes=maps))

    @classmethod
    def with_channels(cls, head: dict[str, Any], channels: Sequence[int]) -> dict[str, Any]:
        """Arguments with the channels of the encoder's levels, for the shared head and the attention."""
        shared = with_channels({**head, "type": head["single_scale_head"]}, channels)
        filled = {**shared, "type": head["type"]}
        if head.get("attention_head"):
            filled["attention_head"] = with_channels(head["attention_head"], channels)
        return filled

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.head.num_classes

    @property
    def align_corners(self) -> bool:
        """Rule of resizing the fused logits: that of the shared head."""
        return self.head.align_corners

    def forward(self, features: HRDAFeatures, output: str | None = None) -> Tensor:
        """Fused logits (B, C, h, w) at the stride of the detail, or what they are made of.

        Args:
            features: Of both scales.
            output: ``LR`` for the logits of the context alone, ``HR`` for those of the detail alone, ``ATT``
                for the attention, see :meth:`Fusion.attention_map`.
        """
        fusion = self.fuse(features, None if output in (None, "ATT") else SCALE_ATTENTION[output])
        return fusion.attention_map() if output == "ATT" else fusion.fused

    def forward_with_logits(
        self, features: HRDAFeatures, gt_semantic_seg: Tensor, seg_weight: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses on the fused logits, on the context and on the detail (eq. 10), and the fused logits.

        Args:
            features: Of one detail crop per image.
            gt_semantic_seg: (B, H, W) int64 labels of the whole input.
            seg_weight: (B, H, W) weights of the pixels.
        """
        fused, context, detail, _ = self.fuse(features)
        fused_weight = 1 - self.lr_loss_weight - self.hr_loss_weight
        losses = self._weighted_loss("", fused_weight, fused, gt_semantic_seg, seg_weight)
        if self.lr_loss_weight > 0:
            losses |= self._weighted_loss("lr.", self.lr_loss_weight, context, gt_semantic_seg, seg_weight)
        if self.hr_loss_weight > 0:
            (window,) = features.windows
            label = window.of(gt_semantic_seg)
            weight = None if seg_weight is None else window.of(seg_weight)
            losses |= self._weighted_loss("hr.", self.hr_loss_weight, detail, label, weight)
        return losses, fused

    def _weighted_loss(
        self, prefix: str, factor: float, logits: Tensor, label: Tensor, weight: Tensor | None
    ) -> dict[str, Tensor]:
        losses = self.head.loss(logits, label, weight)
        return {f"{prefix}{name}": x * factor if "loss" in name else x for name, x in losses.items()}

    def fuse(self, features: HRDAFeatures, fixed_attention: float | None = None) -> Fusion:
        """Attended sum of both scales (eq. 7 and 8).

        Args:
            features: Of both scales.
            fixed_attention: This weight of the detail everywhere, instead of the attention of the head.
        """
        context = self.head(features.context)
        detail = self._detail_logits(features)
        stride = output_stride(features, detail)
        attention = self.attention(features, context, stride, fixed_attention)
        context = (1 - attention) * context
        pasted = paste(detail, features, stride)
        attention, enlarged = (resize(x, pasted.shape[2:]) for x in (attention, context))
        return Fusion(attention * pasted + enlarged, context, detail, attention)

    def _detail_logits(self, features: HRDAFeatures) -> Tensor:
        if features.detail_logits is not None:
            return features.detail_logits
        if self.training or features.crops_per_pass is None:  # batch statistics are those of all crops
            return self.head(features.detail)
        parts = zip(*(level.split(features.crops_per_pass) for level in features.detail), strict=True)
        return torch.cat([self.head(list(part)) for part in parts])

    def attention(
        self, features: HRDAFeatures, context: Tensor, stride: int, fixed: float | None = None
    ) -> Tensor:
        """Weight of the detail, 0 where no detail crop lies.

        Args:
            features: Of both scales.
            context: Logits (B, C, h, w) of the context.
            stride: Of the decode head, in pixels.
            fixed: See :meth:`fuse`.

        Returns:
            (B, C or 1, h, w) in [0, 1].
        """
        fixed = self.fixed_attention if fixed is None else fixed
        if fixed is not None:
            attention = torch.full_like(context, fixed)
        else:
            attention = self.scale_attention(features.context).sigmoid()
            attention = resize(attention, context.shape[2:])
        if covers_all(features):
            return attention
        mask = attention.new_zeros((1, 1, *attention.shape[2:]))
        for window in features.windows:
            window.cells(stride / features.context_scale).of(mask).fill_(1)
        return attention * mask


def output_stride(features: HRDAFeatures, detail: Tensor) -> int:
    """Pixels of the input per cell of the logits (N · B, C, h, w) of the detail crops."""
    window = features.windows[0]
    return (window.bottom - window.top) // detail.shape[2]


def covers_all(features: HRDAFeatures) -> bool:
    """Whether the crops are sliding windows (which cover the input) or one crop of its size."""
    height, width = features.size
    return len(features.windows) > 1 or features.windows[0] == Window(0, height, 0, width)


def paste(detail: Tensor, features: HRDAFeatures, stride: int) -> Tensor:
    """Logits of detail crops in their places, averaged where they overlap, 0 where there is none.

    Args:
        detail: (N · B, C, h', w').
        features: Says where the crops lie: at multiples of the stride.
        stride: Of the decode head, in pixels.

    Returns:
        (B, C, h, w) at this stride.
    """
    height, width = (length // stride for length in features.size)
    places = [window.cells(stride) for window in features.windows]
    if len(places) == 1:
        (place,) = places
        return F.pad(detail, (place.left, width - place.right, place.top, height - place.bottom))
    return average_windows(lambda _: detail, (height, width), places, windows_per_forward=None)
