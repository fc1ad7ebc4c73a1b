"""The bootstrapping loss of TPLD (Shin, Woo, Pan, Kweon, "Two-phase Pseudo Label Densification for
Self-training based Domain Adaptation", ECCV 2020). There is no published code."""

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.labelling.label_folder import RoundLabels


class Bootstrapping(nn.Module):
    """Chosen labels and the network's own prediction share a pixel: with q_k = p_k / λ_k

        −Σ_k {β ŷ_k + (1 − β) q_k} log q_k.

    The first part is the cross entropy with the weight :meth:`label_weight` (but for β Σ_k ŷ_k log λ_k, which
    has no gradient), the second one is what the module returns. Both are means over the labelled pixels.

    Args:
        num_classes: Number of classes.
        beta: β; **not published**. Where the loss comes from (Reed et al., 2015) it is 0.95, from memory.

    Raises:
        ConfigError: β is no share.
    """

    thresholds: Tensor

    def __init__(self, num_classes: int, beta: float) -> None:
        super().__init__()
        if not 0 <= beta <= 1:
            raise ConfigError(f"uda: beta={beta}; expected the share of the chosen label, in [0, 1]")
        self.beta = beta
        self.register_buffer("thresholds", torch.ones(num_classes), persistent=False)

    def begin_round(self, labels: RoundLabels) -> None:
        """Take over the thresholds λ of a round.

        Raises:
            ConfigError: Its labeller has none.
        """
        if labels.thresholds is None:
            raise ConfigError(
                f"{labels.folder}: has labels without thresholds, which the bootstrapping loss needs; "
                "expected a labeller with thresholds in rounds.labeller, as Voting or EasyHard"
            )
        self.thresholds.copy_(torch.tensor(labels.thresholds))

    def label_weight(self, from_target: Tensor, labelled: Tensor) -> Tensor:
        """Weight (B, H, W) of the cross entropy: β on target images, else 1.

        Args:
            from_target: (B,) bool, the images of the target.
            labelled: (B, H, W) bool, the pixels with a label.
        """
        return torch.where(from_target, self.beta, 1.0)[:, None, None].expand(labelled.shape)

    def forward(self, logits: Tensor, labelled: Tensor, from_target: Tensor) -> Tensor:
        """(1 − β) · mean of −Σ_k q_k log q_k, shape (); 0 without a labelled pixel.

        Args:
            logits: (B, C, H, W).
            labelled: (B, H, W) bool, the pixels with a label.
            from_target: (B,) bool; only images of the target add to the sum, and all to the number.
        """
        log_q = logits.log_softmax(dim=1) - self.thresholds[:, None, None].log()
        own = -(log_q.exp() * log_q).sum(dim=1) * (labelled & from_target[:, None, None])
        return (1 - self.beta) * own.sum() / labelled.sum().clamp(min=1)
