"""Pairs of a labelled source sample and an unlabelled target sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from torch.utils.data import Dataset

from mmseg.datasets.sampling.keyed_random import SAMPLE_STREAM, keyed_random_state
from mmseg.datasets.sampling.rare_class_sampling import RareClassSampling
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.datasets.transforms.base import PIXEL_KEYS, Results
from mmseg.datasets.transforms.geometry import draw_crop
from mmseg.errors import ConfigError
from mmseg.labelling.label_folder import RoundLabels
from mmseg.registry import DATASETS, check_arguments

RCS_ARGUMENTS = ("min_pixels", "class_temp", "min_crop_ratio", "statistics_dir")


def _build(dataset: dict | SegmentationDataset) -> SegmentationDataset:
    return DATASETS.build(dataset) if isinstance(dataset, dict) else dataset


def build_rcs(source: SegmentationDataset, arguments: dict) -> RareClassSampling:
    """Rare class sampling from its part of the config.

    Raises:
        ConfigError: An argument is unknown or of a wrong type.
    """
    unknown = sorted(set(arguments) - set(RCS_ARGUMENTS))
    if unknown:
        raise ConfigError(f"config: rare_class_sampling has no {unknown}; known: {', '.join(RCS_ARGUMENTS)}")
    check_arguments(RareClassSampling, arguments, "config: rare_class_sampling.")
    return RareClassSampling(source, **arguments)


@DATASETS.register_module()
class UDADataset(Dataset):
    """Source and target of unsupervised domain adaptation.

    Sample ``i`` is a function of ``(seed, i)`` alone. Source and target are drawn uniformly and
    independently, or the source by rare class sampling. Target labels are never looked for; in a run with
    rounds the samples hold the labels that the round has chosen for the target.

    Args:
        source: Labelled data set, or its config.
        target: Data set, or its config.
        rare_class_sampling: ``dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=0.5)``, see
            :class:`~mmseg.datasets.RareClassSampling`; None draws files uniformly.
        sync_crop_size: (height, width) of a further crop at the same place in both samples.
        seed: Seed of everything that is drawn.

    Raises:
        ConfigError: Source and target have different classes, or the source has no labels.
    """

    recrops = 10
    """How often a source crop that shows too little of the drawn class is drawn again."""
    soft_targets: ClassVar[bool] = False
    """Whether target images may have soft labels."""
    mixed_batches: ClassVar[bool] = False
    """Whether a sample is an image of either domain instead of a pair."""
    splits_images: ClassVar[bool] = False
    """Whether a round has to tell easy images from hard ones."""

    def __init__(
        self,
        source: dict | SegmentationDataset,
        target: dict | SegmentationDataset,
        rare_class_sampling: dict | None = None,
        sync_crop_size: Sequence[int] | None = None,
        seed: int = 0,
    ) -> None:
        self.source = _build(source)
        self.target = _build(
            {**target, "load_labels": False} if isinstance(target, dict) else target.without_labels()
        )
        self.sync_crop_size = None if sync_crop_size is None else (sync_crop_size[0], sync_crop_size[1])
        self.seed = seed
        self._check()
        self.rcs = None if rare_class_sampling is None else build_rcs(self.source, rare_class_sampling)
        if self.rcs is not None:
            self.rcs.log()

    def _check(self) -> None:
        if not self.source.has_labels:
            raise ConfigError(
                "config: the source of UDADataset has no labels; set ann_dir (and load_labels=True)"
            )
        if self.source.classes != self.target.classes:
            differing = sorted(set(self.source.classes) ^ set(self.target.classes)) or "their order"
            raise ConfigError(
                f"config: source ({self.source.num_classes}) and target ({self.target.num_classes}) need the "
                f"same classes in the same order; they differ in {differing}"
            )

    @property
    def metainfo(self) -> dict[str, Any]:
        """Classes and palette of the source, which the target shares."""
        return self.source.metainfo

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.source.num_classes

    def __len__(self) -> int:
        """Number of different pairs; positions may be larger."""
        return len(self.source) * len(self.target)

    def begin_round(self, labels: RoundLabels, first_position: int) -> None:
        """Use the labels of a round from now on; in a resumed run called again.

        Args:
            labels: Of the target images.
            first_position: Position of the first sample of the round.

        Raises:
            ConfigError: The labels are soft, and the samples cannot hold soft labels of the target.
            DataError: Labels are missing, or number other classes.
        """
        if labels.has_soft and not self.soft_targets:
            raise ConfigError(
                f"config: rounds.labeller gives soft labels ({labels.folder}), and the pairs of "
                f"{type(self).__name__} hold hard ones of the target; expected train_dataloader.dataset of "
                "type 'SelfTrainingDataset', or a labeller of hard labels such as ClassBalanced"
            )
        self.target = self.target.with_labels(labels)

    def __getitem__(self, position: int) -> Results:
        """Pair ``position`` of a run, a pure function of seed and position."""
        return self.draw(keyed_random_state(self.seed, SAMPLE_STREAM, position))

    def draw(self, rng: np.random.RandomState) -> Results:
        """Draw a pair: source file, its crop, target file, its crop, in this order.

        Returns:
            ``img``, ``gt_semantic_seg``, ``img_metas`` of the source, and ``soft_label`` if it has some;
            ``target_img``, ``target_img_metas`` and, with pseudo margins, ``valid_pseudo_mask`` of the
            target; in rounds ``target_label``.
        """
        source = self._draw_source(rng)
        target = self.target.get(int(rng.choice(len(self.target))), rng)
        if self.sync_crop_size is not None:
            self._crop_both(source, target, self.sync_crop_size, rng)
        keys = ("img", "gt_semantic_seg", "soft_label", "img_metas")
        pair = {key: source[key] for key in keys if key in source}
        pair.update(target_img=target["img"], target_img_metas=target["img_metas"])
        if "valid_pseudo_mask" in target:
            pair["valid_pseudo_mask"] = target["valid_pseudo_mask"]
        if "gt_semantic_seg" in target:
            pair["target_label"] = target["gt_semantic_seg"]
        return pair

    def _draw_source(self, rng: np.random.RandomState) -> Results:
        if self.rcs is None:
            return self.source.get(int(rng.choice(len(self.source))), rng)
        drawn, index = self.rcs.draw(rng)
        loaded = self.source.load(index)  # decoded once, however many crops follow
        sample = self.source.augment(loaded, rng)
        for _ in range(self.recrops):
            if self.rcs.accepts(sample["gt_semantic_seg"], drawn):
                break
            sample = self.source.augment(loaded, rng)
        return self.source.pack(sample)

    @staticmethod
    def _crop_both(
        source: Results, target: Results, crop_size: tuple[int, int], rng: np.random.RandomState
    ) -> None:
        """Cut the same box out of both samples."""
        height, width = source["img"].shape[-2:]
        rows, columns = draw_crop((height, width), crop_size, rng)
        for sample in (source, target):
            for key in PIXEL_KEYS:
                if key in sample:
                    sample[key] = sample[key][..., rows, columns].contiguous()
            valid = (
                min(max(extent - part.start, 0), part.stop - part.start)
                for extent, part in zip(sample["img_metas"]["img_shape"], (rows, columns), strict=True)
            )
            sample["img_metas"] = {**sample["img_metas"], "img_shape": tuple(valid)}
