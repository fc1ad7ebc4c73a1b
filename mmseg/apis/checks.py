"""What is checked before a run starts, so that a mistake costs seconds."""

import difflib
import inspect
import sys
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.registry import VISBACKENDS, Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmseg.apis.config import TOP_LEVEL_KEYS, closest_hint, num_classes, work_dir_of
from mmseg.datasets.verify import quick_check
from mmseg.errors import CheckpointError, ConfigError
from mmseg.models.pretrained import require_file
from mmseg.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOOPS,
    METRICS,
    MODELS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    VISUALIZERS,
    check_part,
)

LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
LOADER_KEYS = {*inspect.signature(DataLoader.__init__).parameters, "num_batch_per_epoch"} - {"self"}
PLAIN_SECTIONS = {
    **dict.fromkeys(LOADERS, LOADER_KEYS),
    "randomness": set(inspect.signature(Runner.set_randomness).parameters) - {"self"},
    "env_cfg": {"cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"},
}
"""Sections that are no registered parts, with their keys."""


def check_before_training(cfg: Config) -> None:
    """The cheap checks: config keys known, weights present, data in place, classes fitting."""
    check_config(cfg)
    if cfg.get("uda"):
        _check_uda(cfg)
    for path in (cfg.model.get("pretrained"), cfg.get("load_from")):
        if path:
            require_file(path)
    if cfg.get("resume") and not cfg.get("load_from"):
        _check_resumable(cfg)
    quick_check(cfg, ("train_dataloader", "val_dataloader"))
    _check_classes(cfg)


def _check_uda(cfg: Config) -> None:
    """Refuse what adaptation cannot do yet, and warn of a distance to random features."""
    if cfg.get("launcher", "none") != "none":
        raise ConfigError(
            f"{cfg.filename}: launcher={cfg.launcher!r} with uda; adaptation runs in one process so far, "
            "start it without --launcher"
        )
    accumulation = cfg.optim_wrapper.get("accumulative_counts", 1)
    if accumulation != 1:
        raise ConfigError(
            f"{cfg.filename}: optim_wrapper.accumulative_counts={accumulation} with uda; gradients are not "
            "accumulated over iterations so far, expected 1"
        )
    if cfg.uda.get("imnet_feature_dist_lambda") and not cfg.model.get("pretrained") and not cfg.get("resume"):
        print(
            "warning: the feature distance will hold features close to those of a RANDOM network, since "
            "model.pretrained is None; name ImageNet weights there, or set uda.imnet_feature_dist_lambda=0",
            file=sys.stderr,
        )


def _check_resumable(cfg: Config) -> None:
    """``--resume`` without a file takes the newest checkpoint in the work dir: there has to be one."""
    work_dir = work_dir_of(cfg)
    if not (work_dir / "last_checkpoint").is_file():
        raise CheckpointError(
            f"{work_dir}: no checkpoint to resume from; start the run without --resume, or name a checkpoint "
            "with --resume-from"
        )


def _check_classes(cfg: Config) -> None:
    """Compare the number of classes of the network with that of the source (or only) training set."""
    dataset = cfg.train_dataloader.dataset
    classes = DATASETS.build(dataset.get("source", dataset)).metainfo["classes"]
    if len(classes) != num_classes(cfg):
        raise ConfigError(
            f"{cfg.filename}: the network predicts {num_classes(cfg)} classes, the data set has "
            f"{len(classes)} ({', '.join(classes[:5])}…); set model.decode_head.num_classes={len(classes)}"
        )


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
    for section, known in PLAIN_SECTIONS.items():
        for key in sorted(set(cfg.get(section) or {}) - known):
            raise ConfigError(f"config: {section} has no {key!r}{closest_hint(key, known)}")
    for place, value in _counts(cfg):
        if not isinstance(value, int) or value < 1:
            raise ConfigError(f"config: {place}={value!r}; expected a whole number of at least 1")
    rate = cfg.optim_wrapper.optimizer.get("lr")
    if not isinstance(rate, int | float) or rate < 0:
        raise ConfigError(f"config: optim_wrapper.optimizer.lr={rate!r}; expected a number from 0 on")


def _counts(cfg: Config) -> Iterator[tuple[str, Any]]:
    """Numbers of the config that count something."""
    for name in ("max_iters", "val_interval"):
        if name in cfg.train_cfg:
            yield f"train_cfg.{name}", cfg.train_cfg[name]
    for loader in LOADERS:
        if cfg.get(loader):
            yield f"{loader}.batch_size", cfg[loader].get("batch_size", 1)


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
    yield "model", cfg.model, MODELS
    if cfg.get("uda"):
        yield "uda", cfg.uda, MODELS
    yield "optim_wrapper.optimizer", cfg.optim_wrapper.get("optimizer"), OPTIMIZERS
    for index, backend in enumerate((cfg.get("visualizer") or {}).get("vis_backends", [])):
        yield f"visualizer.vis_backends.{index}", backend, VISBACKENDS
    for loader in LOADERS:
        if cfg.get(loader):
            yield f"{loader}.sampler", cfg[loader].get("sampler"), DATA_SAMPLERS
