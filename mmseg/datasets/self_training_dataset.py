"""Source images and target images with the labels of a round, in one shuffled list (CBST, Zou et al., ECCV
2018; CRST, Zou et al., ICCV 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from mmseg.datasets.sampling.keyed_random import SAMPLE_STREAM, epoch_permutation, keyed_random_state
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.datasets.transforms.base import Results
from mmseg.datasets.uda_dataset import UDADataset
from mmseg.errors import ConfigError
from mmseg.labelling.label_folder import RoundLabels
from mmseg.labelling.labeller import of_round
from mmseg.labels import IGNORE_INDEX
from mmseg.registry import DATASETS

CHOICES = ("cumulative", "anew")


def choose_source(number: int, portion: float, seed: int) -> np.ndarray:
    """Images that a round takes of the source, as published; with one seed a smaller portion is the beginning
    of a larger one.

    Args:
        number: Images there are.
        portion: Share of them to take.
        seed: Of numpy's generator.

    Returns:
        (int(number · portion),) int64, without repetition.
    """
    return np.random.RandomState(seed).choice(number, int(number * portion), replace=False)


@DATASETS.register_module()
class SelfTrainingDataset(UDADataset):
    """Single samples: a part of the source, which grows from round to round, and all target images.

    Within a round, every image is shown once before one is shown again. Sample ``i`` is a function of
    ``(seed, round, i)``. A pipeline with :class:`~mmseg.datasets.transforms.MiningCrop` prefers the rare
    classes of the round; whether that of the source or of the target has one is up to the config.

    Args:
        source: Labelled data set, or its config.
        target: Data set, or its config; its labels are those of the round.
        source_portions: Share of the source images in each round; the last entry holds for further rounds.
        source_choice: ``'cumulative'``: the images of a round stay in the next one. ``'anew'``: each round
            draws its own.
        seed: Seed of everything that is drawn.

    Raises:
        ConfigError: Source and target have different classes, the source has no labels, or a setting is out
            of range.
    """

    soft_targets = True
    mixed_batches = True

    def __init__(
        self,
        source: dict | SegmentationDataset,
        target: dict | SegmentationDataset,
        source_portions: float | Sequence[float] = 1.0,
        source_choice: str = "cumulative",
        seed: int = 0,
    ) -> None:
        super().__init__(source, target, seed=seed)
        if len(self.sources) > 1 or len(self.targets) > 1:
            raise ConfigError(
                "config: SelfTrainingDataset shuffles one source and one target, found "
                f"{len(self.sources)} sources and {len(self.targets)} targets; expected one of each: folders "
                "with the same endings form one data set with lists in data_root, img_dir and ann_dir"
            )
        shares = [source_portions] if isinstance(source_portions, int | float) else list(source_portions)
        if not shares or not all(0 <= share <= 1 for share in shares) or source_choice not in CHOICES:
            raise ConfigError(
                f"config: SelfTrainingDataset source_portions={source_portions!r}, source_choice="
                f"{source_choice!r}; expected shares from 0 to 1, and {' or '.join(map(repr, CHOICES))}"
            )
        self.source_portions, self.source_choice = shares, source_choice
        self.labels: RoundLabels | None = None

    def begin_round(self, labels: RoundLabels, first_position: int) -> None:
        """Use the labels of a round from now on; see the base class."""
        super().begin_round(labels, first_position)
        preferring = self.source.with_rare_classes(labels.rare_classes)
        self.sources = [self.sources[0].with_images(preferring)]
        seed = self.seed + (0 if self.source_choice == "cumulative" else 1 + labels.round)
        portion = of_round(self.source_portions, labels.round)
        self.chosen = choose_source(len(self.source), portion, seed)
        self.labels, self.first_position = labels, first_position

    def __len__(self) -> int:
        """Number of images of the round; before the first one, of both domains."""
        return len(self.target) + len(self.source if self.labels is None else self.chosen)

    def __getitem__(self, position: int) -> Results:
        """Sample ``position`` of a run.

        Returns:
            ``img``, ``gt_semantic_seg``, ``img_metas``, ``from_target`` (), bool, and where the round has
            soft labels ``soft_label`` (K, H, W) float32, one-hot for images of the source.

        Raises:
            ConfigError: No round has begun.
        """
        if self.labels is None:
            raise ConfigError(
                "config: SelfTrainingDataset has no labels of a round; expected rounds=dict(number=..., "
                "length=..., labeller=...) in the config"
            )
        epoch, place = divmod(position - self.first_position, len(self))
        index = int(epoch_permutation(self.seed, epoch, len(self), self.labels.round)[place])
        rng = keyed_random_state(self.seed, SAMPLE_STREAM, position)
        from_target = index >= len(self.chosen)
        if from_target:
            sample = self.target.get(index - len(self.chosen), rng)
        else:
            sample = self.source.get(int(self.chosen[index]), rng)
        if self.labels.has_soft and not from_target:
            sample["soft_label"] = one_hot_label(sample["gt_semantic_seg"], self.num_classes)
        sample.pop("valid_pseudo_mask", None)
        return {**sample, "from_target": torch.tensor(from_target)}


def one_hot_label(label: Tensor, num_classes: int) -> Tensor:
    """(H, W) classes as (K, H, W) float32, 0 where the label is 255."""
    classes = torch.where(label == IGNORE_INDEX, num_classes, label.long())
    return one_hot(classes, num_classes + 1)[..., :num_classes].permute(2, 0, 1).float().contiguous()
