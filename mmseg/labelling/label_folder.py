"""The folder that holds the labels of a round.

=================== ==================================================================================
``labels/NAME.png`` (H, W) uint8 classes, 255 = none, of the size of the image; NAME may hold folders
``soft/NAME.npz``   soft labels of the chosen pixels, where the labeller gives some
``SPLIT.txt``       names of images, e.g. ``easy.txt`` and ``hard.txt``
``summary.json``    settings, thresholds, counts and shares per class, digest of the weights
``pictures.png``    some images with their labels
=================== ==================================================================================

It appears when it is whole: a folder that exists is complete.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mmseg.checkpoints.atomic import replacing, write_text
from mmseg.errors import DataError
from mmseg.labelling.labeller import ImageLabel
from mmseg.labels import IGNORE_INDEX

SUMMARY = "summary.json"
SOFT_STEPS = 65535
"""Soft labels are stored as whole numbers of these steps: they are off by at most 1 / 131070."""


@dataclass(frozen=True)
class RoundLabels:
    """Labels of a round.

    Attributes:
        folder: Where they are.
        round: Counts from 0.
        classes: Names of the classes that the labels number.
        weights: Digest of the weights that predicted them.
        thresholds: Threshold of each class; None where the labeller has none.
        rare_classes: Classes that were predicted in few pixels, see the labeller; may be empty.
        splits: Names of images.
        summary: All of ``summary.json``.
    """

    folder: Path
    round: int
    classes: list[str]
    weights: str
    thresholds: list[float] | None
    rare_classes: list[int]
    splits: dict[str, list[str]]
    summary: dict[str, Any]

    @classmethod
    def read(cls, folder: str | Path) -> "RoundLabels":
        """What a folder holds.

        Raises:
            DataError: It is missing or not complete.
        """
        path = Path(folder) / SUMMARY
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
            expected = {"labels": summary["labelled_images"], "soft": summary.get("soft_images", 0)}
            for part, number in expected.items():
                if (found := _number_of_files(Path(folder) / part)) < number:
                    raise ValueError(f"{part} of {number} images, but found {found} files in {part}/")
            splits = {name: _lines(Path(folder) / f"{name}.txt") for name in summary["splits"]}
            return cls(
                Path(folder),
                summary["round"],
                summary["classes"],
                summary["weights"],
                summary.get("thresholds"),
                summary.get("rare_classes", []),
                splits,
                summary,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: cannot be read ({type(error).__name__}: {error}); expected the labels of a round, "
                "as tools/label_target.py and training in rounds write them; delete the folder and make it "
                "again"
            ) from error

    @property
    def has_soft(self) -> bool:
        """Whether there are soft labels."""
        return self.summary["soft"]

    def label_path(self, name: str) -> Path:
        """Label file of an image.

        Raises:
            DataError: There is none.
        """
        return self._existing(self.folder / "labels" / f"{name}.png", name)

    def soft_path(self, name: str) -> Path:
        """File of an image's soft labels, see :func:`read_soft`.

        Raises:
            DataError: There is none.
        """
        return self._existing(self.folder / "soft" / f"{name}.npz", name)

    def _existing(self, path: Path, name: str) -> Path:
        if not path.is_file():
            raise DataError(
                f"{path}: is missing; found labels of {self.summary['labelled_images']} images, expected "
                f"some of {name!r}; restore it, name the folder that belongs to these images, or label them "
                "again: a run in rounds does so at the start of a round, else tools/label_target.py"
            )
        return path

    def check_classes(self, classes: Sequence[str]) -> None:
        """Refuse labels that number other classes.

        Raises:
            DataError: They do.
        """
        if list(classes) != self.classes:
            raise DataError(
                f"{self.folder}: holds labels of {len(self.classes)} classes ({', '.join(self.classes)}), "
                f"expected those of the data set ({', '.join(classes)}); label its images again"
            )


def read_soft(path: Path, label: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Soft labels of an image.

    Args:
        path: Their file.
        label: (H, W) labels of the same image, whose chosen pixels the file describes.

    Returns:
        (K, H, W) in [0, 1], 0 where nothing was chosen.

    Raises:
        DataError: The file is damaged or belongs to another label map.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = archive["soft"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(f"{path}: soft labels cannot be read ({error}); label the images again") from error
    chosen = label != IGNORE_INDEX
    if len(values) != chosen.sum():
        raise DataError(
            f"{path}: holds soft labels of {len(values)} pixels, expected {chosen.sum()}, which the label "
            "map beside it has chosen; label the images again"
        )
    soft = np.zeros((*label.shape, values.shape[1]), np.float32)
    soft[chosen] = values.astype(np.float32) / SOFT_STEPS
    return soft.transpose(2, 0, 1)


def write_label(folder: Path, name: str, chosen: ImageLabel) -> npt.NDArray[np.uint8]:
    """Write the labels of an image and return them."""
    label = chosen.label.cpu().numpy()
    path = folder / "labels" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", label)[1].tobytes())
    if chosen.soft is not None:
        steps = (chosen.soft[:, chosen.label != IGNORE_INDEX].T * SOFT_STEPS).round().clamp(0, SOFT_STEPS)
        with replacing(folder / "soft" / f"{name}.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, soft=steps.int().cpu().numpy().astype(np.uint16))
    return label


def write_summary(folder: Path, summary: dict[str, Any], splits: dict[str, list[str]]) -> None:
    """Write what describes the labels."""
    for name, images in splits.items():
        write_text(folder / f"{name}.txt", "".join(f"{image}\n" for image in images))
    write_text(folder / SUMMARY, json.dumps({**summary, "splits": list(splits)}, indent=1) + "\n")


def _number_of_files(folder: Path) -> int:
    return sum(1 for path in folder.rglob("[!.]*") if path.suffix in (".png", ".npz"))


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()
