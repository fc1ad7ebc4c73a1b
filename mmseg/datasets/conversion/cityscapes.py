"""Cityscapes (Cordts et al., 2016): polygons in JSON, drawn by the tools of the data set's authors."""

import contextlib
import io
import os
import re
from pathlib import Path

import numpy as np
from cityscapesscripts.helpers.annotation import Annotation
from cityscapesscripts.helpers.labels import labels, name2label
from cityscapesscripts.preparation.json2labelImg import createLabelImage

from mmseg.datasets.conversion.label_conversion import (
    NUM_CLASSES,
    LabelConversion,
    LabelMap,
    find_labels,
    lookup_table,
)
from mmseg.datasets.conversion.runner import ConversionReport, convert_dataset
from mmseg.errors import DataError

SPLITS = ("train", "val", "test")
TRAIN_IDS = lookup_table({label.id: label.trainId for label in labels if 0 <= label.trainId < NUM_CLASSES})
"""Train id of each id, shape (256,)."""


def read_label(path: str) -> LabelMap:
    """Train ids drawn from a polygon file, shape (H, W), as ``json2labelImg(..., 'trainIds')`` draws them.

    Raises:
        DataError: The file is broken, or a polygon has a class that Cityscapes does not know.
    """
    annotation = Annotation()
    try:
        annotation.fromJsonText(Path(path).read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(f"no valid polygon file ({type(error).__name__}: {error})") from error
    classes = {polygon.label for polygon in annotation.objects if not polygon.deleted}
    unknown = {name for name in classes if not {name, name.removesuffix("group")} & name2label.keys()}
    if unknown:  # the drawing function would end the whole process
        raise DataError(f"unknown classes {sorted(unknown)}; expected the class names of Cityscapes")
    with contextlib.redirect_stdout(io.StringIO()):
        return np.asarray(createLabelImage(annotation, "trainIds"))


CITYSCAPES = LabelConversion(
    name="Cityscapes",
    gt_dir="gtFine",
    pattern=r"_polygons\.json$",
    ending="_polygons.json",
    read=read_label,
    example="gtFine/train/aachen/aachen_000000_000019_gtFine_polygons.json",
    remedy="download gtFine_trainvaltest.zip from https://www.cityscapes-dataset.com and unpack it there",
    training_split="train",
)


def convert_cityscapes(
    root: str,
    gt_dir: str | None = None,
    out_dir: str | None = None,
    nproc: int = 4,
    label_dir: str | None = None,
) -> ConversionReport:
    """Convert the labels of Cityscapes, see :func:`convert_dataset`, and list the images of each split.

    ``train.txt``, ``val.txt`` and ``test.txt`` in ``out_dir`` hold one image per line, as
    ``city/city_000000_000019``.
    """
    report = convert_dataset(CITYSCAPES, root, gt_dir, out_dir, nproc, label_dir)
    for split in SPLITS:
        folder = os.path.join(root, CITYSCAPES.gt_dir if gt_dir is None else gt_dir, split)
        if os.path.isdir(folder):
            paths = [os.path.relpath(path, folder) for path in find_labels(folder, CITYSCAPES.pattern)]
            names = [re.sub(r"(_gtFine|_gtCoarse)?_polygons\.json$", "", path) for path in paths]
            text = "".join(f"{name}\n" for name in names)
            Path(root if out_dir is None else out_dir, f"{split}.txt").write_text(text, encoding="utf-8")
    return report
