"""Whole runs on a handful of tiny toy street scenes."""

import copy
import json
import shutil
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import Tensor, nn

from mmseg.apis import train
from mmseg.checkpoints.weights import read_checkpoint
from mmseg.config.load import load_config
from mmseg.datasets.conversion.cityscapes import convert_cityscapes
from mmseg.datasets.conversion.gta import GTA
from mmseg.datasets.conversion.runner import convert_dataset
from mmseg.toy import make_toy_dataset

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "configs" / "quickstart"
IMAGE_SIZE = (96, 64)  # width, height
TEST_SIZE = (72, 48)  # images are scaled down for testing
CROP_SIZE = (64, 64)
NUM_TRAIN, NUM_VAL = 4, 2
CHANNELS = 16

_run_numbers = count()


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        work_dir: Its folder.
        cfg: The config it was started with.
        model: What was trained.
    """

    work_dir: Path
    cfg: Config
    model: nn.Module

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint."""
        return self.work_dir / f"iter_{self.cfg.train_cfg.max_iters}.pth"


def write_toy_data(root: Path) -> Path:
    """GTA and Cityscapes folders with converted labels."""
    make_toy_dataset(root, ["gta", "cityscapes"], IMAGE_SIZE, NUM_TRAIN, NUM_VAL)
    convert_dataset(GTA, str(root / "gta"), nproc=1)
    convert_cityscapes(str(root / "cityscapes"), nproc=1)
    return root


def copy_data(root: Path, to: Path) -> Path:
    """A copy that a test may damage; its statistics name the labels by paths that still fit."""
    return Path(shutil.copytree(root, to))


@cache
def quickstart_config(name: str) -> Config:
    """A config of the quickstart, read once; not to be changed."""
    return load_config(QUICKSTART / f"{name}.py")


def toy_config(name: str, data: Path, work_dir: Path, options: dict[str, Any] | None = None) -> Config:
    """A config of the quickstart, made so small that an iteration takes a fraction of a second.

    Args:
        name: File name in configs/quickstart without suffix.
        data: Folder that :func:`write_toy_data` filled.
        work_dir: Where the run writes.
        options: Dotted key -> value, applied last.
    """
    cfg = copy.deepcopy(quickstart_config(name))
    train_set = cfg.train_dataloader.dataset
    domains = [train_set.source, train_set.target] if "source" in train_set else [train_set]
    for dataset in (*domains, cfg.val_dataloader.dataset, cfg.test_dataloader.dataset):
        dataset.data_root = str(data / Path(dataset.data_root).name)
        for transform in dataset.pipeline:
            if transform["type"] == "RandomCrop":
                transform["crop_size"] = CROP_SIZE
            if transform["type"] == "Resize":
                transform["scale"] = TEST_SIZE
    if train_set.get("rare_class_sampling"):
        train_set.rare_class_sampling.min_pixels = 0
    cfg.merge_from_dict(
        {
            "model.decode_head.channels": CHANNELS,
            "model.decode_head.decoder_params.embed_dims": CHANNELS,
            "train_dataloader.num_workers": 0,
            "val_dataloader.num_workers": 0,
            "test_dataloader.num_workers": 0,
            "train_cfg.max_iters": 4,
            "train_cfg.val_interval": 2,
            "param_scheduler.0.warmup_iters": 2,
            "default_hooks.checkpoint.interval": 2,
            "default_hooks.logger.interval": 1,
            "work_dir": str(work_dir),
            # mmengine keeps one logger per name and process
            "experiment_name": f"toy_run_{next(_run_numbers)}",
        }
    )
    cfg.merge_from_dict(options or {})
    return cfg


def uda_config(data: Path, work_dir: Path, options: dict[str, Any] | None = None) -> Config:
    """DAFormer with all its parts: rare class sampling, feature distance, pseudo-label margins.

    At this size features have 2x2 cells, which no class of the published list ever dominates.
    """
    parts = {
        "train_dataloader.dataset.target.crop_pseudo_margins": [256, 256, 0, 0],
        "uda.imnet_feature_dist_classes": list(range(19)),
        "uda.imnet_feature_dist_scale_min_ratio": 0.1,
        "uda.imnet_feature_dist_lambda": 0.5,
        "uda.pseudo_threshold": 0.0,
        "custom_hooks.0.interval": 2,
    }
    return toy_config("daformer", data, work_dir, parts | (options or {}))


def run_training(cfg: Config) -> Run:
    """Train as a program that calls the API does."""
    return Run(Path(cfg.work_dir), cfg, train(cfg))


def write_config(cfg: Config, path: Path) -> Path:
    """Store a config for the command line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cfg.dump(path)
    return path


def log_entries(work_dir: Path) -> list[dict[str, float]]:
    """Lines of all JSON logs in the order of writing; starts in one second share a log."""
    logs = sorted(work_dir.glob("*/vis_data/scalars.json"))
    return [json.loads(line) for log in logs for line in log.read_text().splitlines()]


def weights(path: Path, network: str = "") -> dict[str, Tensor]:
    """Parameters and buffers of one network in a checkpoint."""
    state = read_checkpoint(path)["state_dict"]
    found = {name: value for name, value in state.items() if name.startswith(network)}
    assert found, f"nothing of {network!r} in {path}"
    return found
