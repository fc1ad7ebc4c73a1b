"""Focal loss of all pixels with a class."""

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.labels import IGNORE_INDEX
from mmseg.models.layers.precision import full_precision
from mmseg.registry import MODELS

LEAST = 1e-9  # probabilities are kept this far from 0 and 1


@MODELS.register_module()
class FocalLoss(nn.Module):
    """L = λ · 1/N · Σ_i −w_i · (1 − q_i)^γ · log q_i, where q_i is the probability of the label of pixel i.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, over a softmax. N is the number of
    pixels with a class. The published code of CLAN trains with it where the paper says cross entropy.

    Args:
        loss_weight: λ.
        gamma: γ.
    """

    def __init__(self, loss_weight: float = 1.0, gamma: float = 2.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.gamma = gamma

    def forward(
        self, logits: Tensor, label: Tensor, weight: Tensor | None = None, ignore_index: int = IGNORE_INDEX
    ) -> Tensor:
        """Loss of a batch; see :class:`CrossEntropyLoss`."""
        probability = full_precision(logits).softmax(dim=1)
        chosen = -F.nll_loss(probability, label, ignore_index=ignore_index, reduction="none")
        labelled, chosen = label != ignore_index, chosen.clamp(LEAST, 1 - LEAST)
        loss = (1 - chosen) ** self.gamma * -chosen.log() * labelled
        if weight is not None:
            loss = loss * weight
        return self.loss_weight * loss.sum() / labelled.sum().clamp(min=1)
