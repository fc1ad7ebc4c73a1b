"""How confident a network is in each class over all images, and thresholds that select a portion of that.

Zou, Yu, Kumar, Wang, "Unsupervised Domain Adaptation for Semantic Segmentation via Class-Balanced
Self-Training", ECCV 2018: the confidence of a pixel is the probability of its predicted class, and a
threshold is the smallest of the m = ⌊portion · n⌋ largest of n confidences.
"""

import math

import torch
from mmengine.dist import all_gather_object, all_reduce
from torch import Tensor

from mmseg.labelling.labeller import Survey
from mmseg.labelling.spatial_prior import SpatialPrior

NUM_BINS = 65536
"""Bins of a histogram, from 0 to the smallest power of two that no probability times the prior exceeds."""


class Confidences(Survey):
    """Confidences of the pixels that are predicted to be of each class.

    They are counted in fixed bins, and a threshold is the lower edge of the bin of the exact one: it is lower
    by less than ``bin_width``, 1 / 65536 without a prior, and so selects the portion and what shares its last
    bin. In the lowest bin it is ``bin_width``, since nothing can be divided by 0. Confidences above the bins
    (an interpolation can leave probabilities above 1) count as their upper edge, which is then the threshold.

    Args:
        num_classes: Number of classes K.
        stride: Of the pixels of an image that are predicted to be of a class, in the order of rows, every
            ``stride``-th counts.
        prior: Weighs the probabilities.
        exact: Keep all confidences instead; memory grows with the images.
    """

    def __init__(
        self, num_classes: int, stride: int = 1, prior: SpatialPrior | None = None, exact: bool = False
    ) -> None:
        self.num_classes, self.stride, self.prior, self.exact = num_classes, stride, prior, exact
        upper = 2.0 ** math.ceil(math.log2(max(1.0, prior.largest))) if prior else 1.0
        self.bin_width = upper / NUM_BINS
        self.predicted = torch.zeros(num_classes, dtype=torch.int64)
        self._lists: list[list[Tensor]] = [[] for _ in range(num_classes)]
        self._counts = torch.zeros(num_classes, NUM_BINS + 1, dtype=torch.int64)

    def add(self, name: str, probabilities: Tensor) -> None:
        scores = self.prior.weigh(probabilities) if self.prior else probabilities
        best, predicted = (each.flatten() for each in scores.max(dim=0))
        pixels = predicted.bincount(minlength=self.num_classes)
        self.predicted += pixels.cpu()
        if self.stride > 1:
            kept = every_nth_of_class(predicted, pixels, self.stride)
            best, predicted = best[kept], predicted[kept]
        if self.exact:
            for index, values in enumerate(self._lists):
                values.append(best[predicted == index].cpu())
        else:
            self._counts = self._counts.to(best.device)
            bins = (best / self.bin_width).long().clamp_(0, NUM_BINS)
            self._counts += torch.bincount(
                predicted * (NUM_BINS + 1) + bins, minlength=self._counts.numel()
            ).view_as(self._counts)

    def merge(self) -> None:
        all_reduce(self.predicted)
        if self.exact:
            gathered = all_gather_object([torch.cat(values or [torch.zeros(0)]) for values in self._lists])
            self._lists = [list(values) for values in zip(*gathered, strict=True)]
        else:
            all_reduce(self._counts)
            self._counts = self._counts.cpu()

    @property
    def sizes(self) -> list[int]:
        """Number of confidences of each class."""
        if self.exact:
            return [sum(map(len, values)) for values in self._lists]
        return self._counts.sum(dim=1).tolist()

    def thresholds(self, portion: float, zeros: int = 0) -> list[float]:
        """Threshold of each class; 1 where the portion is less than one pixel.

        Args:
            portion: Share of the pixels predicted to be of a class that are to be selected, in [0, 1].
            zeros: Confidences of 0 that the list of each class has in addition.
        """
        return [self._threshold([index], portion, zeros) for index in range(self.num_classes)]

    def shared_threshold(self, portion: float, zeros: int = 0) -> float:
        """One threshold for all classes, from the confidences of all pixels; see :meth:`thresholds`."""
        return self._threshold(list(range(self.num_classes)), portion, zeros)

    def _threshold(self, classes: list[int], portion: float, zeros: int) -> float:
        size = sum(self.sizes[index] for index in classes)
        rank = math.floor((size + zeros) * portion)
        return self._of_rank(classes, rank) if 0 < rank <= size else 1.0

    def quantiles(self, share: float) -> list[float]:
        """Of each class the confidence number round(share · n), from 0 on, of n in ascending order; 1 where
        there are no so many."""
        ranks = [size - round(share * size) for size in self.sizes]
        return [self._of_rank([index], rank) if rank > 0 else 1.0 for index, rank in enumerate(ranks)]

    def _of_rank(self, classes: list[int], rank: int) -> float:
        """The ``rank``-th largest confidence of some classes."""
        if self.exact:
            values = torch.cat([part for index in classes for part in self._lists[index]])
            return values.sort(descending=True).values[rank - 1].item() or 1.0
        above = self._counts[classes].sum(dim=0).flip(0).cumsum(dim=0)  # confidences in the highest bins
        highest = int((above >= rank).int().argmax())
        return max(NUM_BINS - highest, 1) * self.bin_width

    def rare_classes(self, share: float) -> list[int]:
        """Classes with less than this share of the predicted pixels; those never predicted are among them."""
        shares = self.predicted / self.predicted.sum().clamp(min=1)
        return torch.nonzero(shares < share).flatten().tolist()

    def rarest_classes(self, number: int) -> list[int]:
        """The classes with the fewest predicted pixels, fewest first."""
        return self.predicted.argsort(stable=True)[:number].tolist()


def every_nth_of_class(predicted: Tensor, pixels: Tensor, stride: int) -> Tensor:
    """Indices of every ``stride``-th pixel of each class.

    Args:
        predicted: (N,) classes.
        pixels: (K,) how many there are of each.
        stride: The first one counts, and every ``stride``-th after it.
    """
    order = predicted.argsort(stable=True)
    first = pixels.cumsum(dim=0) - pixels
    place = torch.arange(len(order), device=order.device) - first.repeat_interleave(pixels)
    return order[place % stride == 0]
