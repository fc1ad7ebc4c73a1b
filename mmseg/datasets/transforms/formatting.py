"""The last step of a pipeline: from arrays to what the data loader stacks."""

from __future__ import annotations

import numpy as np
import torch

from mmseg.datasets.transforms.base import Results, Transform
from mmseg.registry import TRANSFORMS

META_KEYS = ("img_path", "seg_map_path", "name", "ori_shape", "img_shape", "scale_factor", "flip")


def _to_tensor(array: np.ndarray) -> torch.Tensor:
    """A contiguous copy: the array may be a view of an image that is going to be augmented again."""
    return torch.from_numpy(np.array(array, order="C"))


@TRANSFORMS.register_module()
class PackInputs(Transform):
    """Turn a sample into tensors.

    Returns a dict with ``img`` (3, H, W) uint8 RGB, ``gt_semantic_seg`` (H, W) uint8, ``valid_pseudo_mask``
    (H, W) bool and ``soft_label`` (K, H, W) float32 where present, and ``img_metas``, a dict with where the
    sample comes from and what was done to it.
    """

    def __call__(self, results: Results) -> Results:
        sample: Results = {"img": _to_tensor(results["img"].transpose(2, 0, 1))}
        if "gt_semantic_seg" in results:
            sample["gt_semantic_seg"] = _to_tensor(results["gt_semantic_seg"])
        if "valid_pseudo_mask" in results:
            sample["valid_pseudo_mask"] = _to_tensor(results["valid_pseudo_mask"] > 0)
        if "soft_label" in results:
            sample["soft_label"] = _to_tensor(results["soft_label"].transpose(2, 0, 1))
        sample["img_metas"] = {key: results[key] for key in META_KEYS}
        return sample
