"""From a config file to what a runner can be built of."""

import difflib
from pathlib import Path

from mmengine.config import Config, ConfigDict

from mmseg.errors import ConfigError

TOP_LEVEL_KEYS = {
    "auto_scale_lr", "cfg", "custom_hooks", "data_preprocessor", "default_hooks", "default_scope", "env_cfg", "exp",
    "experiment_name", "git_rev", "launcher", "load_from", "log_level", "log_processor", "model", "model_wrapper_cfg",
    "name", "optim_wrapper", "param_scheduler", "randomness", "resume", "seed", "test_cfg", "test_dataloader",
    "test_evaluator", "train_cfg", "train_dataloader", "uda", "val_cfg", "val_dataloader", "val_evaluator",
    "visualizer", "work_dir",
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
    except Exception as error:
        raise ConfigError(f"{path}: the config cannot be read: {type(error).__name__}: {error}") from error
    for key in options or {}:
        head = key.split(".")[0]
        known = set(cfg) | TOP_LEVEL_KEYS
        if head not in known:
            close = difflib.get_close_matches(head, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; the config has: {', '.join(sorted(cfg))}"
            raise ConfigError(f"--cfg-options {key}: there is no {head!r} in {path}{hint}")
    try:
        cfg.merge_from_dict(options or {})
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ConfigError(f"{path}: --cfg-options cannot be applied: {error}") from error
    return cfg


def compose_model(cfg: Config) -> ConfigDict:
    """The model config: the segmentor alone, or inside the UDA method named by ``uda``."""
    if "model" not in cfg:
        raise ConfigError(f"{cfg.filename}: 'model' is missing")
    if not cfg.get("uda"):
        return cfg.model
    return ConfigDict(model=cfg.model, **cfg.uda)


def num_classes(cfg: Config) -> int:
    """Number of classes the network of a config predicts."""
    return cfg.model.decode_head.num_classes


def check_known_keys(cfg: Config) -> None:
    """Refuse misspelt top-level keys, which would otherwise be ignored.

    Raises:
        ConfigError: Names the key and the closest known one. Own values are allowed when they start with ``name_``
            or ``_``, or are used inside the config only (lower-case words that resemble no known key).
    """
    for key in cfg:
        if key in TOP_LEVEL_KEYS:
            continue
        close = difflib.get_close_matches(key, TOP_LEVEL_KEYS, n=1, cutoff=0.85)
        if close:
            raise ConfigError(f"{cfg.filename}: unknown key {key!r}; did you mean {close[0]!r}?")
