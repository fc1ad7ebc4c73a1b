"""Easy images with labels everywhere, hard ones with none (TPLD, phase 2).

Shin, Woo, Pan, Kweon, "Two-Phase Pseudo Label Densification for Self-Training Based Domain Adaptation", ECCV
2020. There is no published code.
"""

from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor

from mmseg.errors import ConfigError
from mmseg.labelling.by_threshold import ByThreshold, check_shares
from mmseg.labelling.class_balanced import ClassBalanced
from mmseg.labelling.image_scores import ImageScores, check_easy_share
from mmseg.labelling.labeller import Choice, ImageLabel, Survey, of_round
from mmseg.registry import LABELLERS


def image_confidence(scores: Tensor, thresholds: Tensor) -> Tensor:
    """How much of an image is predicted confidently, with weight on classes that are hard to predict.

    conf = (1 / K') Σ_k (N*_k / N_k) (1 / λ_k) over the K' classes that are predicted: class k in N_k pixels,
    N*_k of them with p_k > λ_k.

    Args:
        scores: (K, H, W), p_k.
        thresholds: (K,), λ_k.
    """
    best, predicted = (each.flatten() for each in scores.max(dim=0))
    sure = predicted[best > thresholds[predicted]]
    pixels, sure_pixels = (each.bincount(minlength=len(thresholds)).double() for each in (predicted, sure))
    return (sure_pixels / pixels.clamp(min=1) / thresholds).sum() / (pixels > 0).sum()


class Densified(ByThreshold):
    """Full labels of easy images: one class where p_k / λ_k > 1, the vector (p_k / λ_k)^γ elsewhere.

    Args:
        gamma: γ.
        splits: ``easy`` and ``hard`` images; those get no labels.
        **kwargs: See :class:`~mmseg.labelling.by_threshold.ByThreshold`.
    """

    def __init__(self, gamma: float, splits: dict[str, list[str]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gamma, self.splits, self._easy = gamma, splits, set(splits["easy"])

    def label(self, name: str, probabilities: Tensor) -> ImageLabel | None:
        return self.full(probabilities) if name in self._easy else None

    def full(self, probabilities: Tensor) -> ImageLabel:
        """Labels of every pixel of an easy image; soft ones do not sum up to 1 where no class is sure."""
        ratios = self.ratios(probabilities)
        best, label = ratios.max(dim=0)
        one_hot = torch.nn.functional.one_hot(label, len(ratios)).permute(2, 0, 1)
        return ImageLabel(label.byte(), torch.where(best > 1, one_hot, ratios.pow(self.gamma)))


@LABELLERS.register_module()
class EasyHard(ClassBalanced):
    """Ranks images by :func:`image_confidence` with class-balanced thresholds.

    ``easy`` and ``hard`` are lists of names; the easy images get full labels.

    Args:
        easy_share: Share of the images that is easy (q), in (0, 1]; a list has one for each round. TPLD
            starts with 0.3; a survey reports that it grows by 0.05 a round.
        gamma: Power of the soft labels.
        **kwargs: See :class:`~mmseg.labelling.by_threshold.ThresholdLabeller`.

    Raises:
        ConfigError: A share is out of range, or γ is not positive.
    """

    soft_labels = True
    splits_images = True

    def __init__(
        self, easy_share: float | Sequence[float] = (0.3, 0.35, 0.4), gamma: float = 2.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_shares("EasyHard", "easy_share", easy_share)
        if gamma <= 0:
            raise ConfigError(f"EasyHard: gamma={gamma}; expected a positive number")
        self.easy_share, self.gamma = easy_share, gamma

    def check_images(self, rounds: int, images: int, trains: bool) -> None:
        check_easy_share(type(self).__name__, self.easy_share, rounds, images, trains)

    def choose(self, round: int, num_classes: int) -> Generator[Survey, None, Choice]:
        summary = (yield from super().choose(round, num_classes)).summary
        thresholds = summary["thresholds"]
        limits = torch.tensor(thresholds)

        def score(probabilities: Tensor) -> Tensor:
            scores = self._prior.weigh(probabilities) if self._prior else probabilities
            return image_confidence(scores, limits.to(scores.device))

        confidences = ImageScores(score)
        yield confidences
        share = of_round(self.easy_share, round)
        splits = confidences.split(share, ascending=False)
        summary = {**summary, "easy_share": share}
        return Densified(self.gamma, splits, thresholds=thresholds, prior=self._prior, summary=summary)
