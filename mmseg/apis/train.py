"""Training from a config."""

import copy
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from mmseg import datasets, engine, evaluation, models  # noqa: F401  (fill the registries)
from mmseg.apis.config import check_config, num_classes
from mmseg.datasets.verify import quick_check
from mmseg.engine import SegmentationRunner
from mmseg.errors import ConfigError
from mmseg.models.pretrained import require_file
from mmseg.registry import DATASETS


def train(cfg: Config) -> nn.Module:
    """Train as a config says; checkpoints, logs, pictures and scores go to ``cfg.work_dir``.

    Args:
        cfg: A complete config; ``work_dir`` defaults to ``work_dirs/<name of the config file>``.

    Returns:
        The trained model (with ``uda``: the method that holds the student).

    Raises:
        ConfigError, DataError, CheckpointError: Something is missing or does not fit; found before training
        starts.
    """
    check_before_training(cfg)
    return build_runner(cfg).train()


def check_before_training(cfg: Config) -> None:
    """The cheap checks: config keys known, weights present, data in place, classes fitting."""
    check_config(cfg)
    if cfg.get("uda") and cfg.get("launcher", "none") != "none":
        raise ConfigError(
            f"{cfg.filename}: launcher={cfg.launcher!r} with uda; adaptation runs in one process so far, "
            "start it without --launcher"
        )
    accumulation = cfg.optim_wrapper.get("accumulative_counts", 1)
    if cfg.get("uda") and accumulation != 1:
        raise ConfigError(
            f"{cfg.filename}: optim_wrapper.accumulative_counts={accumulation} with uda; gradients are not "
            "accumulated over iterations so far, expected 1"
        )
    for path in (cfg.model.get("pretrained"), cfg.get("load_from")):
        if path:
            require_file(path)
    quick_check(cfg)
    _check_classes(cfg)


def _check_classes(cfg: Config) -> None:
    """Compare the number of classes of the network with that of the source (or only) training set."""
    dataset = cfg.train_dataloader.dataset
    classes = DATASETS.build(dataset.get("source", dataset)).metainfo["classes"]
    if len(classes) != num_classes(cfg):
        raise ConfigError(
            f"{cfg.filename}: the network predicts {num_classes(cfg)} classes, the data set has "
            f"{len(classes)} ({', '.join(classes[:5])}…); set model.decode_head.num_classes={len(classes)}"
        )


def build_runner(cfg: Config) -> Runner:
    """A runner for a config; ``cfg`` itself stays as it is."""
    cfg = copy.deepcopy(cfg)
    if cfg.get("work_dir") is None:
        cfg.work_dir = f"work_dirs/{Path(cfg.filename).stem}"
    seed = cfg.get("randomness", {}).get("seed") or 0
    cfg.randomness = dict(cfg.get("randomness", {}), seed=seed)
    if cfg.get("train_dataloader"):
        cfg.train_dataloader.dataset.seed = seed
    cfg.setdefault("launcher", "none")
    return SegmentationRunner.from_cfg(cfg)
