"""Metrics of a user's own, which a config names in ``custom_imports``."""

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from mmseg.evaluation import CountingMetric
from mmseg.registry import METRICS


@METRICS.register_module()
class LabelledShare(BaseMetric):
    """How much of the images is labelled: as mmengine describes a metric, without anything of ours."""

    default_prefix = "own"

    def process(self, data_batch, data_samples):
        self.results += [(sample["gt"] != 255).float().mean() for sample in data_samples]

    def compute_metrics(self, results):
        return {"labelled": torch.stack(results).mean(), "Share.road": np.float32(0.25)}


@METRICS.register_module()
class Images(CountingMetric):
    """Number of images and its square; a table says how many they are."""

    default_prefix = "data"

    def no_counts(self):
        return torch.zeros(1, dtype=torch.int64)

    def count(self, sample):
        return torch.ones(1, dtype=torch.int64)

    def compute_metrics(self, results):
        self.number = int(results[0])
        return {"images": self.number}

    def report(self):
        return {"images_squared": self.number**2, "table": [{"number": self.number, "nothing": np.nan}]}
