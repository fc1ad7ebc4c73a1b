"""From a config file to what a runner can be built of."""

import difflib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg.checkpoints.model_folder import CONFIG, HUB, find_model, is_model_folder
from mmseg.config.base import CONFIGS, base
from mmseg.config.options import held_at, typed
from mmseg.config.work_dir import work_dir_of_continuation
from mmseg.errors import ConfigError
from mmseg.legacy import is_legacy, todays_networks, todays_uda, translate
from mmseg.registry import load_plugins

TOP_LEVEL_KEYS = {
    "auto_scale_lr", "cfg", "compile", "custom_hooks", "custom_imports", "data_preprocessor", "default_hooks",
    "default_scope", "env_cfg", "exp", "experiment_name", "git_rev", "launcher", "load_from", "log_level",
    "log_processor", "model", "model_wrapper_cfg", "name", "new_classifier", "optim_wrapper", "remap_classes",
    "other_networks", "param_scheduler", "randomness", "resume", "rounds", "sync_bn",
    "test_cfg", "test_dataloader", "test_evaluator", "train_cfg", "train_dataloader", "uda", "val_cfg",
    "val_dataloader", "val_evaluator", "visualizer", "work_dir",
}  # fmt: skip


SHIPPED = "mmseg::"
"""Begins the name of a config that comes with the package."""
LOOKED_UP = ("type", "constructor")
"""Endings of the keys whose values are looked up in a registry; a dotted name would be imported there."""
SCOPES = (None, "mmseg", "mmengine")


def load_config(path: str | Path, options: dict | None = None) -> Config:
    """Read a config file and apply overrides.

    A config of mmsegmentation 0.x is translated; what of it is not in the result is named on the terminal.
    JSON files are data: nothing in them is run or imported, and nothing that overrides add to them.

    Args:
        path: A Python (or JSON, YAML) config; ``mmseg::hrda/gtaHR2csHR_hrda.py`` is one of the package's.
            Of a folder that holds a network, or ``hf://owner/name`` on the hub, the config in it.
        options: Dotted key -> value, as given by ``--cfg-options``. With an old config, names of its own
            sections (``data.test.data_root``) are understood, too.

    Raises:
        ConfigError: The file is missing, cannot be read or translated, or an override names a part that does
            not exist, or a JSON config names something to import.
    """
    shipped = str(path).removeprefix(SHIPPED)
    path, options = path if shipped == str(path) else CONFIGS / shipped, options or {}
    if str(path).startswith(HUB) or is_model_folder(path):
        path = find_model(path) / CONFIG
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: no such config file")
    load_plugins()
    cfg = _read(path)
    if is_legacy(cfg):
        before = {key: value for key, value in options.items() if key.split(".")[0] not in TOP_LEVEL_KEYS}
        override(cfg, before, path)
        _refuse_imports(cfg.to_dict(), path)
        cfg = _translated(cfg, path)
        options = {key: value for key, value in options.items() if key not in before}
    override(cfg, options, path)
    _refuse_imports(cfg.to_dict(), path)
    return with_todays_names(cfg)


def with_todays_names(cfg: Config) -> Config:
    """A config whose settings of the adaptation method have the places and names of today.

    Raises:
        ConfigError: The method's own data preprocessor, which is that of the network, differs from it.
    """
    if not isinstance(cfg.get("uda"), dict):
        return cfg
    cfg.merge_from_dict(todays_networks(cfg))
    uda = cfg.uda.to_dict()
    preprocessor = uda.pop("data_preprocessor", None)
    if preprocessor and cfg.model.setdefault("data_preprocessor", preprocessor) != preprocessor:
        raise ConfigError(
            "config: uda.data_preprocessor differs from model.data_preprocessor; images are normalised as "
            "the network expects, remove the former"
        )
    cfg.uda = todays_uda(uda)
    return cfg


def plain_config(content: dict[str, Any], path: Path) -> Config:
    """A config that is written as Python without yapf, which would take some tenths of a second each time."""
    return Config(content, filename=str(path), format_python_code=False)


def _read(path: Path) -> Config:
    try:
        if path.suffix == ".json":
            return _read_json(path)
        return plain_config(Config.fromfile(path).to_dict(), path)
    except ConfigError:
        raise
    except Exception as error:  # a config is a program: anything can go wrong in it
        if isinstance(error, KeyError) and "Duplicate key" in str(error):
            keys = re.findall(r"'(\w+)'", str(error).partition("among bases")[2])
            raise ConfigError(
                f"{path}: two files in _base_ both set {' and '.join(map(repr, sorted(keys)))}; name one of "
                "them there, and set in this file what differs (dict(_delete_=True, ...) replaces a part)"
            ) from error
        raise ConfigError(f"{path}: the config cannot be read: {type(error).__name__}: {error}") from error


def _read_json(path: Path) -> Config:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: found a {type(content).__name__}, expected the sections of a config")
    _refuse_imports(content, path)
    return plain_config(content, path)


def _refuse_imports(config: Mapping[str, Any], path: Path) -> None:
    """Check that nothing in a JSON config makes a registry import a module or a config read another file."""
    if path.suffix != ".json":
        return
    for place, key, value in entries(config):
        if key in ("_base_", "custom_imports") and value:
            reason = f"{place} in a JSON config, which may not run other files"
        elif key in ("default_scope", "_scope_") and value not in SCOPES:
            reason = f"{place}={value!r} in a JSON config; expected 'mmseg', other packages are not imported"
        elif key.endswith(LOOKED_UP) and isinstance(value, str) and not value.isidentifier():
            reason = f"{place}={value!r} in a JSON config; expected the name of a registered part"
        else:
            continue
        raise ConfigError(
            f"{path}: {reason}; use the complete config that is stored in the folder of a run, or write a "
            "Python config"
        )


def entries(value: Any, place: str = "") -> Iterator[tuple[str, str, Any]]:
    """Dotted name, key and value of every entry of every dictionary in a config."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield f"{place}{key}", str(key), entry
            yield from entries(entry, f"{place}{key}.")
    elif isinstance(value, list | tuple):
        for index, entry in enumerate(value):
            yield from entries(entry, f"{place}{index}.")


def override(cfg: Config, options: dict, path: Path) -> None:
    """Apply overrides to a config.

    Args:
        cfg: The config; it is changed.
        options: Dotted key -> value.
        path: The file of the config, for messages.

    Raises:
        ConfigError: An option names a part that does not exist, or is not of the kind of what stands there.
    """
    for key in options:
        head = key.split(".")[0]
        known = set(cfg) | TOP_LEVEL_KEYS
        if head not in known:
            raise ConfigError(
                f"--cfg-options {key}: there is no {head!r} in {path}{closest_hint(head, known)}"
            )
    content = cfg.to_dict()
    for key, value in options.items():
        part = held_at(content, key.rpartition(".")[0])
        in_part = isinstance(part, Mapping) and "type" in part
        options = {**options, key: typed(key, value, held_at(content, key), in_part)}
    try:
        for key, value in options.items():
            if isinstance(value, Mapping) and not all(isinstance(name, str) for name in value):
                place, _, name = key.rpartition(
                    "."
                )  # mmengine takes the numbers of id_map for places in lists
                held_at(cfg._cfg_dict, place)[name] = value
            else:
                cfg.merge_from_dict({key: value})
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ConfigError(f"{path}: --cfg-options cannot be applied: {error}") from error


def _translated(old: Config, path: Path) -> Config:
    """A config of the 0.x form in today's; a training with it does not write into the old run's folder."""
    content, unknown = translate(old.to_dict(), base("default_runtime") | base("datasets/parts/loaders"))
    if unknown:
        print(
            f"warning: {path}: no counterpart of {', '.join(unknown)}; see docs/old_runs.md", file=sys.stderr
        )
    folder = path.resolve().parent.name
    if Path(content.get("work_dir") or folder).name == folder:
        content["work_dir"] = work_dir_of_continuation(path)
    return plain_config(content, path)


def require_model(cfg: Config) -> None:
    """Refuse the config of a run that trains no segmentor where one is needed.

    Raises:
        ConfigError: There is no ``model``.
    """
    if not cfg.get("model"):
        method = (cfg.get("uda") or {}).get("type")
        raise ConfigError(
            f"{cfg.filename}: has no model"
            + (f", {method} trains no segmentor" if method else "")
            + "; name config and checkpoint of a run that trains one"
        )


def num_classes(cfg: Config) -> int:
    """Number of classes the network of a config predicts."""
    return cfg.model.decode_head.num_classes


def closest_hint(name: str, known: set[str]) -> str:
    """The end of a message about an unknown name: the closest known one, or all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"
