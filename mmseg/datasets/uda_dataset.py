"""Labelled source samples beside unlabelled target samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from mmseg.datasets.collate import seg_collate
from mmseg.datasets.domains import (
    Domain,
    build_domain,
    check_one_target,
    check_same_classes,
    domain_configs,
    draw_domain,
)
from mmseg.datasets.sampling.keyed_random import SAMPLE_STREAM, keyed_random_state
from mmseg.datasets.sampling.rare_class_sampling import RareClassSampling
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.datasets.transforms.base import PIXEL_KEYS, Results
from mmseg.datasets.transforms.geometry import draw_crop
from mmseg.errors import ConfigError
from mmseg.labelling.label_folder import RoundLabels
from mmseg.registry import DATASETS

SOURCE_KEYS = ("img", "gt_semantic_seg", "soft_label", "source_domain", "img_metas")


@DATASETS.register_module()
class UDADataset(Dataset):
    """Source and target of unsupervised domain adaptation, one or several of each.

    Sample ``i`` is a function of ``(seed, i)`` alone. Source and target are drawn uniformly and
    independently, or the source by rare class sampling. Target labels are never looked for; in a run with
    rounds the samples hold the labels that the round has chosen for the target.

    Several domains have names, as ``source=dict(gta=dict(dataset=...), synthia=dict(dataset=...))``. Beside
    its ``dataset`` a domain has a ``weight`` (1, or ``'files'``: its number of images) and a source its own
    ``rare_class_sampling``, from its own statistics.

    Args:
        source: Labelled data set, or its config; or several by name.
        target: Data set, or its config; or several by name.
        rare_class_sampling: ``dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=0.5)``, see
            :class:`~mmseg.datasets.RareClassSampling`; None draws files uniformly. Of several sources, it is
            that of those which say nothing of their own.
        sync_crop_size: (height, width) of a further crop at the same place in all images of a sample.
        mode: Of several sources. ``'mixed'``: a sample is of one of them, drawn by weight. ``'joint'``: a
            sample has an image of each. A target is drawn by weight in both.
        seed: Seed of everything that is drawn.

    Attributes:
        sources, targets: The domains, in the order of the config.

    Raises:
        ConfigError: Domains have different classes, or a source has no labels.
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
        source: Mapping | SegmentationDataset,
        target: Mapping | SegmentationDataset,
        rare_class_sampling: dict | None = None,
        sync_crop_size: Sequence[int] | None = None,
        mode: Literal["mixed", "joint"] = "mixed",
        seed: int = 0,
    ) -> None:
        sources, targets = (
            domain_configs("source", source, rare_class_sampling),
            domain_configs("target", target),
        )
        self.sources, self.targets = list(map(build_domain, sources)), list(map(build_domain, targets))
        domains = zip([*sources, *targets], [*self.sources, *self.targets], strict=True)
        check_same_classes({config.title: domain.images for config, domain in domains})
        self.sync_crop_size = None if sync_crop_size is None else (sync_crop_size[0], sync_crop_size[1])
        self.mode = mode
        self.seed = seed
        for each in self.sources:
            if each.rcs is not None:
                each.rcs.log(each.name)

    @property
    def source(self) -> SegmentationDataset:
        """Images of the (first) source."""
        return self.sources[0].images

    @property
    def target(self) -> SegmentationDataset:
        """Images of the (first) target."""
        return self.targets[0].images

    @property
    def rcs(self) -> RareClassSampling | None:
        """How the (first) source draws its files; None = all alike."""
        return self.sources[0].rcs

    @property
    def metainfo(self) -> dict[str, Any]:
        """Classes and palette of the source, which all domains share."""
        return self.source.metainfo

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.source.num_classes

    def __len__(self) -> int:
        """Number of different pairs; positions may be larger."""
        sources, targets = (sum(len(each.images) for each in of) for of in (self.sources, self.targets))
        return sources * targets

    def begin_round(self, labels: RoundLabels, first_position: int) -> None:
        """Use the labels of a round from now on; in a resumed run called again.

        Args:
            labels: Of the target images.
            first_position: Position of the first sample of the round.

        Raises:
            ConfigError: The labels are soft, and the samples cannot hold soft labels of the target; or there
                are several targets.
            DataError: Labels are missing, or number other classes.
        """
        check_one_target([each.name for each in self.targets])
        if labels.has_soft and not self.soft_targets:
            raise ConfigError(
                f"config: rounds.labeller gives soft labels ({labels.folder}), and the pairs of "
                f"{type(self).__name__} hold hard ones of the target; expected train_dataloader.dataset of "
                "type 'SelfTrainingDataset', or a labeller of hard labels such as ClassBalanced"
            )
        self.targets = [self.targets[0].with_images(self.target.with_labels(labels))]

    def __getitem__(self, position: int) -> Results:
        """Sample ``position`` of a run, a pure function of seed and position."""
        return self.draw(keyed_random_state(self.seed, SAMPLE_STREAM, position))

    def draw(self, rng: np.random.RandomState) -> Results:
        """Draw a sample: the domains where there are several, then source file, its crop (in joint mode of
        each source), target file, its crop, in this order.

        Returns:
            ``img``, ``gt_semantic_seg``, ``img_metas`` of the source, and ``soft_label`` if it has some;
            ``target_img``, ``target_img_metas`` and, with pseudo margins, ``valid_pseudo_mask`` of the
            target; in rounds ``target_label``. With several sources or targets ``source_domain`` or
            ``target_domain``, (), int64. In joint mode what belongs to the source has a further first
            dimension K, for the K sources, and ``img_metas`` is a list.
        """
        is_joint = self.mode == "joint" and len(self.sources) > 1
        numbers = range(len(self.sources)) if is_joint else [draw_domain(self.sources, rng)]
        target_number = draw_domain(self.targets, rng)
        sources = [self._draw_source(number, rng) for number in numbers]
        target = self._draw_target(target_number, rng)
        if self.sync_crop_size is not None:
            self._crop_all([*sources, target], self.sync_crop_size, rng)
        sample = seg_collate(sources) if is_joint else sources[0]
        sample = {key: sample[key] for key in SOURCE_KEYS if key in sample}
        sample.update(target_img=target["img"], target_img_metas=target["img_metas"])
        if "valid_pseudo_mask" in target:
            sample["valid_pseudo_mask"] = target["valid_pseudo_mask"]
        if "gt_semantic_seg" in target:
            sample["target_label"] = target["gt_semantic_seg"]
        if "target_domain" in target:
            sample["target_domain"] = target["target_domain"]
        return sample

    def _draw_source(self, number: int, rng: np.random.RandomState) -> Results:
        domain = self.sources[number]
        images, rcs = domain.images, domain.rcs
        if rcs is None:
            sample = images.get(int(rng.choice(len(images))), rng)
        else:
            drawn, index = rcs.draw(rng)
            loaded = images.load(index)  # decoded once, however many crops follow
            sample = images.augment(loaded, rng)
            for _ in range(self.recrops):
                if rcs.accepts(sample["gt_semantic_seg"], drawn):
                    break
                sample = images.augment(loaded, rng)
            sample = images.pack(sample)
            sample["img_metas"] = {**sample["img_metas"], "drawn_class": drawn}
        return sample if len(self.sources) == 1 else _named(sample, "source_domain", number, domain)

    def _draw_target(self, number: int, rng: np.random.RandomState) -> Results:
        domain = self.targets[number]
        sample = domain.images.get(int(rng.choice(len(domain.images))), rng)
        if len(self.targets) == 1:
            return sample
        if any(each.images.pseudo_margins is not None for each in self.targets):
            # one target has margins, and all samples of a batch hold the same
            everywhere = torch.ones(sample["img"].shape[-2:], dtype=torch.bool)
            sample.setdefault("valid_pseudo_mask", everywhere)
        return _named(sample, "target_domain", number, domain)

    @staticmethod
    def _crop_all(samples: Sequence[Results], crop_size: tuple[int, int], rng: np.random.RandomState) -> None:
        """Cut the same box out of all samples."""
        height, width = samples[0]["img"].shape[-2:]
        rows, columns = draw_crop((height, width), crop_size, rng)
        for sample in samples:
            for key in PIXEL_KEYS:
                if key in sample:
                    sample[key] = sample[key][..., rows, columns].contiguous()
            valid = (
                min(max(extent - part.start, 0), part.stop - part.start)
                for extent, part in zip(sample["img_metas"]["img_shape"], (rows, columns), strict=True)
            )
            sample["img_metas"] = {**sample["img_metas"], "img_shape": tuple(valid)}


def _named(sample: Results, key: str, number: int, domain: Domain) -> Results:
    """A sample that says which of several domains it is of."""
    metas = {**sample["img_metas"], "domain": domain.name}
    return {**sample, key: torch.tensor(number), "img_metas": metas}
