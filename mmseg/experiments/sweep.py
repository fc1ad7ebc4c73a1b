"""Experiments of one's own: a config file with several seeds and settings."""

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg.errors import ConfigError
from mmseg.experiments.experiment import ConfigRow, Experiment


def sweep(path: str | Path, seeds: Sequence[int], grid: Mapping[str, Any]) -> Experiment:
    """Every combination of values as a row.

    Args:
        path: The config file.
        seeds: Of the runs of each row.
        grid: Dotted key -> its values, a list; anything else is the only value.

    Returns:
        An experiment; a row is named by the file and the values, as ``roads_alpha0.99_lr1e-4``.

    Raises:
        ConfigError: The file is missing, a key does not fit it, or two rows have the same name.
    """
    values = {key: list(found) if isinstance(found, list) else [found] for key, found in grid.items()}
    titles = short_names(list(values))
    rows = []
    for chosen in itertools.product(*values.values()):
        settings = dict(zip(values, chosen, strict=True))
        parts = [f"{titles[key]}{in_name(value)}" for key, value in settings.items()]
        variant = "".join(f"_{part}" for part in parts)
        rows.append(ConfigRow(path, settings=settings, variant=variant))
        rows[-1].config()  # settings that do not fit are said before anything is trained
    names = [row.name for row in rows]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(
            f"--grid: several combinations of values have the name {twice[0]!r}; give values that "
            "differ in letters or digits"
        )
    combinations = " x ".join(f"{len(found)} {key}" for key, found in values.items()) or "one setting"
    return Experiment(f"{path}: {combinations}", rows, tuple(dict.fromkeys(seeds)))


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Key -> as many of its last words as tell it from the others: ``uda.alpha`` is ``alpha``."""
    names = {}
    for key in keys:
        words = key.split(".")
        endings = (".".join(words[-count:]) for count in range(1, len(words) + 1))
        others = [f".{other}" for other in keys if other != key]
        names[key] = next(
            (end for end in endings if not any(other.endswith(f".{end}") for other in others)), key
        )
    return names


def in_name(value: Any) -> str:
    """A value as a part of the name of a folder."""
    text = "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return re.sub(r"[^\w.+-]+", "-", text)
