"""Data sets and loaders of an old config."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseg.errors import ConfigError
from mmseg.legacy.old_part import OldPart
from mmseg.legacy.pipeline import Normalisation, translate_pipeline

WRAPPERS = ("RepeatDataset", "ConcatDataset", "ClassBalancedDataset")

DATASET_SETTINGS = ("img_suffix", "seg_map_suffix", "classes", "palette", "crop_pseudo_margins")
"""Arguments of data sets that have kept name and meaning."""


class DataTranslator:
    """Translates the ``data`` section; all data sets have to agree in how images are normalised."""

    def __init__(self) -> None:
        self.normalisations: dict[str, Normalisation | None] = {}

    def translate(self, old: OldPart, loaders: dict[str, Any]) -> dict[str, Any]:
        """Today's loaders.

        Args:
            old: The ``data`` section.
            loaders: Loaders without data sets, which are filled in.

        Raises:
            ConfigError: A data set or a transform has no counterpart.
        """
        workers = old.take("workers_per_gpu", 1)
        batch_size = old.take("samples_per_gpu", 1)
        test = {split: old.take(split) for split in ("val", "test")}
        datasets: dict[str, dict[str, Any] | None] = {}
        if "train" in old:
            datasets["train"] = self.training_set(old.part("train"))
        for split, other in (("val", "test"), ("test", "val")):
            found = test[split] or test[other]
            datasets[split] = found and self.test_set(old.inner(found, split))
        old.close()
        settings: dict[str, Any] = {}
        for split, dataset in datasets.items():
            if dataset is None:
                raise ConfigError(f"old config: {old.name('val')} and {old.name('test')} are missing")
            loader = settings[f"{split}_dataloader"] = dict(loaders[f"{split}_dataloader"], dataset=dataset)
            if split == "train":
                loader.update(batch_size=batch_size, num_workers=workers)
            elif workers == 0:  # otherwise their number is of no consequence
                loader.update(num_workers=0)
        return settings

    def training_set(self, old: OldPart) -> dict[str, Any]:
        """What is trained on: one data set, or the pair of an adaptation."""
        if old.values.get("type") != "UDADataset":
            return self.dataset(old, labelled=True)
        dataset: dict[str, Any] = dict(
            type=old.need("type"),
            source=self.dataset(old.part("source"), labelled=True),
            target=self.dataset(old.part("target"), labelled=False),
        )
        sampling = old.part("rare_class_sampling")
        if sampling.values:
            dataset["rare_class_sampling"] = sampling.values
            if sampling.values.get("class_temp") == math.inf:
                sampling.values["class_temp"] = "inf"  # a config file has no word for infinity
        if size := old.take("sync_crop_size"):
            dataset["sync_crop_size"] = tuple(size)
        old.close()
        return dataset

    def dataset(self, old: OldPart, labelled: bool) -> dict[str, Any]:
        """A data set for training.

        Raises:
            ConfigError: It joins or repeats others.
        """
        kind = old.values.get("type")
        if kind in WRAPPERS:
            raise ConfigError(
                f"old config: {old.name('type')}={kind!r} cannot be translated: name the data set that it "
                "holds; its files may lie in sub-folders, and training goes on as long as the runner says"
            )
        steps, place = old.need("pipeline"), old.name("pipeline")
        chosen_by_label = [
            f"{place}.{index}.cat_max_ratio (labels of the target are not read)"
            for index, step in enumerate(steps)
            if not labelled and step.get("cat_max_ratio", 1.0) < 1
        ]
        old.unknown += chosen_by_label
        if not labelled:
            old.ignore("ann_dir")
        dataset = self.finish(old, *translate_pipeline(steps, place, labelled))
        return dataset if labelled else dataset | dict(load_labels=False)

    def test_set(self, old: OldPart) -> dict[str, Any]:
        """A data set for evaluation."""
        pipeline = translate_pipeline(old.need("pipeline"), old.name("pipeline"), test=True)
        return self.finish(old, *pipeline) | dict(test_mode=True)

    def finish(
        self, old: OldPart, transforms: list[dict[str, Any]], normalisation: Normalisation | None
    ) -> dict[str, Any]:
        """Files and classes of a data set, with its translated pipeline.

        Raises:
            ConfigError: The data set is a combination of others, or has a setting without counterpart.
        """
        self.normalisations[old.place] = normalisation
        dataset: dict[str, Any] = dict(type=old.need("type"))
        root = folder(old.take("data_root"))
        if root is not None:
            dataset["data_root"] = root
        for key in ("img_dir", "ann_dir"):
            directory = old.take(key)
            if isinstance(directory, Sequence) and not isinstance(directory, str):
                raise ConfigError(f"old config: {old.name(key)}={directory}, expected one folder")
            if directory is not None:
                dataset[key] = folder(directory)
        if split := old.take("split"):
            dataset["split"] = str(Path(root or "", split))
        dataset |= {key: old.take(key) for key in DATASET_SETTINGS if old.values.get(key) is not None}
        old.ignore("test_mode", *DATASET_SETTINGS)
        old.expect("ignore_index", 255, because="pixels without a class have label 255")
        old.expect("reduce_zero_label", False, because="label 0 is a class; use id_map of the data set")
        old.refuse_rest(f"{dataset['type']} has no such setting")
        return dataset | dict(pipeline=transforms)

    def data_preprocessor(self) -> dict[str, Any] | None:
        """How images are normalised, or None for the statistics of ImageNet.

        Raises:
            ConfigError: The data sets differ.
        """
        from mmseg.models.data_preprocessor import IMAGENET_MEAN, IMAGENET_STD  # takes seconds: loads torch

        places = dict.fromkeys(self.normalisations.values())
        if len(places) > 1:
            raise ConfigError(
                f"old config: Normalize differs between data sets: {self.normalisations}; expected the same "
                "mean and std for all"
            )
        mean, std = next(iter(places), None) or ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        if (mean, std) == (IMAGENET_MEAN, IMAGENET_STD):
            return None
        return dict(type="SegDataPreprocessor", mean=mean, std=std)


def folder(path: str | None) -> str | None:
    """A folder without slash at its end."""
    return path if path is None else path.rstrip("/") or path
