"""Pseudo-labels of FDA: the most confident third of each class, and whatever is surer than 0.9.

Yang, Soatto, "FDA: Fourier Domain Adaptation for Semantic Segmentation", CVPR 2020.
"""

from collections.abc import Generator, Sequence

import torch
from torch import Tensor

from mmseg.errors import ConfigError
from mmseg.labelling.confidences import Confidences
from mmseg.labelling.labeller import Choice, ImageLabel, Labeller, Survey
from mmseg.labels import IGNORE_INDEX
from mmseg.registry import LABELLERS


@LABELLERS.register_module()
class ClassQuantile(Labeller):
    """A pixel keeps its predicted class if its probability reaches the threshold of the class: a quantile of
    the class's probabilities, but at most a certain value.

    Args:
        quantile: Share of the pixels predicted to be of a class that lie below its threshold. Of n sorted
            probabilities the threshold is number round(quantile · n), counted from 0; the published code
            fails where that is n (a class of one pixel), here ``largest_threshold`` is taken.
        largest_threshold: Upper limit of the thresholds.
        stride: Every how many-th pixel of an image and class counts for the thresholds; published 1.
        exact: Thresholds from all probabilities instead of a histogram; for small sets.

    Raises:
        ConfigError: A share is not in [0, 1], or the stride below 1.
    """

    def __init__(
        self,
        quantile: float = 0.66,
        largest_threshold: float = 0.9,
        stride: int = 1,
        exact: bool = False,
    ) -> None:
        if not (0 <= quantile <= 1 and 0 <= largest_threshold <= 1) or stride < 1:
            raise ConfigError(
                f"ClassQuantile: quantile={quantile}, largest_threshold={largest_threshold}, "
                f"stride={stride}; expected shares in [0, 1] and a stride from 1 on"
            )
        self.quantile, self.largest_threshold = quantile, largest_threshold
        self.stride, self.exact = stride, exact

    def choose(self, round: int, num_classes: int) -> Generator[Survey, None, Choice]:
        confidences = Confidences(num_classes, self.stride, exact=self.exact)
        yield confidences
        quantiles = confidences.quantiles(self.quantile)
        summary = {
            "quantiles": quantiles,
            "confidences": confidences.sizes,
            "predicted_pixels": confidences.predicted.tolist(),
        }
        return ByClassThreshold([min(x, self.largest_threshold) for x in quantiles], summary)


class ByClassThreshold(Choice):
    """Each pixel gets its most probable class, or none where that is less probable than the threshold of the
    class.

    Args:
        thresholds: Of each class.
        summary: What else was found.
    """

    def __init__(self, thresholds: Sequence[float], summary: dict | None = None) -> None:
        super().__init__({"thresholds": list(thresholds), **(summary or {})})
        self._thresholds = torch.tensor(thresholds, dtype=torch.float32)

    def label(self, name: str, probabilities: Tensor) -> ImageLabel | None:
        best, label = probabilities.max(dim=0)
        below = best < self._thresholds.to(best.device)[label]
        return ImageLabel(label.byte().masked_fill_(below, IGNORE_INDEX))
