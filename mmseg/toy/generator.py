"""Makes toy data sets: every image is a function of (seed, set, split, index) alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from mmseg.checkpoints.atomic import write_text
from mmseg.datasets.parallel import map_in_processes
from mmseg.errors import ConfigError, DataError
from mmseg.toy.geometry import Camera
from mmseg.toy.layouts import GENERATOR_VERSION, SETS, TRAIN, VAL, Picture, write_sample
from mmseg.toy.plan import GUEST_PERIOD, draw_guests
from mmseg.toy.renderers import render_camera, render_game
from mmseg.toy.scene import Scene
from mmseg.toy.street import build_scene

SETTINGS_FILE = "toy_dataset.json"
MIN_SIZE = 32


@dataclass(frozen=True)
class Settings:
    """What determines the files of a set.

    Args:
        name: Name of the set.
        width: Width of the images in pixels.
        height: Height of the images in pixels.
        train: Number of training images.
        val: Number of validation images; sets without such a split ignore it.
        seed: Seed of all images.
        version: Version of the generator.
    """

    name: str
    width: int
    height: int
    train: int
    val: int
    seed: int
    version: int = GENERATOR_VERSION


def make_sample(settings: Settings, split: str, index: int) -> tuple[Scene, Picture]:
    """Scene and picture, RGB (H, W, 3), of image ``index`` of a split."""
    toy_set = SETS[settings.name]
    key = (settings.seed, toy_set.number, (TRAIN, VAL).index(split))
    guests = draw_guests(np.random.default_rng((*key, 0, index // GUEST_PERIOD)), index)
    rng = np.random.default_rng((*key, 1, index))
    camera = Camera.draw(rng, (settings.width, settings.height), toy_set.elevation)
    scene = build_scene(camera, rng, guests, toy_set.has_bonnet)
    if toy_set.style is not None:
        return scene, render_game(scene, rng, toy_set.style)
    return scene, render_camera(scene, rng, toy_set.conditions[index % len(toy_set.conditions)])


def make_toy_dataset(
    out: str | Path,
    sets: Sequence[str] = tuple(SETS),
    size: tuple[int, int] = (512, 256),
    train: int = 200,
    val: int = 50,
    seed: int = 0,
    nproc: int = 1,
) -> dict[str, int]:
    """Write toy data sets below ``out``, one folder for each.

    A set that is complete with the same settings is left alone; an incomplete one is written again. The files
    do not depend on the number of processes.

    Args:
        out: Folder that holds the roots of the sets.
        sets: Names, keys of ``SETS``.
        size: (width, height) of the images in pixels.
        train: Number of training images of each set.
        val: Number of validation images of each set that has such a split.
        seed: Seed of all images.
        nproc: Number of processes.

    Returns:
        Number of images written by this call for each set; 0 for one that was complete.

    Raises:
        ConfigError: An argument is out of range or a set is unknown.
        DataError: A folder holds files of another origin or of other settings, or cannot be written to.
    """
    _check_arguments(sets, size, train, val, seed, nproc)
    todo = {
        name: Settings(name, size[0], size[1], train, val, seed, SETS[name].version)
        for name in dict.fromkeys(sets)
    }
    finished = {name: _is_finished(Path(out) / name, settings) for name, settings in todo.items()}
    written = {}
    for name, settings in todo.items():
        written[name] = 0 if finished[name] else _make_set(Path(out) / name, settings, nproc)
    return written


def _check_arguments(
    sets: Sequence[str], size: tuple[int, int], train: int, val: int, seed: int, nproc: int
) -> None:
    unknown = [name for name in sets if name not in SETS]
    if unknown or not sets:
        raise ConfigError(f"sets {list(sets)}: expected one or more of {', '.join(SETS)}")
    if min(size) < MIN_SIZE:
        raise ConfigError(f"size {size[0]}x{size[1]}: expected at least {MIN_SIZE}x{MIN_SIZE} pixels")
    for name, value, least in (("train", train, 1), ("val", val, 0), ("seed", seed, 0), ("nproc", nproc, 1)):
        if value < least:
            raise ConfigError(f"{name} {value}: expected at least {least}")


def _is_finished(root: Path, settings: Settings) -> bool:
    """Whether the set is complete; DataError where its folder belongs to something else."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    remedy = "delete the folder or write elsewhere"
    path = root / SETTINGS_FILE
    if not path.is_file():
        raise DataError(f"{root}: holds files, but no {SETTINGS_FILE}, so it is no toy data set; {remedy}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        complete = found.pop("complete")
    except (ValueError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: not readable ({error}); {remedy}") from error
    expected = asdict(settings)
    other = sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))
    if other:
        changes = ", ".join(f"{key} {found.get(key)} instead of {expected.get(key)}" for key in other)
        raise DataError(f"{root}: a toy data set with other settings is there: {changes}; {remedy}")
    return bool(complete)


def _make_set(root: Path, settings: Settings, nproc: int) -> int:
    samples = [(TRAIN, index) for index in range(settings.train)]
    if SETS[settings.name].has_val:
        samples += [(VAL, index) for index in range(settings.val)]
    _write_settings(root, settings, complete=False)
    written = map_in_processes(partial(_write_one, root, settings), samples, nproc)
    for _ in track(written, settings.name, len(samples), console=Console(stderr=True)):
        pass
    _write_settings(root, settings, complete=True)
    return len(samples)


def _write_one(root: Path, settings: Settings, sample: tuple[str, int]) -> None:
    split, index = sample
    scene, picture = make_sample(settings, split, index)
    write_sample(root, SETS[settings.name], split, index, scene, picture)


def _write_settings(root: Path, settings: Settings, complete: bool) -> None:
    text = json.dumps({**asdict(settings), "complete": complete}, indent=2)
    try:
        write_text(root / SETTINGS_FILE, text + "\n")
    except OSError as error:
        raise DataError(f"{root}: cannot be written ({error.strerror}); name another folder") from error
