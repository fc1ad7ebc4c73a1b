"""Folders of images that are made anew from other ones: what is made, by which settings, and by whom."""

import argparse
import json
import zlib
from pathlib import Path
from typing import Any

from mmseg.checkpoints.atomic import write_text
from mmseg.errors import ConfigError, DataError

LEAST = 32  # pixels each way


def size_option(text: str) -> tuple[int, int]:
    """(width, height) of an option such as ``1024x512``."""
    try:
        width, height = (int(number) for number in text.lower().split("x"))
    except ValueError:
        width, height = 0, 0
    if min(width, height) < LEAST:
        raise argparse.ArgumentTypeError(
            f"expected WIDTHxHEIGHT such as 1024x512, from {LEAST} pixels on, got {text!r}"
        )
    return width, height


def part_option(text: str) -> tuple[int, int]:
    """(part, parts) of an option such as ``2/4``."""
    try:
        part, parts = (int(number) for number in text.split("/"))
    except ValueError:
        part, parts = 0, 0
    if not 1 <= part <= parts:
        raise argparse.ArgumentTypeError(f"expected PART/PARTS such as 2/4, got {text!r}")
    return part, parts


def images_below(root: Path) -> list[Path]:
    """All images of a folder and of the folders in it, relative to it, in order.

    Raises:
        DataError: There is none.
    """
    from mmseg.datasets.files import IMAGE_ENDINGS

    found = (path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS)
    images = sorted(path for path in found if not any(part.startswith(".") for part in path.parts))
    if not images:
        raise DataError(f"{root}: no images ({', '.join(IMAGE_ENDINGS)}) in it; name a folder with images")
    return images


def check_outside(out: Path, **folders: Path) -> None:
    """Keep the images that are made apart from those that they are made of.

    Args:
        out: Where they are written.
        folders: What they are made of, by the name of the option.

    Raises:
        ConfigError: They would become some of them.
    """
    for name, folder in folders.items():
        if out.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(f"{out}: OUT is in {name} ({folder}); name a folder outside of it")


def contents(root: Path, images: list[Path]) -> str:
    """What a folder of images is told from another one by: their number, names and sizes in bytes."""
    lines = "\n".join(f"{path.as_posix()} {(root / path).stat().st_size}" for path in images)
    return f"{len(images)} images, {zlib.crc32(lines.encode()):08x}"


def check_settings(path: Path, settings: dict[str, Any]) -> None:
    """Keep images of other settings out of a folder.

    Args:
        path: Of the file in it that says how its images are made; written if it is not there.
        settings: How they are going to be made now.

    Raises:
        ConfigError: It has some.
    """
    if not path.exists():
        write_text(path, json.dumps(settings, indent=2) + "\n")
    elif (found := json.loads(path.read_text(encoding="utf-8"))) != settings:
        differing = {
            key: (found.get(key), value) for key, value in settings.items() if found.get(key) != value
        }
        raise ConfigError(
            f"{path.parent}: its images were made with other settings, (there, now): {differing}; take the "
            "same, or another folder"
        )
