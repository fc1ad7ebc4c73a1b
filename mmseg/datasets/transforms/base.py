"""What a transform is, and what travels through a pipeline."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

Results = dict[str, Any]
"""One sample on its way through a pipeline.

==================  =======================================================================================
img_path            str, image file
seg_map_path        str, label file, or None
name                str, path of the image below its folder, without suffix
rng                 ``numpy.random.RandomState``, the only source of randomness of random transforms
img                 (H, W, 3) uint8 RGB
gt_semantic_seg     (H, W) uint8, 0 … C-1 or 255 = ignore; absent without label
valid_pseudo_mask   (H, W) uint8, 1 = pseudo-labels may be trusted here; absent without pseudo margins
soft_label          (H, W, K) float32 in [0, 1], 0 where gt_semantic_seg is 255; absent without soft labels
soft_path           str, file of soft labels, or None
rare_classes        classes that :class:`MiningCrop` prefers; may be empty
ori_shape           (height, width) of the image file
img_shape           (height, width) of the image content, without padding
scale_factor        (width, height) factors of resizing
flip                bool
==================  =======================================================================================
"""

PIXEL_KEYS = ("img", "gt_semantic_seg", "valid_pseudo_mask", "soft_label")
"""Entries with one value per pixel: whatever moves pixels moves all of them alike."""


class Transform(ABC):
    """Base of all transforms: a callable from sample to sample.

    The dict that comes in belongs to the transform (it is a shallow copy), the arrays in it do not: they are
    replaced, never written to, because the same decoded image is augmented several times.
    """

    random: ClassVar[bool] = False
    """Whether the transform draws from ``results['rng']``; what comes before the first one runs once."""

    @abstractmethod
    def __call__(self, results: Results) -> Results:
        """The transformed sample."""


def run_transforms(transforms: Iterable[Transform], results: Results) -> Results:
    """One after the other."""
    for transform in transforms:
        results = transform(results)
    return results
