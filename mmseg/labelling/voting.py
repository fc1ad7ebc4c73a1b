"""More labels by the votes of neighbours (TPLD, phase 1).

Shin, Woo, Pan, Kweon, "Two-Phase Pseudo Label Densification for Self-Training Based Domain Adaptation", ECCV
2020. There is no published code. Not published are: size of the window, how neighbours are pooled, what
happens at borders, whether the weight 0.7 is that of the pixel or of its neighbours, and whether pixels that
were voted for vote in the next pass.
"""

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from mmseg.errors import ConfigError
from mmseg.labelling.by_threshold import ByThreshold
from mmseg.labelling.class_balanced import ClassBalanced
from mmseg.labelling.labeller import Choice, ImageLabel
from mmseg.labelling.spatial_prior import SpatialPrior
from mmseg.labels import IGNORE_INDEX
from mmseg.registry import LABELLERS


def pooled_neighbours(values: Tensor, label: Tensor, candidates: Tensor, window: int, pooling: str) -> Tensor:
    """Mean or maximum over the neighbours that have a candidate as label, 0 where there is none.

    Args:
        values: (H, W), what each labelled pixel votes with, not negative.
        label: (H, W) classes; IGNORE_INDEX for pixels that do not vote. There are none beyond the border.
        candidates: (N, H, W) classes that each pixel asks its neighbours for.
        window: Odd width of the square window around each pixel.
        pooling: ``mean`` or ``max``.

    Returns:
        (N, H, W).
    """
    height, width = label.shape
    edge = [window // 2] * 4
    labels, votes = pad(label, edge, value=IGNORE_INDEX), pad(values, edge)
    result = torch.zeros_like(candidates, dtype=values.dtype)
    number = torch.zeros_like(result)
    for row, column in itertools.product(range(window), repeat=2):
        shifted = slice(row, row + height), slice(column, column + width)
        agree = labels[shifted] == candidates
        if pooling == "max":
            result = result.maximum(votes[shifted] * agree)
        else:
            result.addcmul_(votes[shifted], agree.to(result))
            number.add_(agree)
    return result if pooling == "max" else result.div_(number.clamp_(min=1))


class ByVoting(ByThreshold):
    """Thresholds first; then every pixel without label compares the two classes with the largest p_k / λ_k by
    v_k = w p_k + (1 - w) (p_k of neighbours labelled k) and takes the better one where v_k / λ_k > 1.

    Args:
        passes: How often.
        window: Odd width of the window in pixels.
        pooling: Of the neighbours, ``mean`` or ``max``.
        own_weight: w.
        thresholds: λ_k of each class.
        prior: Weighs the probabilities.
        summary: What else was found.
    """

    def __init__(
        self, passes: int, window: int, pooling: str, own_weight: float, thresholds: Sequence[float],
        prior: SpatialPrior | None = None, summary: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(thresholds, prior, summary)
        self.passes, self.window, self.pooling, self.own_weight = passes, window, pooling, own_weight

    def label(self, name: str, probabilities: Tensor) -> ImageLabel | None:
        # Values relative to the threshold of their class: votes of a class are weighed among themselves.
        ratios = self.ratios(probabilities)
        best, first = ratios.max(dim=0)
        second_best, second = ratios.scatter(0, first[None], -1.0).max(dim=0)
        candidates, own = torch.stack([first, second]), torch.stack([best, second_best])
        label, values = first.masked_fill(best < 1, IGNORE_INDEX), best
        for _ in range(self.passes):
            neighbours = pooled_neighbours(values, label, candidates, self.window, self.pooling)
            votes = self.own_weight * own + (1 - self.own_weight) * neighbours
            best, place = votes.max(dim=0)
            won = (label == IGNORE_INDEX) & (best > 1)
            label = torch.where(won, candidates.gather(0, place[None])[0], label)
            values = torch.where(won, best, values)
        return ImageLabel(label.byte())


@LABELLERS.register_module()
class Voting(ClassBalanced):
    """Class-balanced thresholds, densified by the votes of confident neighbours.

    Args:
        window: Odd width of the window in pixels; not published.
        pooling: Of the neighbours' values; not published.
        own_weight: Weight of the pixel's own value, 0.7 or, read differently, 0.3.
        passes: How often neighbours vote.
        **kwargs: See :class:`~mmseg.labelling.by_threshold.ThresholdLabeller`.

    Raises:
        ConfigError: The window is even, the weight is not in [0, 1], or there are fewer than 0 passes.
    """

    def __init__(
        self,
        window: int = 3,
        pooling: Literal["mean", "max"] = "mean",
        own_weight: float = 0.7,
        passes: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if window < 1 or window % 2 == 0 or not 0 <= own_weight <= 1 or pooling not in ("mean", "max"):
            raise ConfigError(
                f"Voting: window={window}, pooling={pooling!r}, own_weight={own_weight}; expected an "
                "odd number, 'mean' or 'max', and a number in [0, 1]"
            )
        if passes < 0:
            raise ConfigError(f"Voting: passes={passes}; expected a whole number from 0 on")
        self.window, self.pooling, self.own_weight, self.passes = window, pooling, own_weight, passes

    def choice(self, thresholds: list[float], summary: dict[str, Any]) -> Choice:
        return ByVoting(
            self.passes, self.window, self.pooling, self.own_weight, thresholds, self._prior, summary
        )
