"""Which data sets a config names."""

from collections.abc import Mapping
from typing import Any

LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def data_of(cfg: Mapping[str, Any], loader: str) -> Any:
    """The config of a loader's data set; None where there is no loader, or one that names no data, as that of
    ``configs/_base_/datasets/parts/loaders.py``."""
    section = cfg.get(loader)
    return (section.get("dataset") or None) if isinstance(section, Mapping) else None
