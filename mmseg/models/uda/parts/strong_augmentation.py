"""Strong augmentation of mixed images: colour jitter and Gaussian blur (DACS, sec. 3.2), batched on the
device."""

import math
from collections.abc import Callable, Sequence

import torch
from kornia.enhance import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation
from kornia.filters import filter2d_separable, get_gaussian_kernel1d
from torch import Tensor

from mmseg.models.data_preprocessor import SegDataPreprocessor
from mmseg.models.layers.precision import without_autocast
from mmseg.models.uda.step_context import ONE_PROCESS, StepContext

BLUR_PROBABILITY = 0.5
MIN_SIGMA, MAX_SIGMA = 0.15, 1.15
MAX_BLUR_KERNEL = (
    13  # 5.2 sigma of the widest blur: what lies beyond changes a normalised value by less than 1e-6
)


class StrongAugmentation:
    """Colour jitter and blur with the published odds.

    Each is switched on or off once per call for all images; factors and blur widths are drawn per image.

    Args:
        color_jitter_strength: Half-width s of the factors: brightness +U(-s, s) (additive), contrast and
            saturation xU(1-s, 1+s), hue +U(-s, s) x 2 pi.
        color_jitter_probability: A threshold, as published: jitter happens when a uniform number is **above**
            it; 0.2 means in 80 % of the iterations.
        blur: Whether to blur (in half of the iterations).
    """

    def __init__(
        self, color_jitter_strength: float = 0.2, color_jitter_probability: float = 0.2, blur: bool = True
    ) -> None:
        self.color_jitter_strength = color_jitter_strength
        self.color_jitter_probability = color_jitter_probability
        self.blur = blur

    def __call__(
        self, img: Tensor, normalizer: SegDataPreprocessor, context: StepContext = ONE_PROCESS
    ) -> Tensor:
        """Augment a batch, in float32 also where forward passes are in half precision.

        Args:
            img: (B, 3, H, W) normalised RGB.
            normalizer: Knows how the images were normalised.
            context: Of the step; the batches of all its processes are one batch.

        Returns:
            (B, 3, H, W) normalised.
        """
        with without_autocast(img.device):
            jitter, blur = context.decide(2)
            if jitter > self.color_jitter_probability:
                order, factors = draw_jitter(len(img), self.color_jitter_strength, img.device, context)
                img = normalizer.normalize01(color_jitter(normalizer.denormalize(img), order, factors))
            if self.blur and blur > BLUR_PROBABILITY:
                uniform = context.rand(len(img), device=img.device)
                img = gaussian_blur(img, MIN_SIGMA + (MAX_SIGMA - MIN_SIGMA) * uniform)
        return img


def draw_jitter(
    number: int, strength: float, device: torch.device, context: StepContext = ONE_PROCESS
) -> tuple[list[int], Tensor]:
    """Draw an order of the four adjustments and (4, number) factors: brightness, contrast, saturation,
    hue."""
    order = context.permutation(4)
    factors = strength * (2 * context.rand(number, 4, device=device).T - 1)
    factors[:3] += 1
    return order, factors


def color_jitter(img: Tensor, order: Sequence[int], factors: Tensor) -> Tensor:
    """Apply brightness (0), contrast (1), saturation (2) and hue (3) in the given order.

    Args:
        img: (B, 3, H, W) RGB in [0, 1].
        order: A permutation of 0…3.
        factors: (4, B). Brightness is additive (factor - 1), contrast a plain multiplication without the
            mean, saturation a multiplication and hue a shift (in turns) in HSV.

    Returns:
        (B, 3, H, W) in [0, 1].
    """
    brightness, contrast, saturation, hue = factors
    adjustments: list[Callable[[Tensor], Tensor]] = [
        lambda x: adjust_brightness(x, brightness - 1),
        lambda x: adjust_contrast(x, contrast),
        lambda x: adjust_saturation(x, saturation),
        lambda x: adjust_hue(x, hue * (2 * math.pi)),
    ]
    img = img.clamp(0, 1)
    for index in order:
        img = adjustments[index](img)
    return img


def blur_kernel_size(length: int) -> int:
    """The published odd kernel size near a tenth of the image edge."""
    tenth = math.ceil(0.1 * length)
    return math.floor(tenth - 0.5 + tenth % 2)


def gaussian_blur(img: Tensor, sigma: Tensor) -> Tensor:
    """Blur each image with its own width.

    kornia's ``gaussian_blur2d`` makes the same kernels, but has the host look at the widths first.

    Args:
        img: (B, C, H, W).
        sigma: (B,) standard deviations in pixels, at most ``MAX_SIGMA``, on the device of the images.

    Returns:
        (B, C, H, W), reflected at the border.
    """
    height, width = (min(blur_kernel_size(length), MAX_BLUR_KERNEL) for length in img.shape[-2:])
    across, down = (get_gaussian_kernel1d(length, sigma[:, None]) for length in (width, height))
    return filter2d_separable(img, across, down, border_type="reflect")
