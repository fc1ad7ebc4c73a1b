"""Easy and hard images by the entropy of their prediction (IntraDA).

Pan, Shin, Rameau, Lee, Kweon, "Unsupervised Intra-Domain Adaptation for Semantic Segmentation through
Self-Supervision", CVPR 2020: the ranking R(X_t) is the mean of the entropy map.
"""

import math
from collections.abc import Generator, Sequence

import torch
from torch import Tensor

from mmseg.errors import ConfigError
from mmseg.labelling.by_threshold import check_shares
from mmseg.labelling.image_scores import ImageScores, check_easy_share
from mmseg.labelling.labeller import Choice, ImageLabel, Labeller, Survey, of_round
from mmseg.registry import LABELLERS

RARE_CLASSES = (3, 4, 5, 6, 7, 9, 12, 14, 15, 16, 17)


def mean_entropy(probabilities: Tensor) -> Tensor:
    """Mean over classes and pixels of -p log p / log K, a number from 0 to 1 / K.

    Args:
        probabilities: (K, H, W).
    """
    return torch.special.entr(probabilities).mean() / math.log(len(probabilities))


class EasyAsPredicted(Choice):
    """Easy images get the predicted class of every pixel, however uncertain; hard ones get no labels."""

    def __init__(self, easy_share: float, splits: dict[str, list[str]]) -> None:
        super().__init__({"easy_share": easy_share}, splits)
        self._easy = set(splits["easy"])

    def label(self, name: str, probabilities: Tensor) -> ImageLabel | None:
        return ImageLabel(probabilities.argmax(dim=0).byte()) if name in self._easy else None


@LABELLERS.register_module()
class EntropyRanking(Labeller):
    """Splits images by mean entropy and labels the easy ones; ``easy`` and ``hard`` are lists of names.

    Args:
        easy_share: Share of the images that is easy (λ of the paper), in (0, 1]; or one per round.
        normalize: Multiply the entropy by (R - r) / R + 0.5 where r of the R rare classes are predicted in an
            image: images with more of them are taken for easier than their entropy says. (The published
            command switches it on, although it says ``--normalize False``.)
        rare_classes: For ``normalize``; by default those of the 19 of Cityscapes.

    Raises:
        ConfigError: A share is out of range.
    """

    splits_images = True

    def __init__(
        self,
        easy_share: float | Sequence[float] = 0.67,
        normalize: bool = False,
        rare_classes: Sequence[int] = RARE_CLASSES,
    ) -> None:
        check_shares("EntropyRanking", "easy_share", easy_share)
        if normalize and (not rare_classes or min(rare_classes) < 0):
            raise ConfigError(
                f"EntropyRanking: normalize with rare_classes={list(rare_classes)}; expected classes"
            )
        self.easy_share, self.normalize, self.rare_classes = easy_share, normalize, list(rare_classes)

    def check_images(self, rounds: int, images: int, trains: bool) -> None:
        check_easy_share(type(self).__name__, self.easy_share, rounds, images, trains)

    def choose(self, round: int, num_classes: int) -> Generator[Survey, None, Choice]:
        entropies = ImageScores(self.score)
        yield entropies
        share = of_round(self.easy_share, round)
        return EasyAsPredicted(share, entropies.split(share, ascending=True))

    def score(self, probabilities: Tensor) -> Tensor:
        """Rank of an image with these (K, H, W) probabilities; low is easy."""
        entropy = mean_entropy(probabilities)
        if not self.normalize:
            return entropy
        pixels = probabilities.argmax(dim=0).flatten().bincount(minlength=max(self.rare_classes) + 1)
        found = (pixels[self.rare_classes] > 0).sum()
        return entropy * ((len(self.rare_classes) - found) / len(self.rare_classes) + 0.5)
