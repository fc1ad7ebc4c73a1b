"""Regularisers of the confidence of a network in its own labels (Zou, Yu, Liu, Kumar, Wang, "Confidence
Regularized Self-Training", ICCV 2019: "MR")."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from mmseg.errors import ConfigError
from mmseg.registry import accepted_arguments, check_arguments

KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "kld": lambda log_p: -log_p.mean(dim=1),
    "ent": lambda log_p: (log_p.exp() * log_p).sum(dim=1),
    "l2": lambda log_p: log_p.exp().square().sum(dim=1),
}
"""r of log-probabilities (B, C, H, W): (B, H, W), small where no class stands out.

``kld`` is −1/C · Σ_k log p_k (MRKLD), ``ent`` Σ_k p_k log p_k (MRENT), ``l2`` Σ_k p_k² (MRL2).
"""


class ConfidenceRegulariser:
    """α · Σ_i w_i r_i / N, over the N labelled pixels of all images whose domain has a weight.

    Args:
        type: ``kld``, ``ent`` or ``l2``; MRKLD has α = 0.1 in the published code.
        alpha: α.
        target_weight: w of the pixels of target images. The published code of MRKLD sets it to α once more,
            so that the weight there is 0.1 · 0.1; with 1 it is the paper's.
        source_weight: w of those of source images.

    Raises:
        ConfigError: The type is unknown, or a number is negative.
    """

    def __init__(
        self, type: str, alpha: float, target_weight: float = 1.0, source_weight: float = 0.0
    ) -> None:
        if type not in KINDS:
            raise ConfigError(f"uda: regulariser has type={type!r}; expected one of {', '.join(KINDS)}")
        numbers = dict(alpha=alpha, target_weight=target_weight, source_weight=source_weight)
        if min(numbers.values()) < 0:
            raise ConfigError(f"uda: regulariser has {numbers}; expected numbers from 0 on")
        self.regularity = KINDS[type]
        self.alpha, self.target_weight, self.source_weight = alpha, target_weight, source_weight

    @classmethod
    def build(cls, settings: Mapping[str, Any] | None) -> "ConfidenceRegulariser | None":
        """The regulariser that a config asks for."""
        if settings is None:
            return None
        known, _ = accepted_arguments(cls)
        if unknown := sorted(settings.keys() - known):
            raise ConfigError(f"config: uda.regulariser has no {unknown}; known: {', '.join(sorted(known))}")
        check_arguments(cls, dict(settings), "config: uda.regulariser.")
        return cls(**settings)

    def __call__(self, logits: Tensor, labelled: Tensor, from_target: Tensor) -> Tensor:
        """Its loss on a batch, shape (); 0 without a pixel that counts.

        Args:
            logits: (B, C, H, W).
            labelled: (B, H, W) bool, the pixels with a label.
            from_target: (B,) bool, the images of the target.
        """
        target = from_target[:, None, None]
        counted = labelled & torch.where(target, self.target_weight > 0, self.source_weight > 0)
        regularity = self.regularity(logits.log_softmax(dim=1))
        weighted = torch.where(target, self.target_weight * regularity, self.source_weight * regularity)
        return self.alpha * (weighted * counted).sum() / counted.sum().clamp(min=1)
