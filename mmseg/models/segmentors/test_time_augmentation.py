"""Test-time augmentation: versions of an image whose predictions are averaged."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import mmcv

from mmseg.errors import ConfigError, DataError

MIN_SIDE = 32
"""Stride of the coarsest features; an encoder cannot take less."""
AVERAGES = ("probabilities", "logits")


@dataclass(frozen=True)
class TestTimeAugmentation:
    """An image in several sizes, each also mirrored.

    Args:
        scales: Factors of the size that the image has at test.
        flip: Predict each size for the mirrored image as well.
        base_scale: (width, height) of the box that the image fits into at scale 1; None = its own size.
        keep_ratio: Keep the aspect ratio of the image.
        average: Of the versions, ``probabilities`` or ``logits`` (as CRST: Zou et al., ICCV 2019, tests with
            the scales 0.9, 1.0 and 1.2).

    Raises:
        ConfigError: There is no scale, one is not a positive number, or there is no such average.
    """

    __test__ = False  # nothing that pytest should collect

    scales: Sequence[float] = (1.0,)
    flip: bool = False
    base_scale: Sequence[int] | None = None
    keep_ratio: bool = True
    average: str = "probabilities"

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale < math.inf for scale in self.scales):
            raise ConfigError(
                f"test_cfg: augmentation scales={list(self.scales)}; expected one or more positive numbers"
            )
        if self.average not in AVERAGES:
            raise ConfigError(
                f"test_cfg: augmentation average={self.average!r}; expected {' or '.join(AVERAGES)}"
            )

    def sizes(self, height: int, width: int, name: str) -> list[tuple[int, int]]:
        """(height, width) of the versions of an image.

        Args:
            height: Of the image file.
            width: Of the image file.
            name: What to call the image in messages.

        Raises:
            DataError: A version is too small for the encoder.
        """
        sizes = [self._size(height, width, scale) for scale in self.scales]
        for scale, size in zip(self.scales, sizes, strict=True):
            if min(size) < MIN_SIDE:
                raise DataError(
                    f"{name}: {width}x{height} pixels become {size[1]}x{size[0]} at scale {scale}, expected "
                    f"at least {MIN_SIDE} on each side; leave this scale out (--aug-scales)"
                )
        return sizes

    def _size(self, height: int, width: int, scale: float) -> tuple[int, int]:
        box_width, box_height = (int(length * scale) for length in self.base_scale or (width, height))
        if self.keep_ratio:
            box_width, box_height = mmcv.rescale_size((width, height), (box_width, box_height))
        return box_height, box_width
