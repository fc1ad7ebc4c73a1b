"""The first steps of a pipeline: images and labels from their files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mmseg.datasets.decoding import (
    SIDEWAYS,
    noted_orientation,
    orientation_of,
    read_header,
    read_image,
    read_label,
)
from mmseg.datasets.transforms.base import Results, Transform
from mmseg.errors import ConfigError, DataError
from mmseg.labels import IGNORE_INDEX
from mmseg.registry import TRANSFORMS

ORIENTATION_REMEDY = (
    "say whether labels were drawn on the image as it is shown, dict(type='LoadImage', orientation='exif'), "
    "or as it is stored, orientation='raw', in each pipeline of this data set"
)


@TRANSFORMS.register_module()
class LoadImage(Transform):
    """Read ``img_path`` and set ``img``, the shapes and, with ``pseudo_margins``, ``valid_pseudo_mask``.

    The pipelines of training, test and one's own images need the same arguments.

    Args:
        value_range, percentiles, bands: See :func:`read_image`.
        orientation: ``'exif'``: turn images as the camera noted it, ``'raw'``: leave them as they are stored.
            None turns them as well, but refuses a labelled image whose label could be meant for either.
    """

    def __init__(
        self,
        value_range: Sequence[float] | None = None,
        percentiles: Sequence[float] | None = None,
        bands: Sequence[int] | None = None,
        orientation: str | None = None,
    ) -> None:
        for name, pair in (("value_range", value_range), ("percentiles", percentiles)):
            if pair is not None and not (_are_numbers(pair) and len(pair) == 2 and pair[0] < pair[1]):
                raise ConfigError(f"pipeline: LoadImage {name}={pair!r}, expected (lower, higher)")
        if percentiles is not None and not 0 <= percentiles[0] < percentiles[1] <= 100:
            raise ConfigError(f"pipeline: LoadImage percentiles={percentiles!r}, expected 0 to 100")
        if value_range is not None and percentiles is not None:
            raise ConfigError("pipeline: LoadImage takes value_range or percentiles, not both")
        if bands is not None and not (_are_numbers(bands) and len(bands) == 3 and min(bands) >= 0):
            raise ConfigError(f"pipeline: LoadImage bands={bands!r}, expected three numbers from 0 on")
        if orientation not in (None, "exif", "raw"):
            raise ConfigError(f"pipeline: LoadImage orientation={orientation!r}, expected 'exif' or 'raw'")
        self.orientation = orientation
        self.bands = (0, 1, 2) if bands is None else tuple(bands)
        settings: dict[str, Any] = dict(value_range=value_range, percentiles=percentiles, bands=bands)
        self._settings: dict[str, Any] = {
            name: tuple(value) for name, value in settings.items() if value is not None
        }
        if orientation == "raw":
            self._settings["turn"] = False

    @classmethod
    def of(cls, pipeline: Iterable[Transform | Mapping[str, Any]]) -> LoadImage:
        """The one in a pipeline of transforms or their configs, or one without arguments."""
        for step in pipeline:
            if isinstance(step, LoadImage):
                return step
            if isinstance(step, Mapping) and step.get("type") in ("LoadImage", LoadImage):
                return cls(**{key: value for key, value in step.items() if key != "type"})
        return cls()

    def read(self, path: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB pixels of an image file."""
        return read_image(path, **self._settings)

    def size(self, path: str) -> tuple[int, int]:
        """(width, height) of an image file, without decoding it."""
        width, height = read_header(path).size
        turned = self.orientation != "raw" and orientation_of(path) in SIDEWAYS
        return (height, width) if turned else (width, height)

    def __call__(self, results: Results) -> Results:
        image = self.read(results["img_path"])
        shape = image.shape[:2]
        results.update(img=image, ori_shape=shape, img_shape=shape, scale_factor=(1.0, 1.0), flip=False)
        if self.orientation is None and results["seg_map_path"] is not None:
            self._check_orientation(results["img_path"], *shape)
        if results.get("pseudo_margins") is not None:
            results["valid_pseudo_mask"] = results["pseudo_margins"].mask(*shape)
        return results

    @staticmethod
    def _check_orientation(path: str, height: int, width: int) -> None:
        """Refuse an image whose label has its size whether it was turned or not."""
        orientation = noted_orientation(path)
        if orientation != 1 and not (orientation in SIDEWAYS and height != width):
            raise DataError(
                f"{path}: has the EXIF orientation {orientation}, and a label drawn on the image as it is "
                f"stored would have the same size; {ORIENTATION_REMEDY}"
            )


@TRANSFORMS.register_module()
class LoadLabel(Transform):
    """Read ``seg_map_path`` and set ``gt_semantic_seg``; a sample without label passes unchanged.

    Before :class:`Resize` the label is resized with the image, as training needs it; behind it the label
    keeps the size of its file, as evaluation needs it.

    Raises:
        DataError: The label is unreadable, has another size than its image, or holds a value that is no
            class.
    """

    def __call__(self, results: Results) -> Results:
        if results["seg_map_path"] is not None:
            _, results["gt_semantic_seg"] = self.read(results)
        return results

    def read(self, results: Results) -> tuple[np.ndarray, np.ndarray]:
        """Values as they are in the file, (H, W) or (H, W, 3), and classes, (H, W) uint8.

        Without ``ori_shape`` the size is not compared with that of the image.
        """
        path: str = results["seg_map_path"]
        label = raw = read_label(path)
        if "ori_shape" in results:
            self._check_size(label, path, results)
        lookup = results.get("id_lookup")
        if isinstance(lookup, ColorTable) != (label.ndim == 3):
            found, remedy = (
                (f"{label.shape[-1]} channels", "name the colours in id_map, as id_map={(128, 64, 128): 0}")
                if label.ndim == 3
                else ("one channel", "id_map names colours: give it the numbers instead")
            )
            raise DataError(
                f"{path}: the label has {found}, expected {'one' if label.ndim == 3 else 'three'}; {remedy}"
            )
        if lookup is not None:
            label = lookup(label) if isinstance(lookup, ColorTable) else _map_ids(label, lookup, path)
        self._check_values(label, results["num_classes"], path)
        return raw, label.astype(np.uint8, copy=False)

    @staticmethod
    def _check_size(label: np.ndarray, path: str, results: Results) -> None:
        (label_height, label_width), (height, width) = label.shape[:2], results["ori_shape"]
        if (label_height, label_width) == (height, width):
            return
        problem = (
            f"{path}: the label is {label_width}x{label_height} pixels, its image {results['img_path']} is "
            f"{width}x{height}"
        )
        if (label_height, label_width) == (width, height) and noted_orientation(results["img_path"]) != 1:
            raise DataError(f"{problem}, since it was turned; {ORIENTATION_REMEDY}")
        raise DataError(
            f"{problem}; copy or convert them again, or name all other pairs in a file, the split of the "
            "data set (tools/verify_dataset.py finds all such pairs)"
        )

    @staticmethod
    def _check_values(label: np.ndarray, num_classes: int, path: str) -> None:
        if label.dtype == np.uint8 and (label + np.uint8(1)).max() <= num_classes:
            return  # 255 + 1 is 0: the common case in one pass
        outside = ((label >= num_classes) | (label < 0)) & (label != IGNORE_INDEX)
        if outside.any():
            values = ", ".join(map(str, np.unique(label[outside])[:10].tolist()))
            raise DataError(
                f"{path}: label values {values} found, expected 0 to {num_classes - 1} or {IGNORE_INDEX}; "
                "convert the labels to train ids or set id_map and classes of the data set"
            )


def _are_numbers(value: Any) -> bool:
    numbers = isinstance(value, Sequence) and all(isinstance(each, int | float) for each in value)
    return numbers and not isinstance(value, str)


class ColorTable:
    """Classes by colour, for RGB labels; other colours are ignored.

    Args:
        classes: (red, green, blue) -> class or 255.
    """

    def __init__(self, classes: Mapping[tuple[int, int, int], int]) -> None:
        keys = {(r << 16) | (g << 8) | b: c for (r, g, b), c in classes.items()}
        self.keys = np.array(sorted(keys), np.int32)
        self.classes = np.array([keys[key] for key in self.keys.tolist()], np.uint8)

    def __call__(self, label: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 colours → (H, W) uint8 classes."""
        red, green, blue = (label[..., band].astype(np.int32) for band in range(3))
        packed = (red << 16) | (green << 8) | blue
        place = np.searchsorted(self.keys, packed).clip(max=len(self.keys) - 1)
        return np.where(self.keys[place] == packed, self.classes[place], np.uint8(IGNORE_INDEX))

    def items(self) -> Iterator[tuple[tuple[int, int, int], int]]:
        """(red, green, blue) and class of each colour."""
        for key, c in zip(self.keys.tolist(), self.classes.tolist(), strict=True):
            yield (key >> 16, key >> 8 & 255, key & 255), c

    def tolist(self) -> list[list[int]]:
        """(red, green, blue, class) of each colour."""
        return [[*color, c] for color, c in self.items()]


def _map_ids(label: np.ndarray, lookup: np.ndarray, path: str) -> np.ndarray:
    """Look up the train id of every raw id; ids beyond the table are ignored like unlisted ones."""
    if label.min() < 0:
        raise DataError(f"{path}: negative label value {label.min()}; raw ids have to be 0 or larger")
    if label.dtype != np.uint8:
        label = np.minimum(label, len(lookup) - 1)  # the last entry is 255
    return lookup[label]
