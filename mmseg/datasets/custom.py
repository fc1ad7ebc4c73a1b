"""Your own images and labels, described in the config."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.errors import ConfigError
from mmseg.registry import DATASETS

GOLDEN_RATIO = 0.618033988749895


def distinct_palette(num_classes: int) -> list[tuple[int, int, int]]:
    """Well separated colours, always the same ones for the same class index.

    Hues advance by the golden ratio, which spreads any number of them evenly; brightness alternates in three
    steps.
    """
    colours = (
        colorsys.hsv_to_rgb(index * GOLDEN_RATIO % 1, 0.75, (1.0, 0.75, 0.5)[index % 3])
        for index in range(num_classes)
    )
    return [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in colours]


@DATASETS.register_module()
class CustomDataset(SegmentationDataset):
    """A data set of your own: at least two classes, and folders, suffixes and label ids as you have them.

    Example:
        ``dict(type='CustomDataset', data_root='data/mine', img_dir='images', ann_dir='labels',
        img_suffix='.jpg', classes=['background', 'crack'], id_map={0: 0, 128: 1, 200: 1}, pipeline=…)``

    Without ``palette`` the classes get well separated colours.
    """

    def _resolve_classes(
        self, classes: Sequence[str] | None, palette: Sequence[Sequence[int]] | None
    ) -> tuple[tuple[str, ...], list[tuple[int, int, int]]]:
        if classes is None or isinstance(classes, str) or not 2 <= len(classes) <= 255:
            raise ConfigError(
                f"config: {type(self).__name__} classes={classes!r}, expected a list of 2 to 255 class names"
            )
        return super()._resolve_classes(
            classes, distinct_palette(len(classes)) if palette is None else palette
        )
