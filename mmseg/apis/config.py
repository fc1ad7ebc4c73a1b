"""From a config file to what a runner can be built of."""

import difflib
from pathlib import Path

from mmengine.config import Config

from mmseg.errors import ConfigError

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
            raise ConfigError(
                f"--cfg-options {key}: there is no {head!r} in {path}{closest_hint(head, known)}"
            )
    try:
        cfg.merge_from_dict(options or {})
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ConfigError(f"{path}: --cfg-options cannot be applied: {error}") from error
    return cfg


def work_dir_of(cfg: Config) -> Path:
    """Where a run writes: ``work_dir``, or ``work_dirs/<name of the config file>``."""
    return Path(cfg.get("work_dir") or f"work_dirs/{Path(cfg.filename).stem}")


def num_classes(cfg: Config) -> int:
    """Number of classes the network of a config predicts."""
    return cfg.model.decode_head.num_classes


def closest_hint(name: str, known: set[str]) -> str:
    """The end of a message about an unknown name: the closest known one, or all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"
