"""Constraints on the sizes of the classes in predictions.

J. Hoffman, Wang, Yu, Darrell, "FCNs in the Wild", arXiv 2016, after Pathak, Krähenbühl, Darrell,
"Constrained Convolutional Neural Networks for Weakly Supervised Segmentation", ICCV 2015.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.uda.parts.class_statistics import pixels_of_classes

BOUNDS = ("lower", "mean", "upper")
TAIL = 0.1  # of the distribution of sizes, below the lower and above the upper bound
PRESENT = 0.1  # share of the lower bound above which a class counts as present
LARGE = 0.1  # lower bound above which a class is large


class CategorySizes(nn.Module):
    """Draws the predictions for an image to the closest ones whose classes have the sizes of the source.

    Of the source images with class c, α_c and γ_c are the bounds of the lower and upper 10 % of its share of
    the pixels, δ_c is the mean share. Class c is present in an image if its predicted share is above 0.1 α_c.
    For present classes the closest predictions have shares of δ_c at least, with some slack, and of γ_c at
    most; other classes are not predicted. Gradients for large classes (α_c > 0.1) are multiplied by
    ``large_factor``.

    Stated in the papers: all of that. Chosen here: shares are those of pixels with a class; present is what
    the most probable classes say; the number of iterations. The slack is that of a re-implementation.

    Args:
        num_classes: Number of classes C.
        sizes: α, δ, γ as ``dict(lower=..., mean=..., upper=...)``, C shares each, the upper ones the largest,
            or the ``sample_class_stats.json`` of the source data.
        slack: How much the lower bounds may weigh.
        large_factor: Of the gradients for large classes.
        iterations: Of the search for the closest predictions.

    Raises:
        ConfigError: ``sizes`` do not fit to the classes, or a number is out of its range.
    """

    bounds: Tensor

    def __init__(
        self,
        num_classes: int,
        sizes: Mapping[str, Sequence[float]] | str,
        slack: float = 2.0,
        large_factor: float = 0.1,
        iterations: int = 50,
    ) -> None:
        super().__init__()
        if min(slack, large_factor) < 0 or iterations < 1:
            raise ConfigError(
                f"uda: category sizes have slack={slack}, large_factor={large_factor}, "
                f"iterations={iterations}; expected numbers from 0 on, iterations from 1 on"
            )
        self.sizes, self.slack = sizes, slack
        self.large_factor, self.iterations = large_factor, iterations
        self.register_buffer("bounds", torch.zeros(3, num_classes), persistent=False)
        if not isinstance(sizes, str):
            self.begin_run()

    def begin_run(self) -> None:
        """Read the sizes; not before, since a network is also built where the data are not."""
        classes = self.bounds.shape[1]
        if isinstance(self.sizes, str):
            bounds = size_bounds(torch.tensor(pixels_of_classes(self.sizes, classes), dtype=torch.float64))
        else:
            try:
                bounds = torch.tensor(
                    [self.sizes[name] for name in BOUNDS], dtype=torch.float64, device="cpu"
                )
            except (TypeError, KeyError, ValueError, RuntimeError):  # not numbers, or not of one shape
                bounds = torch.zeros(0)
        if (
            bounds.shape != self.bounds.shape
            or not ((bounds >= 0) & (bounds <= bounds[2].clamp(max=1))).all()
        ):
            raise ConfigError(
                f"uda: category sizes are {self.sizes!r}; expected dict(lower, mean, upper) with a share in "
                f"[0, 1] for each of the {classes} classes, none above its upper one, or a file of statistics"
            )
        self.bounds.copy_(bounds)

    def forward(self, logits: Tensor) -> Tensor:
        """KL divergence of the predictions from the closest allowed ones, mean over all positions.

        Args:
            logits: (B, C, h, w).

        Returns:
            Shape (); its gradient for logit c is (prediction − closest prediction) of class c, over B·h·w.
        """
        lower, mean, upper = self.bounds.to(logits.dtype)
        with torch.no_grad():
            possible = upper > 0  # in some image of the source
            present = (share_of_classes(logits) > PRESENT * lower) & possible  # (B, C)
            present |= ~present.any(dim=1, keepdim=True) & possible
            closest = closest_prediction(
                logits.log_softmax(dim=1), present, mean, upper, self.slack, self.iterations
            )
        factor = torch.where(lower > LARGE, self.large_factor, 1.0).to(logits.dtype).view(1, -1, 1, 1)
        fixed = logits.detach()
        logits = fixed + factor * (logits - fixed)  # the same values, scaled gradients
        divergence = nn.functional.kl_div(logits.log_softmax(dim=1), closest, reduction="none")
        return divergence.sum(dim=1).mean()


def size_bounds(pixels: Tensor) -> Tensor:
    """(3, C) bounds α, δ, γ from (N, C) pixels of each class in N images; 0 for classes that are nowhere."""
    shares = pixels / pixels.sum(dim=1, keepdim=True).clamp(min=1)
    bounds = torch.zeros(3, pixels.shape[1], dtype=pixels.dtype)
    for c, column in enumerate(shares.T):
        if len(found := column[column > 0]):
            lower, upper = torch.quantile(found, torch.tensor([TAIL, 1 - TAIL], dtype=pixels.dtype))
            bounds[:, c] = torch.stack([lower, found.mean().clamp(max=upper), upper])
    return bounds


def share_of_classes(logits: Tensor) -> Tensor:
    """(B, C) shares of the positions where a class is the most probable one, of (B, C, h, w) logits."""
    classes = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1)
    return (logits.argmax(dim=1, keepdim=True) == classes).to(logits.dtype).mean(dim=(2, 3))


def closest_prediction(
    log_probability: Tensor, present: Tensor, least: Tensor, most: Tensor, slack: float, iterations: int
) -> Tensor:
    """The prediction p of least KL divergence from q whose classes have allowed sizes (Pathak et al.).

    p_i(c) ∝ q_i(c) · exp(ν_c), where ν_c > 0 only if size c is ``least``, and ν_c < 0 only if it is ``most``.
    ν is found by generalised iterative scaling (Darroch and Ratcliff 1972): each class gets the factor that
    its size lacks, which raises the dual of the problem in every iteration.

    Args:
        log_probability: (B, C, h, w) log q.
        present: (B, C) bool; other classes get 0.
        least: (C) lower bounds of the sizes; ν is at most ``slack``, so a bound may be missed.
        most: (C) upper bounds.
        slack: Largest ν.
        iterations: How many.

    Returns:
        (B, C, h, w) probabilities.
    """
    masked = log_probability.masked_fill(~present[:, :, None, None], -torch.inf)
    dual = torch.zeros_like(present, dtype=masked.dtype)
    for _ in range(iterations):
        size = (masked + dual[:, :, None, None]).softmax(dim=1).mean(dim=(2, 3)).log()
        to_least, to_most = dual + least.log() - size, dual + most.log() - size
        dual = torch.where(to_least > 0, to_least, to_most.clamp(max=0)).clamp(max=slack)
        dual = torch.where(present, dual, 0)
    return (masked + dual[:, :, None, None]).softmax(dim=1)
