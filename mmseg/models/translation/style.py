"""FCAN's appearance adaptation network (AAN): images of the source in the style of the target.

Zhang, Qiu, Yao, Liu, Mei, "Fully Convolutional Adaptation Networks for Semantic Segmentation", CVPR 2018,
after Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016. The authors
of FCAN published no code.
"""

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.data_preprocessor import SegDataPreprocessor

LEVELS = (0, 1, 2, 3, 4)
"""Of a residual network as timm counts them: conv1, res2c, res3d, res4f and res5c."""
NORMS = {"mean": torch.mean, "sum": torch.sum}


class AppearanceAdaptation(nn.Module):
    """Optimises an image until its features are those of a source image and their correlations those of the
    target.

    L(x) = Σ_l w_s^l · Dist(M^l(x), M^l(x_s)) + α · Σ_l w_t^l · Dist(G^l(x), Ḡ_t^l), where M^l are the maps
    of a level, G^l their Gram matrix, Ḡ_t^l its mean over all target images, and Dist the squared Euclidean
    distance. From white noise on, iteration i moves x by β · (I − i) / I against the normalised gradient.

    Stated in the paper: ResNet-50, its levels, α, β, I, the sum of absolute values of the gradient as its
    norm. Chosen here: all layer weights are 1; Gram matrices are not normalised, so all images should have
    one size; white noise is uniform over the values of an image. With the stated norm an image moves by 10
    in sum over **all** its pixels in the first iteration, so that nothing would ever come of white noise; by
    default the norm is the mean of absolute values, which moves a pixel by 10 grey levels.

    Args:
        encoder: Image to a list of maps; in eval mode, its weights are not trained.
        alpha: α, weight of the style.
        rate: β, in grey levels.
        iterations: I; the last one makes no step.
        content_weights: w_s, one for each level; None = 1.
        style_weights: w_t, the same.
        gradient_norm: ``'mean'``, or ``'sum'`` as stated.

    Raises:
        ConfigError: An option is unknown or outside its range.
    """

    def __init__(
        self,
        encoder: nn.Module,
        alpha: float = 1e-14,
        rate: float = 10.0,
        iterations: int = 1000,
        content_weights: Sequence[float] | None = None,
        style_weights: Sequence[float] | None = None,
        gradient_norm: str = "mean",
    ) -> None:
        super().__init__()
        if gradient_norm not in NORMS or not (0 <= alpha < inf and 0 < rate < inf) or iterations < 2:
            raise ConfigError(
                f"AppearanceAdaptation: alpha={alpha}, rate={rate}, iterations={iterations}, gradient_norm="
                f"{gradient_norm!r}; expected numbers from 0 on, a rate above 0, two iterations at least (of "
                f"which the last makes no step), and one of {', '.join(NORMS)}"
            )
        self.encoder = encoder.requires_grad_(False).eval()
        self.alpha, self.rate, self.iterations = alpha, rate, iterations
        self.content_weights, self.style_weights = content_weights, style_weights
        self.gradient_norm = gradient_norm
        self.normalise = SegDataPreprocessor()  # by the statistics of ImageNet

    def features(self, image: Tensor) -> list[Tensor]:
        """Maps (B, C_l, h_l, w_l) of (B, 3, H, W) RGB images with values from 0 to 255."""
        return self.encoder((image - self.normalise.mean) / self.normalise.std)

    @torch.no_grad()
    def grams(self, image: Tensor) -> list[Tensor]:
        """Gram matrices (B, C_l, C_l) of every level of (B, 3, H, W) images, for the mean over the target."""
        return [gram(level) for level in self.features(image)]

    def adapt(self, source: Tensor, target_grams: Sequence[Tensor], start: Tensor) -> Tensor:
        """The source images in the style of the target.

        Args:
            source: (B, 3, H, W) RGB, values from 0 to 255.
            target_grams: (C_l, C_l) mean Gram matrix of each level.
            start: (B, 3, H, W) white noise of the same range.

        Returns:
            (B, 3, H, W), values from 0 to 255.
        """
        with torch.no_grad():
            content = self.features(source)
        image = start
        for iteration in range(1, self.iterations):  # the step of the last one is 0
            image = image.detach().requires_grad_()
            loss = self.loss(self.features(image), content, target_grams)
            (gradient,) = torch.autograd.grad(loss, image)
            step = self.rate * (self.iterations - iteration) / self.iterations
            image = moved(image.detach(), gradient, step, self.gradient_norm)
        return image.detach().clamp(0, 255)

    def loss(self, found: Sequence[Tensor], content: Sequence[Tensor], grams: Sequence[Tensor]) -> Tensor:
        """L, summed over the images, shape ().

        Args:
            found: Maps of the image that is made.
            content: Maps of the source image.
            grams: Mean Gram matrices of the target.
        """
        ones = [1.0] * len(found)
        weights = zip(self.content_weights or ones, self.style_weights or ones, strict=True)
        terms = [
            w_s * distance(level, reference) + self.alpha * w_t * distance(gram(level), style)
            for level, reference, style, (w_s, w_t) in zip(found, content, grams, weights, strict=True)
        ]
        return torch.stack(terms).sum()


def gram(level: Tensor) -> Tensor:
    """(B, C, C) inner products of the C maps (B, C, h, w) of a level."""
    maps = level.flatten(2)
    return maps @ maps.transpose(1, 2)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distance of everything in two tensors, shape ()."""
    return (a - b).square().sum()


def moved(image: Tensor, gradient: Tensor, step: float, norm: str) -> Tensor:
    """Images moved by a step against their gradients, each divided by the sum or mean of its absolute values.

    Args:
        image: (B, C, H, W).
        gradient: Of the same shape.
        step: Length, in that norm.
        norm: ``'sum'`` or ``'mean'``.
    """
    size = NORMS[norm](gradient.abs().flatten(1), dim=1).view(-1, 1, 1, 1)
    return image - step * gradient / size.clamp(min=torch.finfo(size.dtype).tiny)
