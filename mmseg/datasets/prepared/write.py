"""Write prepared pixels, see :mod:`mmseg.datasets.prepared.format`; when interrupted, go on later."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from mmseg.checkpoints.atomic import replacing, write_text
from mmseg.datasets.parallel import map_in_processes
from mmseg.datasets.prepared.format import (
    ARRAYS,
    FORMAT,
    INDEX_FILE,
    Index,
    PreparedData,
    array_path,
    file_stamps,
    is_current,
    map_array,
    read_index,
    settings_of,
)
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.datasets.transforms.base import PIXEL_KEYS, Results, Transform, run_transforms
from mmseg.datasets.transforms.loading import LoadImage
from mmseg.errors import ConfigError, DataError

SAVE_INTERVAL = 10.0  # seconds; so much work is lost when the process is killed
SPREAD = 8  # images whose prepared size stands for that of all


@dataclass(frozen=True)
class Plan:
    """What there is to do.

    Attributes:
        todo: Indices of the samples to prepare.
        finished: Number of samples that earlier runs have prepared.
        needed: Bytes of what is to be written, estimated from a few images.
        free: Free bytes at the place they go to.
        device: Number of the file system there (``st_dev``).
    """

    todo: list[int]
    finished: int
    needed: int
    free: int
    device: int


def plan_preparation(dataset: SegmentationDataset, folder: Path) -> Plan:
    """Find out what is missing, has changed or is incomplete, and how much space it takes.

    Raises:
        DataError: The folder holds data that were prepared with other settings, or an image is unreadable.
    """
    samples = _read_or_new(dataset, folder)["samples"]
    todo = [
        index
        for index, sample in enumerate(dataset.samples)
        if not _is_finished(samples.get(sample.name), folder, dataset.describe(sample))
    ]
    probed = _spread(todo, SPREAD)
    sizes = [sum(_arrays(_leading_results(dataset, index)).values()) for index in probed]
    needed = round(sum(sizes) / max(len(sizes), 1) * len(todo))
    parent = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free, device = shutil.disk_usage(parent).free, parent.stat().st_dev
    return Plan(todo, len(dataset) - len(todo), needed, free, device)


def check_pipeline(dataset: SegmentationDataset) -> None:
    """Check that there is something to prepare.

    Raises:
        ConfigError: No image is read before the first random transform.
    """
    if not any(isinstance(step, LoadImage) for step in dataset.leading_transforms):
        raise ConfigError(
            f"config: the pipeline of {dataset.img_dir} has no LoadImage before its first random transform, "
            "so there is nothing to prepare; begin it with dict(type='LoadImage')"
        )


def check_space(plans: Mapping[Path, Plan]) -> None:
    """Check that all that is to be written, by folder, fits into the file systems.

    Raises:
        DataError: The space does not suffice.
    """
    for device in {plan.device for plan in plans.values()}:
        there = {folder: plan for folder, plan in plans.items() if plan.device == device}
        needed = sum(plan.needed for plan in there.values())
        free = min(plan.free for plan in there.values())
        if needed > free:
            raise DataError(
                f"{', '.join(map(str, there))}: {gigabytes(needed)} are needed, {gigabytes(free)} are free; "
                "make room or choose another place with --out"
            )


def prepare(
    dataset: SegmentationDataset, folder: Path, plan: Plan, nproc: int = 4, num_checked: int = 16
) -> None:
    """Carry out a plan, then compare some of the prepared samples with their files.

    When they differ, the index is removed: nobody opens these data, and the next call prepares them anew.

    Args:
        dataset: Data set without ``prepared``.
        folder: Where the result goes.
        plan: From :func:`plan_preparation`.
        nproc: Number of processes.
        num_checked: Number of samples that are compared, spread over the data set.

    Raises:
        DataError: The space does not suffice, the folder cannot be written, a file is unreadable, or prepared
            pixels differ.
    """
    check_space({folder: plan})
    try:
        _write_samples(dataset, folder, plan.todo, nproc)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror or error}); choose another place with --out"
        ) from error
    try:
        PreparedData(folder, dataset).check_pixels(dataset, _spread(range(len(dataset)), num_checked))
    except DataError:
        (folder / INDEX_FILE).unlink()
        raise


def _write_samples(dataset: SegmentationDataset, folder: Path, todo: list[int], nproc: int) -> None:
    index = _read_or_new(dataset, folder)
    described = [dataset.describe(dataset.samples[i]) for i in todo]
    last_saved = time.monotonic()
    try:
        write = partial(_write_sample, dataset.leading_transforms, folder)
        entries = map_in_processes(write, described, nproc)
        for results, entry in track(
            zip(described, entries, strict=True), str(folder), len(described), transient=True
        ):
            index["samples"][results["name"]] = entry
            if time.monotonic() - last_saved > SAVE_INTERVAL:
                _write_index(folder, index)
                last_saved = time.monotonic()
    except BaseException:  # also Ctrl-C
        with suppress(OSError):
            _write_index(folder, index)
        raise
    _write_index(folder, index)


def gigabytes(count: int) -> str:
    """For messages."""
    return f"{count / 1e9:.2f} GB"


def _read_or_new(dataset: SegmentationDataset, folder: Path) -> Index:
    settings = settings_of(dataset)
    if (folder / INDEX_FILE).exists():
        return read_index(folder, settings)
    return {"format": FORMAT, "settings": settings, "samples": {}}


def _is_finished(entry: dict[str, Any] | None, folder: Path, described: Results) -> bool:
    if not is_current(entry, file_stamps(described)):
        return False
    try:
        map_array(folder, ARRAYS[0], described["name"])
        if described["seg_map_path"] is not None:
            map_array(folder, ARRAYS[1], described["name"])
    except DataError:
        return False
    return True


def _leading_results(dataset: SegmentationDataset, index: int) -> Results:
    return run_transforms(dataset.leading_transforms, dataset.describe(dataset.samples[index]))


def _spread(items: Sequence[int], number: int) -> list[int]:
    """At most ``number`` of the items, evenly spread, with the first and the last."""
    places = np.linspace(0, len(items) - 1, min(number, len(items)))
    return [items[round(place)] for place in places]


def _write_sample(transforms: list[Transform], folder: Path, described: Results) -> dict[str, Any]:
    """Write the arrays of a sample; returns its entry in the index."""
    stamps = file_stamps(described)  # before reading: a file that changes meanwhile is noticed later
    results = run_transforms(transforms, dict(described))
    for key in _arrays(results):
        _write_array(array_path(folder, key, described["name"]), results[key])
    known = {key: value for key, value in results.items() if key not in described and key not in PIXEL_KEYS}
    return {"files": stamps, "results": known}


def _arrays(results: Results) -> dict[str, int]:
    """Bytes of each array that is stored."""
    other = [
        k for k, v in results.items() if isinstance(v, np.ndarray) and k not in (*PIXEL_KEYS, "id_lookup")
    ]
    if other:
        raise ConfigError(
            f"pipeline: the entries {other} of a sample cannot be prepared, only {', '.join(PIXEL_KEYS)}; "
            "move the transform that makes them behind the first random one"
        )
    return {key: results[key].nbytes for key in ARRAYS if key in results}


def _write_array(path: Path, array: np.ndarray) -> None:
    with replacing(path, flush=False) as temporary, temporary.open("wb") as file:
        np.save(file, np.ascontiguousarray(array))


def _write_index(folder: Path, index: Index) -> None:
    write_text(folder / INDEX_FILE, json.dumps(index))
