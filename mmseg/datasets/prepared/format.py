"""Prepared pixels: images and labels as the first random transform gets them, decoded and resized.

They lie in one ``.npy`` file for each image and one for each label and are mapped into memory, so a crop
reads its own rows and nothing is decoded. ``index.json`` says what they were made from; whoever opens them
compares that with the data set, and the pixels of the first image with its file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmseg.datasets.transforms.base import Results, run_transforms
from mmseg.datasets.transforms.loading import LoadImage, LoadLabel
from mmseg.errors import DataError

if TYPE_CHECKING:
    from mmseg.datasets.segmentation_dataset import SegmentationDataset

INDEX_FILE = "index.json"
FORMAT = 2
"""Raise it whenever the files of a prepared data set change their meaning."""
ARRAYS = ("img", "gt_semantic_seg")
FILES = ("img_path", "seg_map_path")
REMEDY = "run python tools/prepare_data.py again, or remove 'prepared' from the data set's config"

Index = dict[str, Any]
"""``format``, ``settings`` (see :func:`settings_of`) and ``samples``: for each name ``files``, the
:func:`file_stamps` of what it was made from, and ``results``, what the pipeline knows besides pixels."""


def settings_of(dataset: SegmentationDataset) -> dict[str, Any]:
    """What the prepared pixels depend on besides the content of the files; a data set without labels does not
    ask where they come from."""
    settings = {
        "images": [str(dataset.img_dir), dataset.img_suffix],
        "pipeline": dataset.pipeline[: len(dataset.leading_transforms)],
        "num_classes": dataset.num_classes,
        "id_map": None if dataset.id_lookup is None else dataset.id_lookup.tolist(),
    }
    if dataset.has_labels:
        settings["labels"] = [str(dataset.ann_dir), dataset.seg_map_suffix]
    return json.loads(json.dumps(settings))  # tuples become lists, as in the index


def file_stamps(results: Results) -> dict[str, list[int]]:
    """Size in bytes and time of change in nanoseconds of the image and label file of a sample.

    Raises:
        DataError: A file is missing.
    """
    stamps = {}
    for key in FILES:
        if results[key] is None:
            continue
        try:
            status = os.stat(results[key])
        except OSError as error:
            raise DataError(f"{results[key]}: cannot be read ({error.strerror}); restore the file") from error
        stamps[key] = [status.st_size, status.st_mtime_ns]
    return stamps


def is_current(entry: dict[str, Any] | None, stamps: dict[str, list[int]]) -> bool:
    """Whether an entry of the index was made from files with these stamps."""
    return entry is not None and stamps.items() <= entry["files"].items()


def array_path(folder: Path, key: str, name: str) -> Path:
    """File of the image or label of a sample."""
    return folder / key / f"{name}.npy"


def map_array(folder: Path, key: str, name: str) -> np.ndarray:
    """Open an image or label without reading its pixels.

    Raises:
        DataError: The file is missing or incomplete.
    """
    path = array_path(folder, key, name)
    try:
        return np.asarray(np.load(path, mmap_mode="r"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no complete prepared file ({error}); {REMEDY}") from error


def read_index(folder: Path, settings: dict[str, Any]) -> Index:
    """The index of a prepared data set.

    Args:
        folder: Where it lies.
        settings: What the data set asks for.

    Raises:
        DataError: The index is missing, no index of prepared data, or belongs to other settings.
    """
    path = folder / INDEX_FILE
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        index["samples"].keys()  # it is a dict
        found = {"format": index["format"], **index["settings"]}
    except OSError as error:
        raise DataError(f"{path}: missing, so nothing is prepared there; {REMEDY}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: no index of prepared data ({error!r}); name another folder") from error
    expected = {"format": FORMAT, **settings}
    for key, value in expected.items():
        if found.get(key) != value:
            raise DataError(
                f"{path}: prepared with {key}={found.get(key)}, but the config asks for {value}; prepare "
                "into another folder (tools/prepare_data.py), or remove 'prepared' from the data set's config"
            )
    return index


class PreparedData:
    """Stands in for the leading transforms of a data set.

    Args:
        folder: Folder that ``tools/prepare_data.py`` has written.
        dataset: The data set; file names and settings have to be those it was prepared from.

    Raises:
        DataError: Files have changed since, were added or are incomplete, the settings are others, or the
            pixels of the first image are not those that its file gives.
    """

    def __init__(self, folder: str | Path, dataset: SegmentationDataset) -> None:
        self.folder = Path(folder)
        self._samples = read_index(self.folder, settings_of(dataset))["samples"]
        self._leading = dataset.leading_transforms
        self._masks: dict[tuple[int, int], np.ndarray] = {}
        self._check_files(dataset)
        self.check_pixels(dataset, [0])

    def load(self, described: Results) -> Results:
        """What the leading transforms return for a sample (``described`` by the data set); pixels are mapped
        and cannot be written to."""
        name = described["name"]
        known = self._samples[name]["results"]
        results = {
            **described,
            **{key: tuple(value) if isinstance(value, list) else value for key, value in known.items()},
        }
        for array, file in zip(ARRAYS, FILES, strict=True):
            if described[file] is not None:
                results[array] = map_array(self.folder, array, name)
        if described["pseudo_margins"] is not None:
            results["valid_pseudo_mask"] = self._mask(results)
        return results

    def check_pixels(self, dataset: SegmentationDataset, indices: Iterable[int]) -> None:
        """Compare with what the files give.

        Raises:
            DataError: Something differs.
        """
        for index in indices:
            described = dataset.describe(dataset.samples[index])
            prepared = self.load(described)
            expected = run_transforms(self._leading, dict(described))
            different = [key for key in expected if not np.array_equal(prepared.get(key, ()), expected[key])]
            if different:
                raise DataError(
                    f"{self.folder}: {', '.join(different)} of {described['name']} differ from what the "
                    f"pipeline makes of {described['img_path']}; the code or a library has changed since, or "
                    f"the prepared file is damaged: delete the folder and {REMEDY}"
                )

    def _check_files(self, dataset: SegmentationDataset) -> None:
        stale = []
        for sample in dataset.samples:
            entry = self._samples.get(sample.name)
            stamps = file_stamps(dataset.describe(sample))
            if not is_current(entry, stamps):
                stale.append((sample, stamps, entry))
        if stale:
            sample, stamps, entry = stale[0]
            found = "is not in the index" if entry is None else f"was prepared from {entry['files']}"
            raise DataError(
                f"{self.folder}: {len(stale)} of {len(dataset.samples)} images are new or have changed "
                f"since, for example {sample.img_path}: it {found}, but its files (bytes, time of change) "
                f"are {stamps}; {REMEDY}"
            )

    def _mask(self, results: Results) -> np.ndarray:
        """The pseudo-label mask of an image, which depends on the size of the image file only."""
        shape = results["ori_shape"]
        if shape not in self._masks:
            movers = [step for step in self._leading if not isinstance(step, LoadImage | LoadLabel)]
            mask = results["pseudo_margins"].mask(*shape)
            blank = {**results, "img": np.zeros((*shape, 3), np.uint8), "valid_pseudo_mask": mask}
            blank.pop("gt_semantic_seg", None)
            self._masks[shape] = run_transforms(movers, blank)["valid_pseudo_mask"]
        return self._masks[shape]
