"""Multi-resolution fusion of HRDA.

Hoyer, Dai, Van Gool, "HRDA: Context-Aware High-Resolution Domain-Adaptive Semantic Segmentation", ECCV 2022,
section 3.2 and 3.3.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.decode_heads.hrda_features import HRDAFeatures
from mmseg.models.layers.sliding_window import Window
from mmseg.registry import MODELS

OUTPUT_STRIDE = {"DAFormerHead": 4, "DLV2Head": 8}
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
        single_scale_head: Type of the head that both scales share: ``DAFormerHead`` or ``DLV2Head``.
        attention_classwise: One attention map per class instead of one for all.
        hr_loss_weight: Weight of the loss on the detail logits alone.
        lr_loss_weight: Weight of the loss on the (attended) context logits alone.
        fixed_attention: This weight of the detail everywhere, instead of a learned attention.
        head: Arguments of the shared head.

    Raises:
        ConfigError: Another type of head, or weights that leave nothing to the fused loss.
    """

    def __init__(
        self,
        single_scale_head: str,
        attention_classwise: bool = True,
        hr_loss_weight: float = 0.0,
        lr_loss_weight: float = 0.0,
        fixed_attention: float | None = None,
        **head: Any,
    ) -> None:
        super().__init__()
        if single_scale_head not in OUTPUT_STRIDE:
            raise ConfigError(
                f"HRDAHead: single_scale_head={single_scale_head!r}; expected {' or '.join(OUTPUT_STRIDE)}"
            )
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
        self.output_stride = OUTPUT_STRIDE[single_scale_head]
        self.head = MODELS.build(dict(type=single_scale_head, **head))
        if fixed_attention is None:
            self.scale_attention = MODELS.build(
                attention_head(single_scale_head, head, None if attention_classwise else 1)
            )

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.head.num_classes

    def forward(self, features: HRDAFeatures, output: str | None = None) -> Tensor:
        """Fused logits (B, C, h, w) at the stride of the detail, or what they are made of.

        Args:
            features: Of both scales.
            output: ``LR`` for the logits of the context alone, ``HR`` for those of the detail alone, ``ATT``
                for the attention, see :meth:`Fusion.attention_map`.
        """
        fusion = self.fuse(features, None if output in (None, "ATT") else SCALE_ATTENTION[output])
        return fusion.attention_map() if output == "ATT" else fusion.fused

    def forward_train(
        self, features: HRDAFeatures, gt_semantic_seg: Tensor, seg_weight: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Losses on the fused logits, on the context and on the detail (eq. 10).

        Args:
            features: Of one detail crop per image.
            gt_semantic_seg: (B, H, W) int64 labels of the whole input.
            seg_weight: (B, H, W) weights of the pixels.
        """
        return self.forward_with_logits(features, gt_semantic_seg, seg_weight)[0]

    def forward_with_logits(
        self, features: HRDAFeatures, gt_semantic_seg: Tensor, seg_weight: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """:meth:`forward_train` and the fused logits; leaves the attention in ``features.pictures``."""
        fusion = self.fuse(features)
        fused, context, detail, _ = fusion
        with torch.no_grad():
            features.pictures["attention"] = fusion.attention_map()[:, 0]
        losses = self.head.loss(fused, gt_semantic_seg, seg_weight)
        losses["loss_seg"] = losses["loss_seg"] * (1 - self.lr_loss_weight - self.hr_loss_weight)
        if self.lr_loss_weight > 0:
            losses |= self._scale_loss("lr", self.lr_loss_weight, context, gt_semantic_seg, seg_weight)
        if self.hr_loss_weight > 0:
            (box,) = features.boxes
            label = box.of(gt_semantic_seg)
            weight = None if seg_weight is None else box.of(seg_weight)
            losses |= self._scale_loss("hr", self.hr_loss_weight, detail, label, weight)
        return losses, fused

    def _scale_loss(
        self, name: str, factor: float, logits: Tensor, label: Tensor, weight: Tensor | None
    ) -> dict[str, Tensor]:
        losses = self.head.loss(logits, label, weight)
        return {f"{name}.loss_seg": losses["loss_seg"] * factor, f"{name}.acc_seg": losses["acc_seg"]}

    def fuse(self, features: HRDAFeatures, fixed_attention: float | None = None) -> Fusion:
        """Attended sum of both scales (eq. 7 and 8).

        Args:
            features: Of both scales.
            fixed_attention: This weight of the detail everywhere, instead of the attention of the head.
        """
        context = self.head(features.context)
        detail = self._detail_logits(features)
        attention = self.attention(features, context, fixed_attention)
        context = (1 - attention) * context
        pasted = self.paste(detail, features)
        size = pasted.shape[2:]
        attention = self.head.resize(attention, size)
        return Fusion(attention * pasted + self.head.resize(context, size), context, detail, attention)

    def _detail_logits(self, features: HRDAFeatures) -> Tensor:
        if features.detail_logits is not None:
            return features.detail_logits
        if self.training or features.crops_per_pass is None:  # batch statistics are those of all crops
            return self.head(features.detail)
        parts = zip(*(level.split(features.crops_per_pass) for level in features.detail), strict=True)
        return torch.cat([self.head(list(part)) for part in parts])

    def attention(self, features: HRDAFeatures, like: Tensor, fixed: float | None = None) -> Tensor:
        """Weight of the detail (B, C or 1, h, w) at the context's stride; 0 where no detail crop lies."""
        fixed = self.fixed_attention if fixed is None else fixed
        if fixed is not None:
            attention = torch.full_like(like, fixed)
        else:
            attention = self.scale_attention(features.context).sigmoid()
        height, width = attention.shape[2:]
        if self._covers_all(features):
            return attention
        mask = torch.zeros((1, 1, height, width), dtype=attention.dtype, device=attention.device)
        for box in features.boxes:
            to_cells(box, self.output_stride / features.context_scale).of(mask).fill_(1)
        return attention * mask

    @staticmethod
    def _covers_all(features: HRDAFeatures) -> bool:
        """Whether the crops are sliding windows (which cover the input) or one crop of its size."""
        return len(features.boxes) > 1 or features.boxes[0] == Window(
            0, features.size[0], 0, features.size[1]
        )

    def paste(self, detail: Tensor, features: HRDAFeatures) -> Tensor:
        """Logits of detail crops in their places, averaged where they overlap, 0 where there is none."""
        (height, width), batch_size = features.size, len(features.context[0])
        cells = (height // self.output_stride, width // self.output_stride)
        if len(features.boxes) == 1:
            box = to_cells(features.boxes[0], self.output_stride)
            return F.pad(detail, (box.left, cells[1] - box.right, box.top, cells[0] - box.bottom))
        total = detail.new_zeros((batch_size, detail.shape[1], *cells))
        count = detail.new_zeros((1, 1, *cells))
        for window, logits in zip(features.boxes, detail.split(batch_size), strict=True):
            box = to_cells(window, self.output_stride)
            box.of(total).add_(logits)
            box.of(count).add_(1)
        return total / count


def attention_head(type: str, head: dict[str, Any], channels: int | None) -> dict[str, Any]:
    """Config of the scale attention: a head of the same type, for DAFormer with a plain 1×1 fusion.

    Args:
        type: Type of the shared head.
        head: Its arguments.
        channels: Attention maps; None = one per class.
    """
    cfg = dict(head, type=type)
    if channels is not None:
        cfg["num_classes"] = channels
    if type == "DAFormerHead":
        fusion = dict(type="conv", kernel_size=1, act_cfg=dict(type="ReLU"), norm_cfg=head.get("norm_cfg"))
        cfg["decoder_params"] = {**head["decoder_params"], "fusion_cfg": fusion}
    return cfg


def to_cells(box: Window, stride: float) -> Window:
    """A box in pixels as cells of a map, rounded down."""
    return Window(*(int(edge / stride) for edge in box))
