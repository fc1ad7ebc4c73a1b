"""Jitter, blur and ClassMix image by image."""

import torch
from kornia import enhance
from kornia.filters import GaussianBlur2d
from torch import Tensor, nn

from benchmarks.published.draws import Augmentation
from mmseg.models.data_preprocessor import SegDataPreprocessor
from mmseg.models.uda.parts.strong_augmentation import blur_kernel_size

TURN = 2 * torch.pi


def augment(img: Tensor, draws: Augmentation, normalizer: SegDataPreprocessor) -> Tensor:
    """Augmented copies of normalised images (B, 3, H, W); layers are made anew for every image."""
    images = []
    for index in range(len(img)):
        image = img[index : index + 1].clone()
        if draws.jitter is not None:
            order, factors = draws.jitter
            rgb = normalizer.denormalize(image).clamp(0, 1)
            image = normalizer.normalize01(jitter(order, factors[index])(rgb))
        if draws.sigmas is not None:
            sigma = draws.sigmas[index]
            kernel = [blur_kernel_size(length) for length in image.shape[2:]]
            blur = GaussianBlur2d((kernel[0], kernel[1]), (sigma, sigma), "reflect", separable=False)
            image = blur(image)
        images.append(image)
    return torch.cat(images)


def jitter(order: list[int], factors: list[float]) -> nn.Module:
    """Brightness, contrast, saturation and hue in an order."""
    brightness, contrast, saturation, hue = factors
    layers = [
        enhance.AdjustBrightness(brightness - 1),
        enhance.AdjustContrast(contrast),
        enhance.AdjustSaturation(saturation),
        enhance.AdjustHue(hue * TURN),
    ]
    return nn.Sequential(*(layers[index] for index in order))


def class_masks(label: Tensor, chosen: list[Tensor]) -> list[Tensor]:
    """(1, 1, H, W) mask of the chosen classes of each image; the classes at hand are looked up per image."""
    masks = []
    for one, classes in zip(label, chosen, strict=True):
        torch.unique(label)
        masks.append((one.unsqueeze(0) == classes[:, None, None]).sum(0, keepdim=True)[None])
    return masks


def mix(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Source where the (1, 1, H, W) mask is 1, target where it is 0, of one image (C, H, W)."""
    stacked = torch.stack([source, target])
    return (mask[0] * stacked[0] + (1 - mask[0]) * stacked[1]).unsqueeze(0)
