"""Pixel-wise cross entropy."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.labels import IGNORE_INDEX
from mmseg.models.layers.precision import full_precision
from mmseg.registry import MODELS


def is_labelled(label: Tensor, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """(B, H, W) bool, the pixels that have a class.

    Args:
        label: Hard labels (B, H, W) int64, or soft ones (B, C, H, W), all 0 in pixels without a class.
        ignore_index: Hard label of pixels without a class.
    """
    return label.amax(dim=1) > 0 if label.is_floating_point() else label != ignore_index


@MODELS.register_module()
class CrossEntropyLoss(nn.Module):
    """Cross entropy L = λ · 1/N · Σ_i w_i · (−Σ_k y_ik · log softmax(z_i)[k]), summed over pixels with a
    class, where y_i is 1 at the class of a pixel; or a soft label, which says how much of each class it is.

    N is the number of **all** pixels of the batch, those without a class included, as in the published
    training of DAFormer, HRDA and MIC: an image with few labelled pixels weighs little.

    Args:
        loss_weight: λ.
        class_weight: One factor per class, or None.
        avg_non_ignore: N is the number of pixels with a class instead, as in AdaptSegNet, ADVENT and CLAN;
            without any the loss is 0.
    """

    class_weight: Tensor | None

    def __init__(
        self,
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        avg_non_ignore: bool = False,
    ) -> None:
        super().__init__()
        self.avg_non_ignore = avg_non_ignore
        self.loss_weight = loss_weight
        factors = None if class_weight is None else torch.tensor(class_weight, dtype=torch.float32)
        self.register_buffer("class_weight", factors, persistent=False)

    def forward(
        self, logits: Tensor, label: Tensor, weight: Tensor | None = None, ignore_index: int = IGNORE_INDEX
    ) -> Tensor:
        """Loss of a batch, at least in float32 whatever the type of the logits.

        Args:
            logits: (B, C, H, W).
            label: (B, H, W) int64 in 0…C−1, or ``ignore_index``; or soft labels (B, C, H, W) from 0 on, all 0
                in pixels without a class.
            weight: (B, H, W) factor w of each pixel, or None for 1.
            ignore_index: Label of pixels without a class.

        Returns:
            Shape ().
        """
        logits = full_precision(logits)
        if label.is_floating_point():
            loss = F.cross_entropy(logits, label.to(logits.dtype), self.class_weight, reduction="none")
        else:
            loss = F.cross_entropy(
                logits, label, self.class_weight, ignore_index=ignore_index, reduction="none"
            )
        if weight is not None:
            loss = loss * weight
        if self.avg_non_ignore:
            return self.loss_weight * loss.sum() / is_labelled(label, ignore_index).sum().clamp(min=1)
        return self.loss_weight * loss.mean()
