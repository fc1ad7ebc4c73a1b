"""Training from a config."""

import copy
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from mmseg import datasets, engine, evaluation, models  # noqa: F401  (fill the registries)
from mmseg.config.checks import check_before_training, checkpoint_to_resume
from mmseg.config.load import with_todays_names
from mmseg.config.work_dir import work_dir_of
from mmseg.datasets.loaders import data_of
from mmseg.engine import SegmentationRunner
from mmseg.errors import STORAGE_ERRORS, ConfigError


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
    cfg = with_todays_names(copy.deepcopy(cfg))
    check_before_training(cfg)
    return build_runner(cfg).train()


def build_runner(cfg: Config) -> Runner:
    """A runner for a config; ``cfg`` itself stays as it is.

    Raises:
        ConfigError: The folder of the run cannot be written to.
    """
    cfg = with_todays_names(copy.deepcopy(cfg))
    if cfg.get("resume") and not cfg.get("load_from"):
        cfg.load_from = str(checkpoint_to_resume(cfg))
    for part in ("val", "test"):
        if not data_of(cfg, f"{part}_dataloader"):  # mmengine wants all of the three, or none
            for key in (f"{part}_dataloader", f"{part}_cfg", f"{part}_evaluator"):
                cfg.pop(key, None)
    cfg.work_dir = str(work_dir_of(cfg))
    seed = cfg.get("randomness", {}).get("seed") or 0
    cfg.randomness = dict(cfg.get("randomness", {}), seed=seed)
    if data_of(cfg, "train_dataloader"):
        cfg.train_dataloader.dataset.seed = seed
    cfg.setdefault("launcher", "none")
    cfg.setdefault("model", {})  # a method may train none
    try:
        return SegmentationRunner.from_cfg(cfg)  # makes the folder and opens the log
    except OSError as error:
        place, folder = Path(error.filename or "").absolute(), Path(cfg.work_dir).absolute()
        concerned = place.is_relative_to(folder) or (error.filename and folder.is_relative_to(place))
        if not concerned and error.errno not in STORAGE_ERRORS:
            raise
        raise ConfigError(
            f"{cfg.work_dir}: the folder of the run cannot be written to ({error.strerror}); make room, or "
            "choose another one with --work-dir"
        ) from error
