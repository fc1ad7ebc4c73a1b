"""Labels for pixels whose probability reaches a threshold of its class."""

from abc import abstractmethod
from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor

from mmseg.errors import ConfigError
from mmseg.labelling.confidences import Confidences
from mmseg.labelling.labeller import Choice, ImageLabel, Labeller, Survey, of_round
from mmseg.labelling.spatial_prior import SpatialPrior
from mmseg.labels import IGNORE_INDEX


class ByThreshold(Choice):
    """Each pixel gets the class whose probability is the largest relative to its threshold, argmax p_k / λ_k;
    none where that is less than 1.

    Args:
        thresholds: λ_k of each class.
        prior: Weighs the probabilities.
        summary: What else was found.
    """

    def __init__(
        self, thresholds: Sequence[float], prior: SpatialPrior | None = None,
        summary: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__({"thresholds": list(thresholds), **(summary or {})})
        self._thresholds, self._prior = torch.tensor(thresholds, dtype=torch.float32), prior

    def ratios(self, probabilities: Tensor) -> Tensor:
        """p_k / λ_k, (K, H, W), where p are probabilities weighed by the prior."""
        scores = self._prior.weigh(probabilities) if self._prior else probabilities
        return scores / self._thresholds.to(scores.device)[:, None, None]

    def label(self, name: str, probabilities: Tensor) -> ImageLabel | None:
        best, label = self.ratios(probabilities).max(dim=0)
        return ImageLabel(label.byte().masked_fill_(best < 1, IGNORE_INDEX))


class ThresholdLabeller(Labeller):
    """Selects a portion of the most confident pixels, of each class or of all.

    Args:
        portion: Share of the pixels that is selected, in (0, 1]; of each round, where it is a list, whose
            last entry holds for all later rounds.
        stride: Every how many-th pixel of an image and class counts for the thresholds.
        prior: File of a spatial prior, see ``tools/make_spatial_prior.py``.
        rare_share: Classes with less than this share of the predicted pixels are rare.
        published_zeros: Thresholds as CBST's code finds them, whose lists of confidences start with zeros.
        exact: Thresholds from all confidences instead of a histogram; for small sets.

    Raises:
        ConfigError: A portion or the stride is out of range.
        DataError: The file of the prior is missing or damaged.
    """

    def __init__(
        self,
        portion: float | Sequence[float] = 0.2,
        stride: int = 4,
        prior: str | None = None,
        rare_share: float = 1e-3,
        published_zeros: bool = False,
        exact: bool = False,
    ) -> None:
        check_shares(type(self).__name__, "portion", portion)
        if stride < 1:
            raise ConfigError(f"{type(self).__name__}: stride={stride}; expected a whole number from 1 on")
        if not 0 <= rare_share <= 1:
            raise ConfigError(f"{type(self).__name__}: rare_share={rare_share}; expected a share in [0, 1]")
        self.portion, self.stride, self.prior, self.rare_share = portion, stride, prior, rare_share
        self.published_zeros, self.exact = published_zeros, exact
        self._prior = SpatialPrior.read(prior) if prior is not None else None
        self.prior_digest = self._prior.digest if self._prior else None

    def choose(self, round: int, num_classes: int) -> Generator[Survey, None, Choice]:
        confidences = Confidences(num_classes, self.stride, self._prior, self.exact)
        yield confidences
        portion = of_round(self.portion, round)
        summary = {
            "portion": portion,
            "confidences": confidences.sizes,
            "predicted_pixels": confidences.predicted.tolist(),
            "bin_width": 0.0 if self.exact else confidences.bin_width,
            "rare_classes": confidences.rare_classes(self.rare_share),
            "rarest_classes": confidences.rarest_classes(3),
        }
        thresholds = self.thresholds(confidences, portion)
        return self.choice(thresholds, summary)

    @abstractmethod
    def thresholds(self, confidences: Confidences, portion: float) -> list[float]:
        """Threshold of each class."""

    def choice(self, thresholds: list[float], summary: dict[str, Any]) -> Choice:
        """How images are labelled by thresholds.

        Args:
            thresholds: Of each class.
            summary: What was found besides.
        """
        return ByThreshold(thresholds, self._prior, summary)


def check_shares(owner: str, name: str, shares: float | Sequence[float]) -> None:
    """Refuse what is no share.

    Raises:
        ConfigError: A share is not in (0, 1], or there is none.
    """
    given = list(shares) if isinstance(shares, Sequence) else [shares]
    if not given or not all(0 < share <= 1 for share in given):
        raise ConfigError(f"{owner}: {name}={shares}; expected a share in (0, 1], or a list of one per round")
