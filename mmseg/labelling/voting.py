"""More labels by the votes of neighbours (TPLD, phase 1).

Shin, Woo, Pan, Kweon, "Two-Phase Pseudo Label Densification for Self-Training Based Domain Adaptation", ECCV
2020. There is no published code. Not published are: size of the window, how neighbours are pooled, what
happens at borders, whether the weight 0.7 is that of the pixel or of its neighbours, and whether pixels that
were voted for vote in the next pass.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from mmseg.errors import ConfigError
from mmseg.labelling.by_threshold import ByThreshold
from mmseg.labelling.class_balanced import ClassBalanced
from mmseg.labelling.labeller import Choice, ImageLabel
from mmseg.labelling.spatial_prior import SpatialPrior
from mmseg.labels import IGNORE_INDEX
from mmseg.registry import LABELLERS


def pooled_neighbours(values: Tensor, voters: Tensor, window: int, pooling: str) -> Tensor:
    """Mean or maximum over the voters in a window around each pixel, 0 where there is none.

    Args:
        values: (K, H, W), not negative.
        voters: (K, H, W) bool. There are none beyond the border.
        window: Odd width of the square window.
        pooling: ``mean`` or ``max``.
    """
    voting = (values * voters)[None]
    if pooling == "max":
        return max_pool2d(voting, window, stride=1, padding=window // 2)[0]
    total, number = (
        avg_pool2d(each, window, stride=1, padding=window // 2)[0]
        for each in (voting, voters[None].to(values))
    )
    return torch.where(number > 0, total / number, 0)


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
        best, label = ratios.max(dim=0)
        label = label.masked_fill(best < 1, IGNORE_INDEX)
        classes = torch.arange(len(ratios), device=ratios.device)[:, None, None]
        candidates = ratios.topk(2, dim=0).indices  # (2, H, W)
        for _ in range(self.passes):
            neighbours = pooled_neighbours(ratios, label == classes, self.window, self.pooling)
            votes = self.own_weight * ratios + (1 - self.own_weight) * neighbours
            best, place = votes.gather(0, candidates).max(dim=0)
            won = (label == IGNORE_INDEX) & (best > 1)
            winner = candidates.gather(0, place[None])[0]
            label = torch.where(won, winner, label)
            ratios = torch.where(won & (winner == classes), votes, ratios)
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
