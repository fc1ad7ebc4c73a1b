"""Pictures of the samples that training starts with."""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from torch import Tensor

from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.datasets.uda_dataset import UDADataset
from mmseg.errors import ConfigError
from mmseg.registry import DATASETS
from mmseg.visualization.grid import Tile, write_grid
from mmseg.visualization.palette_image import Pixels, colorize

TrainingSet = UDADataset | SegmentationDataset

ROWS_PER_PICTURE = 4


def training_set(cfg: Config, seed: int | None = None) -> TrainingSet:
    """The training data of a config as a run sees them.

    Args:
        cfg: A config with ``train_dataloader``.
        seed: Instead of ``randomness.seed`` of the config.

    Raises:
        ConfigError, DataError: There are no training data, or they are incomplete.
    """
    dataset = copy.deepcopy((cfg.get("train_dataloader") or {}).get("dataset"))
    if not dataset:
        raise ConfigError(f"{cfg.filename}: train_dataloader.dataset is missing; name the config of a run")
    dataset["seed"] = cfg.get("randomness", {}).get("seed") or 0 if seed is None else seed
    return DATASETS.build(dataset)


def tiles_of(dataset: TrainingSet, position: int) -> list[Tile]:
    """Image and label of a position (of each source in joint mode), for adaptation also the target image and
    where its pseudo-labels count.

    Pixels are those of the transformed sample, before what the training step does on the device
    (normalisation, mixing, strong augmentation, masking).
    """
    sample = dataset[position]
    source = "source " if isinstance(dataset, UDADataset) else ""
    metas, images = sample["img_metas"], sample["img"]
    labels: Any = sample.get("gt_semantic_seg")
    if isinstance(metas, dict):
        metas, images, labels = [metas], [images], [labels]
    tiles = []
    for meta, image, encoded in zip(metas, images, labels, strict=True):
        place = f"{source}{_domain(meta)}image, sample {position}"
        tiles.append(Tile(_rgb(image), (place, _file(meta))))
        if encoded is not None:
            label = encoded.numpy()
            caption = [f"{source}label"]
            if (drawn := meta.get("drawn_class")) is not None:
                name = dataset.metainfo["classes"][drawn]
                caption.append(f"RCS drew {name}: {(label == drawn).sum()} pixels")
            tiles.append(Tile(colorize(label, dataset.metainfo["palette"]), caption))
    if "target_img" in sample:
        metas = sample["target_img_metas"]
        caption = [f"target {_domain(metas)}image", _file(metas)]
        tiles.append(Tile(_rgb(sample["target_img"]), caption))
    if "valid_pseudo_mask" in sample:
        valid = np.repeat(sample["valid_pseudo_mask"].numpy()[..., None], 3, axis=2)
        share = f"white: pseudo-labels count, {valid.mean():.0%}"
        tiles.append(Tile(valid.astype(np.uint8) * 255, ("target valid mask", share)))
    return tiles


def write_pictures(dataset: TrainingSet, positions: Sequence[int], out_dir: Path) -> Iterator[Path]:
    """Write PNGs of the samples at some positions, a row each and a few rows in a file.

    Yields:
        Each file once it is written.

    Raises:
        ConfigError: The folder cannot be written to.
    """
    for start in range(0, len(positions), ROWS_PER_PICTURE):
        part = positions[start : start + ROWS_PER_PICTURE]
        path = out_dir / f"samples_{part[0]:04d}-{part[-1]:04d}.png"
        try:
            write_grid(path, [tiles_of(dataset, position) for position in part])
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written ({error.strerror}); name another folder") from error
        yield path


def _rgb(image: Tensor) -> Pixels:
    return image.permute(1, 2, 0).numpy()


def _domain(metas: dict[str, Any]) -> str:
    """Name of one of several domains."""
    return f"{metas['domain']} " if "domain" in metas else ""


def _file(metas: dict[str, Any]) -> str:
    return Path(metas["img_path"]).name
