"""The building blocks in configs/_base_ as plain dictionaries."""

import copy
import functools
from pathlib import Path
from typing import Any

from mmengine.config import Config

BASE = Path(__file__).parents[2] / "configs" / "_base_"


@functools.cache
def _read(path: Path) -> Config:
    return Config.fromfile(path)


def base(name: str) -> dict[str, Any]:
    """The content of a file in configs/_base_, free to be changed.

    Args:
        name: Its path without suffix, as ``schedules/adamw``.
    """
    return copy.deepcopy(_read(BASE / f"{name}.py").to_dict())
