"""Images of a data set in the look of another one."""

import copy
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from torch import Tensor

from mmseg import datasets, models  # noqa: F401  (fill the registries)
from mmseg.checkpoints.generators import TO_SOURCE, TO_TARGET
from mmseg.datasets.domains import domain_configs
from mmseg.datasets.loaders import data_of
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.datasets.transforms.loading import LoadImage
from mmseg.engine.prediction import weights_digest
from mmseg.errors import ConfigError
from mmseg.models.layers.resize import resize
from mmseg.models.translation import GeneratorTranslator
from mmseg.registry import DATASETS, TRANSLATORS
from mmseg.visualization.grid import Tile, write_grid
from mmseg.visualization.palette_image import Pixels

WIDTH = 384  # of the pictures that show a few images


class Translation:
    """The images of a source, each of which can be had in the look of the target.

    Args:
        cfg: Config of a run that trains generators, or one with ``uda.translator``.
        checkpoint: Of that run; None takes the translator of the config.
        source: Name of the source, where there are several.
        back: Target images in the look of the source instead.
        size: (width, height) at which images are translated; None = their own.
        dropout: See :class:`~mmseg.models.translation.GeneratorTranslator`.
        device: ``'cpu'``, ``'cuda:0'``…; None takes a GPU when there is one.

    Attributes:
        root: Folder of the images.
        names: Their paths below it.
        settings: What tells these images from those of other generators and settings.

    Raises:
        ConfigError, DataError, CheckpointError: Settings, images or weights are missing or do not fit.
    """

    def __init__(
        self,
        cfg: Config,
        checkpoint: str | Path | None,
        source: str | None = None,
        back: bool = False,
        size: tuple[int, int] | None = None,
        dropout: bool = True,
        device: str | None = None,
    ) -> None:
        self.cfg, self.checkpoint, self.source = cfg, checkpoint, source
        self.size, self.dropout, self.device = size, dropout, device or get_device()
        self.way = TO_SOURCE if back else TO_TARGET
        self.translator = self._translator(self.way)
        images, examples = self._dataset("source"), self._dataset("target")
        self.images, self.examples = (examples, images) if back else (images, examples)
        self.root = Path(self.images.img_dir)
        self.names = [Path(sample.img_path).relative_to(self.root) for sample in self.images.samples]
        self.settings: dict[str, Any] = dict(
            weights=weights_digest(self.translator),
            translator=type(self.translator).__name__,
            way=self.way,
            images=str(self.root),
            size=None if size is None else list(size),
        )
        if isinstance(self.translator, GeneratorTranslator):
            self.settings |= dict(generator=dict(cfg.uda.generator) if checkpoint else None, dropout=dropout)
        else:
            self.settings["translator"] = dict(cfg.uda.translator)

    def _translator(self, way: str) -> Any:
        uda: Any = self.cfg.get("uda") or {}
        if self.checkpoint is not None:
            if not uda.get("generator"):
                raise ConfigError(
                    f"{self.cfg.filename}: has no uda.generator; name the config of the run that trained the "
                    f"generator in {self.checkpoint}"
                )
            translator: Any = GeneratorTranslator(
                str(self.checkpoint), uda.generator, way, self.source, dropout=self.dropout
            )
        elif uda.get("translator") and way == TO_TARGET:
            translator = TRANSLATORS.build(copy.deepcopy(dict(uda.translator)))
        else:
            raise ConfigError(
                f"{self.cfg.filename}: nothing draws images in the look of the {way.removeprefix('to_')}; "
                "name the checkpoint of a run that trains generators, or a config with uda.translator"
            )
        if hasattr(translator, "begin_run"):
            translator.begin_run()
        return translator.to(self.device)

    def _dataset(self, role: str) -> SegmentationDataset:
        """The images of the source that was named, or of all targets' first one."""
        domains = {
            domain.name or role: domain
            for domain in domain_configs(role, (data_of(self.cfg, "train_dataloader") or {}).get(role))
        }
        name = (self.source if role == "source" else None) or next(iter(domains))
        if name not in domains or (role == "source" and self.source is None and len(domains) > 1):
            raise ConfigError(
                f"{self.cfg.filename}: --source {self.source or 'is not given'}; expected one of "
                f"{', '.join(domains)}"
            )
        dataset = domains[name].dataset
        if dataset is None:
            raise ConfigError(f"{self.cfg.filename}: train_dataloader names no {role}; see UDADataset")
        reading = [step for step in dataset["pipeline"] if step["type"] == "LoadImage"]
        return DATASETS.build(
            {**dataset, "pipeline": reading, "load_labels": False, "test_mode": True, "prepared": None}
        )

    def read(self, images: SegmentationDataset, index: int) -> Tensor:
        """(1, 3, H, W) colours in [0, 1] of an image."""
        pixels = LoadImage.of(images.pipeline).read(images.samples[index].img_path)
        return torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device).permute(2, 0, 1)[None] / 255

    def translated(self, index: int) -> Pixels:
        """(H, W, 3) uint8 of an image in the other look; fractions are cut off, as published. What is drawn
        at random is a function of the image's name."""
        whole = self.read(self.images, index)
        size = self.size[::-1] if self.size else whole.shape[2:]
        key = zlib.crc32(self.names[index].as_posix().encode())
        example = None
        if self.translator.needs_target:
            example = resize(self.read(self.examples, key % len(self.examples)), size)
        drawn = self._drawn(self.translator, resize(whole, size), example, key)
        return pixels_of(resize(drawn, whole.shape[2:]))

    def _drawn(self, translator: Any, image: Tensor, example: Tensor | None, key: int) -> Tensor:
        devices = [image.device] if image.is_cuda else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(key)
            return translator(image, example)

    @cached_property
    def translator_back(self) -> Any:
        """The other generator of the run; None without one."""
        both = {TO_TARGET: TO_SOURCE, TO_SOURCE: TO_TARGET}
        return None if self.checkpoint is None else self._translator(both[self.way])

    def draw(self, path: Path, number: int) -> None:
        """Draw images, translated and (by the other generator) reconstructed, beside some of the target.

        Args:
            path: PNG file to write.
            number: How many rows.

        Raises:
            OSError: It cannot be written.
        """
        rows: list[list[Tile]] = []
        for index in range(min(number, len(self.images))):
            source, translated = self.read(self.images, index), self.translated(index)
            columns = {"source": pixels_of(source), "translated": translated}
            if self.translator_back is not None:
                there = torch.from_numpy(translated).to(self.device).permute(2, 0, 1)[None] / 255
                back = self._drawn(self.translator_back, there, None, index)
                columns["reconstructed"] = pixels_of(back)
            columns["target"] = pixels_of(self.read(self.examples, index % len(self.examples)))
            rows.append([Tile(_small(image), () if rows else (name,)) for name, image in columns.items()])
        write_grid(path, rows)


def pixels_of(image: Tensor) -> Pixels:
    """(H, W, 3) uint8 of (1, 3, H, W) colours in [0, 1]; fractions are cut off."""
    return (image[0] * 255).clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()


def _small(image: Pixels) -> Pixels:
    size = (WIDTH, max(1, round(image.shape[0] * WIDTH / image.shape[1])))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
