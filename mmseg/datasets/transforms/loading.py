"""The first steps of a pipeline: images and labels from their files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmseg.datasets.decoding import SIDEWAYS, Stored, read_header, stored_image, stored_label
from mmseg.datasets.transforms.base import Results, Transform
from mmseg.errors import ConfigError, DataError
from mmseg.labelling.label_folder import read_soft
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
        value_range, percentiles, bands: See :func:`stored_image`.
        orientation: ``'exif'``: turn images and labels as each file notes it, ``'raw'``: leave them as they
            are stored. None turns them as well, but refuses a pair that would fit either way.
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
        if bands is not None and not (_are_numbers(bands, int) and len(bands) == 3 and min(bands) >= 0):
            raise ConfigError(f"pipeline: LoadImage bands={bands!r}, expected three whole numbers from 0 on")
        if orientation not in (None, "exif", "raw"):
            raise ConfigError(f"pipeline: LoadImage orientation={orientation!r}, expected 'exif' or 'raw'")
        self.orientation = orientation
        self.bands = (0, 1, 2) if bands is None else tuple(bands)
        settings: dict[str, Any] = dict(value_range=value_range, percentiles=percentiles, bands=bands)
        self._settings: dict[str, Any] = {
            name: tuple(value) for name, value in settings.items() if value is not None
        }

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
        return self._turned(stored_image(path, **self._settings))

    def size(self, path: str) -> tuple[int, int]:
        """(width, height) of an image file, without decoding it."""
        header = read_header(path)
        width, height = header.size
        turned = self.orientation != "raw" and header.orientation in SIDEWAYS
        return (height, width) if turned else (width, height)

    def remark(self, path: str) -> str | None:
        """What is not read of an image file: further pages and bands."""
        header, left_out = read_header(path), []
        if header.pages > 1:
            left_out.append(f"{header.pages} pages, of which the first is read")
        if header.bands > 3 and header.format == "TIFF":
            left_out.append(
                f"{header.bands} bands, of which {self.bands} are red, green and blue, see bands of LoadImage"
            )
        return f"{path}: has {' and '.join(left_out)}" if left_out else None

    def __call__(self, results: Results) -> Results:
        stored = stored_image(results["img_path"], **self._settings)
        image = self._turned(stored)
        shape = image.shape[:2]
        results.update(img=image, ori_shape=shape, img_shape=shape, scale_factor=(1.0, 1.0), flip=False)
        results.update(orientation=self.orientation, img_orientation=stored.orientation)
        if results.get("pseudo_margins") is not None:
            results["valid_pseudo_mask"] = results["pseudo_margins"].mask(*shape)
        return results

    def _turned(self, stored: Stored) -> np.ndarray:
        return stored.pixels if self.orientation == "raw" else stored.upright


@TRANSFORMS.register_module()
class LoadLabel(Transform):
    """Read ``seg_map_path`` and set ``gt_semantic_seg``, with soft labels also ``soft_label``; a sample
    without label passes unchanged.

    Before :class:`Resize` the label is resized with the image, as training needs it; behind it the label
    keeps the size of its file, as evaluation needs it.

    Raises:
        DataError: The label is unreadable, has another size than its image, or holds a value that is no
            class.
    """

    def __call__(self, results: Results) -> Results:
        if results["seg_map_path"] is not None:
            _, results["gt_semantic_seg"] = self.read(results)
        if results.get("soft_path") is not None:
            soft = read_soft(Path(results["soft_path"]), results["gt_semantic_seg"])
            results["soft_label"] = soft.transpose(1, 2, 0)
        return results

    def read(self, results: Results) -> tuple[np.ndarray, np.ndarray]:
        """Values as they are in the file, (H, W) or (H, W, 3), and classes, (H, W) uint8.

        Without ``ori_shape`` the size is not compared with that of the image.
        """
        path: str = results["seg_map_path"]
        stored = stored_label(path)
        label = raw = stored.pixels if results.get("orientation") == "raw" else stored.upright
        if "ori_shape" in results:
            self._check_size(label, stored, results)
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
    def _check_size(label: np.ndarray, stored: Stored, results: Results) -> None:
        """Refuse a label of another size than its image, and one that has its size whether turned or not."""
        image_path, path = results["img_path"], results["seg_map_path"]
        shape, (height, width) = label.shape[:2], results["ori_shape"]
        orientation = results.get("img_orientation", 1)
        notes = f"the EXIF orientation of {image_path} is {orientation}, of its label {stored.orientation}"
        if shape == (height, width):
            as_stored = (width, height) if orientation in SIDEWAYS else (height, width)
            fits_both = orientation != stored.orientation and stored.pixels.shape[:2] == as_stored
            if results.get("orientation", "exif") is None and fits_both:
                raise DataError(
                    f"{path}: has the size of its image turned or not: {notes}; {ORIENTATION_REMEDY}"
                )
            return
        problem = (
            f"{path}: the label is {shape[1]}x{shape[0]} pixels, its image {image_path} is {width}x{height}"
        )
        if shape == (width, height) and orientation != stored.orientation:
            raise DataError(f"{problem}; {notes}; {ORIENTATION_REMEDY}")
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


def _are_numbers(value: Any, kind: Any = int | float) -> bool:
    numbers = isinstance(value, Sequence) and all(isinstance(each, kind) for each in value)
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
        label = np.minimum(label.astype(np.int64), len(lookup) - 1)  # the last entry is 255
    return lookup[label]
