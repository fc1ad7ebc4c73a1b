"""What metrics have in common that are made of counted pixels."""

import copy
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import mmengine.dist as dist
import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmseg.errors import DataError


class CountingMetric(BaseMetric):
    """A metric of integer counts, which are added up where the predictions are.

    Memory does not depend on the number of images, nothing waits for the device, and the processes of a
    distributed evaluation add their counts, so the result is that of one process. A subclass says how the
    counts of no image look (:meth:`no_counts`), how an image is counted (:meth:`count`) and what follows from
    the sum (``compute_metrics``, which gets it as the only entry of ``results``, in every process).

    If the data set names ``domains`` in its metainfo, the images of each are counted apart. The scores are
    then the means over the domains, and those of each domain with its name, as ``fog/mIoU``.

    See :mod:`mmseg.evaluation.report` for what becomes of the numbers of a metric.

    Attributes:
        of_domains: Name of the domain -> this metric of the domain alone, after an evaluation of several.
    """

    default_prefix = ""

    def __init__(self) -> None:
        super().__init__()
        self.of_domains: dict[str, CountingMetric] = {}
        self._reset()

    def _reset(self) -> None:
        self._images = 0
        self._counts: dict[str, Tensor] = {}
        self._last: tuple[str, Tensor] | None = None

    @abstractmethod
    def no_counts(self) -> Tensor:
        """Zeros of the shape of the counts."""

    @abstractmethod
    def count(self, sample: Mapping[str, Any]) -> Tensor:
        """Counts of one image, int64, on the device of its prediction.

        Args:
            sample: ``pred`` (H, W), ``gt`` (H, W) where there are labels, ``confidence`` (H, W) with
                ``model.test_cfg.confidence``, ``img_path``, and of several domains ``domain``.
        """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the images of a batch.

        Raises:
            DataError, ConfigError: See :meth:`count`.
        """
        for sample in data_samples:
            domain = sample["domain"] if len(self._domains) > 1 else self._domains[0]
            counts = self.count(sample)
            before = self._counts.get(domain, self.no_counts())
            self._counts[domain] = before.to(counts.device, non_blocking=True) + counts
            self._last = domain, counts
            self._images += 1

    def evaluate(self, size: int) -> dict[str, float]:
        """Sum over all processes and compute the scores. All processes return the same.

        Args:
            size: Number of images of the data set. Samplers repeat images until every process has equally
                many; repeated ones are left out.
        """
        if self._last is not None and is_last_repeated(self._images, size):
            domain, counts = self._last
            self._counts[domain] = self._counts[domain] - counts
        found = [self._counts.get(domain, self.no_counts()) for domain in self._domains]
        for counts in found:
            dist.all_reduce(counts)
        scores = self._scores_of(found)
        self._reset()
        return {f"{self.prefix}/{name}": score for name, score in scores.items()} if self.prefix else scores

    @property
    def _domains(self) -> tuple[str, ...]:
        """Names of the domains; a single one has none."""
        return tuple((self.dataset_meta or {}).get("domains", ("",)))

    def _scores_of(self, counts: list[Tensor]) -> dict[str, float]:
        """Scores of the counts of each domain; what this metric keeps is of all images together."""
        self.of_domains = {}
        if len(counts) == 1:
            return self.compute_metrics(counts)
        scores = {}
        for domain, of_domain in zip(self._domains, counts, strict=True):
            part = copy.copy(self)
            scores[domain] = part.compute_metrics([of_domain])
            self.of_domains[domain] = part
        self.compute_metrics([torch.stack([each.cpu() for each in counts]).sum(dim=0)])
        return over_domains(scores)


def over_domains(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Mean of each number over the domains that have it, by its name, and behind them each value with the
    name of its domain, as ``fog/mIoU``."""
    numbers: dict[str, list[float]] = {}
    for of_domain in values.values():
        for name, value in of_domain.items():
            if isinstance(value, int | float):
                numbers.setdefault(name, []).extend([] if math.isnan(value) else [value])
    means = {name: sum(found) / len(found) if found else math.nan for name, found in numbers.items()}
    named = {f"{domain}/{name}": value for domain, scores in values.items() for name, value in scores.items()}
    return means | named


def is_last_repeated(own_images: int, size: int) -> bool:
    """Whether the last image of this process was only added to give all processes equally many.

    Samplers deal images out in turns, so that process r of n has images r, r + n, r + 2n, ….

    Args:
        own_images: Images that this process has seen.
        size: Number of images of the data set.
    """
    processes = dist.get_world_size()
    return processes > 1 and own_images > math.ceil((size - dist.get_rank()) / processes)


def label_of(sample: Mapping[str, Any]) -> Tensor:
    """The label (H, W) of a prediction.

    Raises:
        DataError: There is none, or it has another size.
    """
    pred, gt, path = sample["pred"], sample.get("gt"), sample["img_path"]
    if gt is None:
        raise DataError(
            f"{path}: there is no label to score the prediction with; set ann_dir of the test set, "
            "or write predictions only, with tools/test.py --format-only or demo/image_demo.py"
        )
    if pred.shape != gt.shape:
        raise DataError(
            f"{path}: prediction of size {tuple(pred.shape)}, label of size {tuple(gt.shape)}; "
            "image and label file must have the same height and width"
        )
    return gt.to(pred.device, non_blocking=True)
