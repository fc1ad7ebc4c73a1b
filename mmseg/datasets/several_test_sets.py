"""Several domains that a network is scored on in one evaluation."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any

from torch.utils.data import Dataset

from mmseg.datasets.domains import check_same_classes
from mmseg.datasets.folders import common_folder
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.datasets.transforms.base import Results, Transform
from mmseg.errors import ConfigError
from mmseg.registry import DATASETS


def test_sets_of(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The data sets that a config of images to test on names, by domain; one alone has an empty name."""
    kind = DATASETS.get(dataset["type"]) if isinstance(dataset.get("type"), str) else dataset.get("type")
    several = isinstance(kind, type) and issubclass(kind, SeveralTestSets)
    return dict(dataset.get("datasets") or {}) if several else {"": dataset}


@DATASETS.register_module()
class SeveralTestSets(Dataset):
    """The images of several domains behind each other, for scores of each domain and their mean.

    The metrics of :mod:`mmseg.evaluation` see of which domain an image is, see :class:`CountingMetric`.

    Args:
        datasets: Name of the domain -> config of its images and labels.

    Attributes:
        datasets: The data sets by name.
        img_dir: The folder that the images of all have in common.
        samples: Files of all, named by their paths below it.

    Raises:
        ConfigError: There is no domain, domains have different classes, or a name has a dot or a slash.
    """

    def __init__(self, datasets: Mapping[str, dict]) -> None:
        wrong = [name for name in datasets if not str(name) or {".", "/"} & set(str(name))]
        if wrong or not datasets:
            raise ConfigError(
                f"config: SeveralTestSets datasets={list(datasets)}; expected name=dict(type=...) of each "
                "domain, names without '.' and '/', which separate the names of scores"
            )
        self.datasets: dict[str, SegmentationDataset] = {
            name: DATASETS.build(dict(dataset)) for name, dataset in datasets.items()
        }
        check_same_classes(self.datasets)
        self.ends = list(accumulate(len(dataset) for dataset in self.datasets.values()))
        self.img_dir = common_folder([dataset.img_dir.absolute() for dataset in self.datasets.values()])
        self.samples = [
            replace(sample, name=(below / sample.name).as_posix())
            for dataset in self.datasets.values()
            for below in [dataset.img_dir.absolute().relative_to(self.img_dir)]
            for sample in dataset.samples
        ]

    @property
    def first(self) -> SegmentationDataset:
        """That of the first domain."""
        return next(iter(self.datasets.values()))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, which all domains share."""
        return self.first.classes

    @property
    def palette(self) -> list[tuple[int, int, int]]:
        """Colours of the classes."""
        return self.first.palette

    @property
    def transforms(self) -> list[Transform]:
        """Of the first domain."""
        return self.first.transforms

    @property
    def has_labels(self) -> bool:
        """Whether the label maps of all are read."""
        return all(dataset.has_labels for dataset in self.datasets.values())

    @property
    def metainfo(self) -> dict[str, Any]:
        """``classes``, ``palette`` and ``domains``, the names in their order."""
        return {**self.first.metainfo, "domains": tuple(self.datasets)}

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, position: int) -> Results:
        """Image ``position``; its ``img_metas`` say which ``domain`` it is of."""
        number = bisect_right(self.ends, position)
        name, dataset = list(self.datasets.items())[number]
        sample = dataset[position - self.ends[number] + len(dataset)]
        return {**sample, "img_metas": {**sample["img_metas"], "domain": name}}
