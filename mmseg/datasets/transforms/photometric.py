"""Colour changes on the host, used by source-only and target-only training."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mmseg.datasets.transforms.base import Results, Transform
from mmseg.registry import TRANSFORMS


def _scale_and_shift(values: np.ndarray, alpha: float = 1.0, beta: float = 0.0) -> np.ndarray:
    """``alpha * values + beta`` in float32, clipped and truncated to uint8."""
    return np.clip(values.astype(np.float32) * alpha + beta, 0, 255).astype(np.uint8)


@TRANSFORMS.register_module()
class PhotoMetricDistortion(Transform):
    """Random brightness, contrast, saturation and hue, each applied with probability 1/2 (as in SSD, Liu et
    al. 2016).

    The order is brightness, [contrast], saturation, hue, [contrast], where contrast comes at one of the two
    places, and every step rounds down to uint8.

    Args:
        brightness_delta: Brightness is shifted by U(-delta, delta) grey levels.
        contrast_range: Range of the contrast factor.
        saturation_range: Range of the saturation factor.
        hue_delta: Hue is shifted by an integer in [-delta, delta) of OpenCV's 180 steps.
    """

    random = True

    def __init__(
        self,
        brightness_delta: float = 32,
        contrast_range: Sequence[float] = (0.5, 1.5),
        saturation_range: Sequence[float] = (0.5, 1.5),
        hue_delta: int = 18,
    ) -> None:
        self.brightness_delta = brightness_delta
        self.lowest_contrast, self.highest_contrast = contrast_range
        self.lowest_saturation, self.highest_saturation = saturation_range
        self.hue_delta = hue_delta

    def __call__(self, results: Results) -> Results:
        image, rng = results["img"], results["rng"]
        if rng.randint(2):
            image = _scale_and_shift(image, beta=rng.uniform(-self.brightness_delta, self.brightness_delta))
        contrast_first = rng.randint(2) == 1
        if contrast_first:
            image = self._contrast(image, rng)
        image = self._saturation_and_hue(image, rng)
        if not contrast_first:
            image = self._contrast(image, rng)
        results["img"] = image
        return results

    def _contrast(self, image: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        if not rng.randint(2):
            return image
        return _scale_and_shift(image, alpha=rng.uniform(self.lowest_contrast, self.highest_contrast))

    def _saturation_and_hue(self, image: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        if rng.randint(2):
            hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
            factor = rng.uniform(self.lowest_saturation, self.highest_saturation)
            hsv[..., 1] = _scale_and_shift(hsv[..., 1], alpha=factor)
            image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
        if rng.randint(2):
            hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
            hsv[..., 0] = (hsv[..., 0].astype(int) + rng.randint(-self.hue_delta, self.hue_delta)) % 180
            image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
        return image
