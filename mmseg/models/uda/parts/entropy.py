"""Uncertainty of predictions (Vu et al., "ADVENT", CVPR 2019)."""

import math

from torch import Tensor


def self_information(logits: Tensor) -> Tensor:
    """Weighted self-information I_c = −P_c · log P_c / log C of every class.

    Args:
        logits: (B, C, H, W).

    Returns:
        (B, C, H, W); the sum over the classes is the entropy as a share of the largest possible one.
    """
    log_probability = logits.log_softmax(dim=1)
    return log_probability.exp() * log_probability / -math.log(logits.shape[1])


def mean_entropy(logits: Tensor, most_uncertain: float = 1.0) -> Tensor:
    """Mean normalised entropy of a batch.

    Args:
        logits: (B, C, H, W).
        most_uncertain: Share of the pixels of each image that count, those of the highest entropy (ER);
            one at least.

    Returns:
        Shape (), in [0, 1].
    """
    entropy = self_information(logits).sum(dim=1).flatten(1)  # (B, H·W)
    if most_uncertain < 1:
        number = max(1, int(most_uncertain * entropy.shape[1]))
        entropy, _ = entropy.topk(number, dim=1, sorted=False)
    return entropy.mean()


def charbonnier_entropy(
    logits: Tensor, exponent: float = 2.0, largest_entropy: float | None = None
) -> Tensor:
    """Mean of (h² + 1e-8)^η over pixels of normalised entropy h: with η above ½, the larger it is the more a
    pixel counts (Yang, Soatto, "FDA", CVPR 2020).

    Args:
        logits: (B, C, H, W).
        exponent: η.
        largest_entropy: What entropies are divided by; None = log C.

    Returns:
        Shape ().
    """
    entropy = self_information(logits).sum(dim=1)
    if largest_entropy is not None:
        entropy = entropy * (math.log(logits.shape[1]) / largest_entropy)
    return (entropy.square() + 1e-8).pow(exponent).mean()
