"""Image margins in which pseudo-labels are not trusted (ego-vehicle and rectification artefacts)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmseg.errors import ConfigError


@dataclass(frozen=True)
class PseudoMargins:
    """Widths of the untrusted margins in pixels of an image of ``reference_size``.

    Attributes:
        widths: Top, bottom, left, right.
        reference_size: (height, width) of the images the widths are given for; for images of another size the
            widths are scaled along. None: the widths hold for every size.
    """

    widths: tuple[int, int, int, int]
    reference_size: tuple[int, int] | None = None

    @classmethod
    def from_config(cls, widths: Sequence[int], reference_size: tuple[int, int] | None) -> PseudoMargins:
        """Check the four widths of a config."""
        is_list = isinstance(widths, Sequence) and not isinstance(widths, str)
        if not is_list or len(widths) != 4 or any(not isinstance(w, int) or w < 0 for w in widths):
            raise ConfigError(
                f"config: crop_pseudo_margins={widths}, expected four widths >= 0: top, bottom, left, right"
            )
        top, bottom, left, right = widths
        return cls((top, bottom, left, right), reference_size)

    def mask(self, height: int, width: int) -> np.ndarray:
        """(height, width) uint8, 1 where pseudo-labels may be trusted."""
        full_height, full_width = self.reference_size or (height, width)
        top, bottom = (round(margin * height / full_height) for margin in self.widths[:2])
        left, right = (round(margin * width / full_width) for margin in self.widths[2:])
        mask = np.zeros((height, width), np.uint8)
        mask[top : max(height - bottom, 0), left : max(width - right, 0)] = 1
        return mask
