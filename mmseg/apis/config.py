"""From a config file to what a runner can be built of."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import VISBACKENDS, Registry

from mmseg.errors import ConfigError
from mmseg.registry import (
    DATA_SAMPLERS,
    HOOKS,
    LOOPS,
    METRICS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    VISUALIZERS,
    check_part,
)

TOP_LEVEL_KEYS = {
    "auto_scale_lr", "cfg", "custom_hooks", "data_preprocessor", "default_hooks", "default_scope",
    "env_cfg", "exp", "experiment_name", "git_rev", "launcher", "load_from", "log_level",
    "log_processor", "model", "model_wrapper_cfg", "name", "optim_wrapper", "param_scheduler",
    "randomness", "resume", "test_cfg", "test_dataloader", "test_evaluator", "train_cfg",
    "train_dataloader", "uda", "val_cfg", "val_dataloader", "val_evaluator", "visualizer", "work_dir",
}  # fmt: skip


def load_config(path: str | Path, options: dict | None = None) -> Config:
    """Read a config file and apply overrides.

    Args:
        path: A Python (or JSON, YAML) config.
        options: Dotted key -> value, as given by ``--cfg-options``.

    Raises:
        ConfigError: The file is missing, cannot be read, or an override names a part that does not exist.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: no such config file")
    try:
        cfg = Config.fromfile(path)
    except Exception as error:  # a config is a program: anything can go wrong in it
        raise ConfigError(f"{path}: the config cannot be read: {type(error).__name__}: {error}") from error
    for key in options or {}:
        head = key.split(".")[0]
        known = set(cfg) | TOP_LEVEL_KEYS
        if head not in known:
            raise ConfigError(f"--cfg-options {key}: there is no {head!r} in {path}{_closest(head, known)}")
    try:
        cfg.merge_from_dict(options or {})
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ConfigError(f"{path}: --cfg-options cannot be applied: {error}") from error
    return cfg


def num_classes(cfg: Config) -> int:
    """Number of classes the network of a config predicts."""
    return cfg.model.decode_head.num_classes


def check_config(cfg: Config) -> None:
    """Refuse what would be ignored or fail later: missing sections, misspelt keys, unknown arguments of
    parts.

    Networks and data sets are checked when they are built.

    Raises:
        ConfigError: Names the key and the closest known one.
    """
    for key in ("model", "train_dataloader", "train_cfg", "optim_wrapper"):
        if not cfg.get(key):
            raise ConfigError(
                f"{cfg.filename}: {key!r} is missing; see configs/_base_ for the parts of a config"
            )
    for key in cfg:
        close = difflib.get_close_matches(key, TOP_LEVEL_KEYS, n=1, cutoff=0.85)
        if key not in TOP_LEVEL_KEYS and close:  # other names may be variables of the config
            raise ConfigError(f"{cfg.filename}: unknown key {key!r}; did you mean {close[0]!r}?")
    for place, part, registry in _parts(cfg):
        check_part(part, registry, place)


def _parts(cfg: Config) -> Iterator[tuple[str, Any, Registry]]:
    """(place, config, registry) of the parts that mmengine builds itself."""
    sections: dict[str, Registry] = {
        "custom_hooks": HOOKS,
        "default_hooks": HOOKS,
        "param_scheduler": PARAM_SCHEDULERS,
        "optim_wrapper": OPTIM_WRAPPERS,
        "train_cfg": LOOPS,
        "val_cfg": LOOPS,
        "test_cfg": LOOPS,
        "val_evaluator": METRICS,
        "test_evaluator": METRICS,
        "visualizer": VISUALIZERS,
    }
    for section, registry in sections.items():
        value = cfg.get(section)
        if isinstance(value, list):
            yield from ((f"{section}.{index}", part, registry) for index, part in enumerate(value))
        elif isinstance(value, dict) and section == "default_hooks":
            yield from ((f"{section}.{name}", part, registry) for name, part in value.items() if part)
        elif isinstance(value, dict):
            yield section, value, registry
    yield "optim_wrapper.optimizer", cfg.optim_wrapper.get("optimizer"), OPTIMIZERS
    for index, backend in enumerate((cfg.get("visualizer") or {}).get("vis_backends", [])):
        yield f"visualizer.vis_backends.{index}", backend, VISBACKENDS
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        if cfg.get(loader):
            yield f"{loader}.sampler", cfg[loader].get("sampler"), DATA_SAMPLERS


def _closest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"
