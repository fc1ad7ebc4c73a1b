"""What our step draws at random in an iteration, in the form that the published step takes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mmseg.models.uda import DACS
from mmseg.models.uda.parts.class_mix import draw_classes
from mmseg.models.uda.parts.strong_augmentation import (
    BLUR_PROBABILITY,
    MAX_SIGMA,
    MIN_SIGMA,
    StrongAugmentation,
    draw_jitter,
)
from mmseg.models.uda.step_context import StepContext


@dataclass(frozen=True)
class Augmentation:
    """Of a batch of B images.

    Attributes:
        jitter: Order of the four adjustments and their factors for each image; None = no jitter.
        sigmas: Width of the blur for each image; None = no blur.
    """

    jitter: tuple[list[int], list[list[float]]] | None
    sigmas: list[float] | None


@dataclass(frozen=True)
class Draws:
    """Of one iteration.

    Attributes:
        classes: For each image the label values that are pasted.
        mixed: Augmentation of the mixed images.
        masked: Augmentation of the masked images; None without MIC.
        mask: (B, 1, H, W) float, 0 where they are masked; None without MIC.
    """

    classes: list[Tensor]
    mixed: Augmentation
    masked: Augmentation | None = None
    mask: Tensor | None = None


def draw(method: DACS, label: Tensor) -> Draws:
    """The numbers that ``method.train_step`` is going to draw.

    Args:
        method: Knows seed and iteration.
        label: (B, H, W) int64 source labels on the device.
    """
    context = StepContext.of_step(method.seed, method.iteration)
    classes = [chosen.nonzero()[:, 0] for chosen in draw_classes(label, context)]
    mixed = draw_augmentation(method.strong_augmentation, label, context)
    if method.mic is None:
        return Draws(classes, mixed)
    assert method.mic.augmentation is not None  # the published runs augment what they mask
    masked = draw_augmentation(method.mic.augmentation, label, context)
    like = torch.empty((len(label), 3, *label.shape[1:]), device=label.device)
    return Draws(classes, mixed, masked, method.mic.generate_mask(like, context))


def draw_augmentation(of: StrongAugmentation, label: Tensor, context: StepContext) -> Augmentation:
    """The numbers of one call of a strong augmentation."""
    jitters, blurs = context.decide(2)
    jitter, sigmas = None, None
    if jitters > of.color_jitter_probability:
        order, factors = draw_jitter(len(label), of.color_jitter_strength, label.device, context)
        jitter = (order, factors.T.tolist())
    if of.blur and blurs > BLUR_PROBABILITY:
        uniform = context.rand(len(label), device=label.device)
        sigmas = (MIN_SIGMA + (MAX_SIGMA - MIN_SIGMA) * uniform).tolist()
    return Augmentation(jitter, sigmas)
