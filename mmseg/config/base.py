"""The configs of the package, and their building blocks in configs/_base_ as plain dictionaries."""

import copy
import functools
from pathlib import Path
from typing import Any

from mmengine.config import Config

PACKAGE = Path(__file__).parents[1]
CONFIGS = next(folder for folder in (PACKAGE / "_configs", PACKAGE.parent / "configs") if folder.is_dir())
"""The folder ``configs`` of the checkout; an installed package has a copy."""


@functools.cache
def _read(path: Path) -> Config:
    return Config.fromfile(path)


def base(name: str) -> dict[str, Any]:
    """The content of a file in configs/_base_, free to be changed.

    Args:
        name: Its path without suffix, as ``schedules/adamw``.
    """
    return copy.deepcopy(_read(CONFIGS / "_base_" / f"{name}.py").to_dict())
