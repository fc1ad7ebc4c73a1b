"""Which data sets a config names."""

from collections.abc import Mapping
from typing import Any

from mmseg.registry import DATASETS, accepted_arguments

LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def data_of(cfg: Mapping[str, Any], loader: str) -> Any:
    """The config of a loader's data set; None where there is no loader, or one that names no data, as that of
    ``configs/_base_/datasets/parts/loaders.py``."""
    section = cfg.get(loader)
    return (section.get("dataset") or None) if isinstance(section, Mapping) else None


def domains_of(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Configs of ``source`` and ``target`` of a data set for adaptation, as far as its type has them, without
    labels of the target; empty for other data sets."""
    kind = dataset.get("type")
    known = accepted_arguments(DATASETS.get(kind) if isinstance(kind, str) else kind)[0]
    domains: dict[str, Any] = {name: dataset.get(name) for name in ("source", "target") if name in known}
    if isinstance(target := domains.get("target"), Mapping):
        domains["target"] = {**target, "load_labels": False}
    return domains
