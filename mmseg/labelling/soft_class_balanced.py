"""Soft labels of CRST: the label entropy regulariser (LRENT).

Zou, Yu, Liu, Kumar, Wang, "Confidence Regularized Self-Training", ICCV 2019.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mmseg.errors import ConfigError
from mmseg.labelling.by_threshold import ByThreshold
from mmseg.labelling.class_balanced import ClassBalanced
from mmseg.labelling.labeller import Choice, ImageLabel
from mmseg.labelling.spatial_prior import SpatialPrior
from mmseg.labels import IGNORE_INDEX
from mmseg.registry import LABELLERS


class SoftByThreshold(ByThreshold):
    """Soft labels ŷ_k ∝ (p_k / λ_k)^(1/α), the minimum of the cross entropy and α Σ ŷ log ŷ over the simplex;
    chosen where that is better than no label, i.e. where Σ_k (p_k / λ_k)^(1/α) > 1.

    Args:
        alpha: Weight α of the entropy.
        thresholds: λ_k of each class.
        prior: Weighs the probabilities.
        summary: What else was found.
    """

    def __init__(
        self, alpha: float, thresholds: Sequence[float], prior: SpatialPrior | None = None,
        summary: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(thresholds, prior, summary)
        self.alpha = alpha

    def soft(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Soft labels (K, H, W) of all pixels, and which are chosen, (H, W) bool."""
        powers = self.ratios(probabilities).log() / self.alpha
        return powers.softmax(dim=0), powers.logsumexp(dim=0) > 0

    def label(self, name: str, probabilities: Tensor) -> ImageLabel | None:
        soft, chosen = self.soft(probabilities)
        label = self.ratios(probabilities).argmax(dim=0).byte().masked_fill_(~chosen, IGNORE_INDEX)
        return ImageLabel(label, soft * chosen)


@LABELLERS.register_module()
class SoftClassBalanced(ClassBalanced):
    """Class-balanced thresholds and soft labels.

    Args:
        alpha: Weight α of the labels' entropy; the smaller, the harder the labels.
        **kwargs: See :class:`~mmseg.labelling.by_threshold.ThresholdLabeller`.

    Raises:
        ConfigError: α is not positive.
    """

    soft_labels = True

    def __init__(self, alpha: float = 0.25, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if alpha <= 0:
            raise ConfigError(f"SoftClassBalanced: alpha={alpha}; expected a positive number")
        self.alpha = alpha

    def choice(self, thresholds: list[float], summary: dict[str, Any]) -> Choice:
        return SoftByThreshold(self.alpha, thresholds, self._prior, summary)
