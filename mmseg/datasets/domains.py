"""The domains of an adaptation: one or several sources, one or several targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mmseg.datasets.sampling.rare_class_sampling import RareClassSampling
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.errors import ConfigError
from mmseg.registry import DATASETS, accepted_arguments, check_arguments

BY_FILES = "files"
"""As weight: domains are drawn by their number of images."""
RCS_ARGUMENTS = ("min_pixels", "class_temp", "min_crop_ratio", "statistics_dir")


@dataclass(frozen=True)
class DomainConfig:
    """A domain as a config names it.

    Attributes:
        role: ``source`` or ``target``.
        dataset: Config of its images, or the data set.
        name: What it is called among several; empty where it is the only one.
        weight: How often it is drawn, in proportion to the others; ``'files'`` = by its number of images.
        rare_class_sampling: Arguments of :class:`RareClassSampling`, for a source.
    """

    role: str
    dataset: Any
    name: str = ""
    weight: float | str = 1
    rare_class_sampling: Mapping[str, Any] | None = None

    @property
    def title(self) -> str:
        """As ``source`` or ``source gta``."""
        return f"{self.role} {self.name}".strip()

    @property
    def place(self) -> str:
        """Where its images stand in the config of the whole, as ``source`` or ``source.gta.dataset``."""
        return f"{self.role}.{self.name}.dataset" if self.name else self.role


@dataclass(frozen=True)
class Domain:
    """A domain whose images are there.

    Attributes:
        images: Its data set.
        name: What it is called among several; empty where it is the only one.
        weight: How often it is drawn, in proportion to the others.
        rcs: How a source draws its files; None = all alike.
    """

    images: SegmentationDataset
    name: str = ""
    weight: float = 1.0
    rcs: RareClassSampling | None = field(default=None, compare=False)

    def with_images(self, images: SegmentationDataset) -> Domain:
        """The same domain with another view of its images."""
        return replace(self, images=images)


def build_rcs(source: SegmentationDataset, arguments: Mapping[str, Any]) -> RareClassSampling:
    """Rare class sampling from its part of the config.

    Raises:
        ConfigError: An argument is unknown or of a wrong type.
    """
    unknown = sorted(set(arguments) - set(RCS_ARGUMENTS))
    if unknown:
        raise ConfigError(f"config: rare_class_sampling has no {unknown}; known: {', '.join(RCS_ARGUMENTS)}")
    check_arguments(RareClassSampling, arguments, "config: rare_class_sampling.")
    return RareClassSampling(source, **arguments)


def domain_configs(
    role: str, value: Any, rare_class_sampling: Mapping[str, Any] | None = None
) -> list[DomainConfig]:
    """The domains of a role.

    Args:
        role: ``source`` or ``target``.
        value: A data set or its config; of several domains name -> ``dict(dataset=…, weight=…,
            rare_class_sampling=…)``.
        rare_class_sampling: Of sources that say nothing of their own.

    Raises:
        ConfigError: A domain has no data set, an unknown key, or a weight that is none.
    """
    if not isinstance(value, Mapping) or "type" in value:
        return [DomainConfig(role, value, rare_class_sampling=rare_class_sampling)]
    known = ("dataset", "weight", *(["rare_class_sampling"] if role == "source" else []))
    settings = dict(rare_class_sampling=rare_class_sampling) if role == "source" else {}
    for name, entry in value.items():
        if not isinstance(entry, Mapping) or "dataset" not in entry or not set(entry) <= set(known):
            raise ConfigError(
                f"config: {role}.{name}={entry!r:.80}; expected {role}=dict(type=...) of one data set, or of "
                f"several domains name=dict(dataset=dict(type=...), ...) with {', '.join(known)}"
            )
    domains = [DomainConfig(role, name=str(name), **{**settings, **entry}) for name, entry in value.items()]
    if not domains:
        raise ConfigError(f"config: {role} names no domain; expected name=dict(dataset=dict(type=...))")
    _check_weights(role, {domain.name: domain.weight for domain in domains})
    return domains


def _check_weights(role: str, weights: Mapping[str, Any]) -> None:
    wrong = {
        name: weight
        for name, weight in weights.items()
        if weight != BY_FILES
        and (isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < np.inf)
    }
    if wrong:
        raise ConfigError(f"config: {role} weight={wrong}; expected numbers above 0, or 'files'")
    if BY_FILES in weights.values() and len(set(weights.values())) > 1:
        raise ConfigError(
            f"config: {role} weight={dict(weights)}; expected numbers for all domains, or 'files' for all"
        )


def domains_of(dataset: Mapping[str, Any]) -> list[DomainConfig]:
    """The sources and targets that a config of data for adaptation names, as far as its type has them,
    without labels of targets; empty for other data sets."""
    kind = dataset.get("type")
    known = accepted_arguments(DATASETS.get(kind) if isinstance(kind, str) else kind)[0]
    rcs = {"source": dataset.get("rare_class_sampling")}
    domains = [
        domain
        for role in ("source", "target")
        if role in known
        for domain in domain_configs(role, dataset.get(role), rcs.get(role))
    ]
    return [
        replace(domain, dataset={**domain.dataset, "load_labels": False})
        if domain.role == "target" and isinstance(domain.dataset, Mapping)
        else domain
        for domain in domains
    ]


def build_domain(config: DomainConfig) -> Domain:
    """Open the images of a domain; a target is without labels, a source needs them.

    Raises:
        ConfigError: A source has no labels, or a part of the config is wrong.
        DataError: Files or statistics are missing.
    """
    images, rcs = config.dataset, None
    if isinstance(images, Mapping):
        images = DATASETS.build({**images, "load_labels": False} if config.role == "target" else dict(images))
    elif config.role == "target":
        images = images.without_labels()
    if config.role == "source":
        if not images.has_labels:
            raise ConfigError(
                f"config: the {config.title} of UDADataset has no labels; set ann_dir (and load_labels=True)"
            )
        if config.rare_class_sampling is not None:
            rcs = build_rcs(images, config.rare_class_sampling)
    weight = len(images) if config.weight == BY_FILES else config.weight
    return Domain(images, config.name, float(weight), rcs)


def check_same_classes(domains: Mapping[str, SegmentationDataset]) -> None:
    """Classes are those of the network, in all domains.

    Args:
        domains: Title of each domain -> its images; the first one is compared with all others.

    Raises:
        ConfigError: Classes or their order differ.
    """
    (first, expected), *others = domains.items()
    for title, found in others:
        if found.classes != expected.classes:
            differing = sorted(set(expected.classes) ^ set(found.classes)) or "their order"
            raise ConfigError(
                f"config: {first} ({expected.num_classes}) and {title} ({found.num_classes}) need the "
                f"same classes in the same order; they differ in {differing}. A data set with other labels "
                "takes the common classes, and id_map says which of them its label values are"
            )


def check_one_target(names: Sequence[str]) -> None:
    """Rounds label the images of one target.

    Raises:
        ConfigError: There are several.
    """
    if len(names) > 1:
        raise ConfigError(
            f"config: rounds with {len(names)} targets ({', '.join(names)}), but a round labels one; "
            "expected target=dict(type=...): folders with the same endings form one data set with lists in "
            "data_root and img_dir"
        )


def draw_domain(domains: Sequence[Domain], rng: np.random.RandomState) -> int:
    """Number of a domain, drawn by weight; a single one draws nothing."""
    if len(domains) == 1:
        return 0
    weights = np.array([domain.weight for domain in domains])
    return int(rng.choice(len(domains), p=weights / weights.sum()))
