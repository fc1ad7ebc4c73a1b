"""The work on one label file: raw label to train ids, written beside it, and its pixels counted per class."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from mmseg.checkpoints.atomic import replacing
from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.datasets.files import walk
from mmseg.errors import DataError
from mmseg.labels import IGNORE_INDEX

NUM_CLASSES = 19
TRAIN_ID_ENDING = "_labelTrainIds.png"

LabelMap = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class LabelConversion:
    """How the raw labels of one data set are found and read.

    Args:
        name: Name of the data set in messages.
        gt_dir: Label folder below the root of the data set, unless the user names another one.
        label_folders: Folders below ``gt_dir`` that hold the labels.
        pattern: Regular expression of the raw label files. It must not fit the converted files beside them.
        ending: Part of the file name that ``_labelTrainIds.png`` replaces.
        read: Reads one raw label as train ids, shape (H, W).
        example: Path of a raw label below the root, shown when none is found.
        remedy: What the user does when the labels are missing.
        classes: Names of the classes that ``read`` returns the numbers of.
        training_split: Only files below this folder of ``gt_dir`` enter the class statistics; None: all.
    """

    name: str
    gt_dir: str
    pattern: str
    ending: str
    read: Callable[[str], LabelMap]
    example: str
    remedy: str
    label_folders: tuple[str, ...] = ("",)
    classes: tuple[str, ...] = CITYSCAPES_CLASSES
    training_split: str | None = None

    def output_path(self, raw_path: str, label_dir: str, out_dir: str | None = None) -> str:
        """Path of the converted label: beside the raw one, or at the same place below another folder than
        ``label_dir``."""
        folder = raw_path if out_dir is None else os.path.join(out_dir, os.path.relpath(raw_path, label_dir))
        return folder.removesuffix(self.ending) + TRAIN_ID_ENDING

    def is_counted(self, raw_path: str, gt_dir: str) -> bool:
        """Whether a raw label below ``gt_dir`` enters the class statistics."""
        if self.training_split is None:
            return True
        return Path(os.path.relpath(raw_path, gt_dir)).parts[0] == self.training_split


@dataclass(frozen=True)
class ConvertedLabel:
    """What became of one raw label.

    Args:
        path: The converted label.
        pixels: Number of pixels of each class that occurs, ascending by class; 255 is not a class.
        was_finished: An earlier run had converted it already.
        damage: Why the file could not be converted, or None.
    """

    path: str
    pixels: Mapping[int, int]
    was_finished: bool = False
    damage: str | None = None


def lookup_table(id_to_train_id: Mapping[int, int], size: int = 256) -> LabelMap:
    """Table of shape (size,) from raw id to train id; ids without a train id become 255."""
    table = np.full(size, IGNORE_INDEX, dtype=np.uint8)
    table[list(id_to_train_id.keys())] = list(id_to_train_id.values())
    return table


def read_indexed_png(path: str) -> LabelMap:
    """Ids of a palette or grey 8-bit PNG, shape (H, W). The colours of a palette are ignored.

    Raises:
        DataError: The image stores colours or 16-bit values.
    """
    with Image.open(path) as image:
        if image.mode not in ("P", "L"):
            raise DataError(f"image mode {image.mode}; expected ids as an 8-bit palette (P) or grey (L) PNG")
        return np.asarray(image)


def read_16bit_red(path: str) -> npt.NDArray[np.uint16]:
    """Red channel of a 16-bit RGB PNG, shape (H, W).

    Raises:
        DataError: The file cannot be decoded or is no 16-bit RGB image.
    """
    image = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DataError("unreadable or truncated PNG")
    if image.dtype != np.uint16 or image.ndim != 3 or image.shape[2] != 3:
        channels = 1 if image.ndim == 2 else image.shape[2]
        raise DataError(f"{image.dtype} image with {channels} channel(s); expected a 16-bit RGB PNG of ids")
    return image[:, :, 2].astype(np.uint16, copy=False)  # OpenCV stores blue, green, red


def count_pixels(label: LabelMap) -> dict[int, int]:
    """Pixels of each class in a train id map of shape (H, W): classes that occur only, without 255.

    Raises:
        DataError: A value is neither a class nor 255.
    """
    pixels = np.bincount(label.ravel(), minlength=256)
    unknown = np.flatnonzero(pixels[NUM_CLASSES:IGNORE_INDEX]) + NUM_CLASSES
    if unknown.size:
        raise DataError(f"label values {unknown.tolist()}; expected 0 to {NUM_CLASSES - 1} or {IGNORE_INDEX}")
    return {int(c): int(pixels[c]) for c in np.flatnonzero(pixels[:NUM_CLASSES])}


def write_label(path: str, label: LabelMap) -> None:
    """Write a label map (H, W) as 8-bit PNG. The file appears complete or not at all."""
    with replacing(path, flush=False) as temporary:
        Image.fromarray(label).save(temporary, format="PNG")


def finished_pixels(raw_path: str, output_path: str) -> dict[int, int] | None:
    """Pixel counts of a label that an earlier run has converted, or None if it has to be converted."""
    try:
        if os.path.getmtime(output_path) < os.path.getmtime(raw_path):
            return None
        return count_pixels(read_indexed_png(output_path))
    except (OSError, SyntaxError, ValueError, DataError):  # missing or damaged
        return None


def convert_label(conversion: LabelConversion, paths: tuple[str, str]) -> ConvertedLabel:
    """Convert one raw label unless that is already done.

    Damage is part of the result, not an exception, so that one file does not end a run.

    Args:
        conversion: The data set.
        paths: Of the raw label, and of the converted one.

    Raises:
        DataError: The converted label cannot be written.
    """
    raw_path, output_path = paths
    pixels = finished_pixels(raw_path, output_path)
    if pixels is not None:
        return ConvertedLabel(output_path, pixels, was_finished=True)
    try:
        label = conversion.read(raw_path)
        pixels = count_pixels(label)
    except Exception as error:  # decoders raise almost anything on damaged bytes
        reason = str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
        return ConvertedLabel(output_path, {}, damage=reason)
    try:
        write_label(output_path, label)
    except OSError as error:
        raise DataError(
            f"{output_path}: cannot be written ({error.strerror}); make room, or name another folder for the "
            "converted labels with --label-dir, and one for the statistics with --out-dir"
        ) from error
    return ConvertedLabel(output_path, pixels)


def find_labels(folder: str, pattern: str) -> list[str]:
    """Files below ``folder`` whose name fits the regular expression, sorted; hidden ones are left out."""
    name_fits = re.compile(pattern).search
    return sorted(
        os.path.join(place, name) for place, names in walk(Path(folder)) for name in names if name_fits(name)
    )
