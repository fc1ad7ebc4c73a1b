"""From samples to a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.registry import FUNCTIONS  # the runner looks the name up in the root registry only

from mmseg.errors import DataError


@FUNCTIONS.register_module()
def seg_collate(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Stack tensors along a new first dimension; keep everything else as lists, and join lists.

    Args:
        samples: B samples with the same keys.

    Returns:
        For example ``img`` (B, 3, H, W) uint8 and ``img_metas``, a list of B dicts; with an image of each of
        K sources in a sample ``img`` (B, K, 3, H, W) and B · K dicts.

    Raises:
        DataError: The samples have different sizes.
    """
    batch: dict[str, Any] = {}
    for key in samples[0]:
        values = [sample[key] for sample in samples]
        if not isinstance(values[0], torch.Tensor):
            joined = isinstance(values[0], list)
            batch[key] = [entry for value in values for entry in value] if joined else values
            continue
        if len({value.shape for value in values}) > 1:
            metas = "target_img_metas" if key.startswith("target_") else "img_metas"
            found = ", ".join(f"{_file(sample[metas])} {tuple(sample[key].shape[-2:])}" for sample in samples)
            raise DataError(
                f"{key}: images of different size cannot form a batch (height, width): {found}; add "
                "RandomCrop and Pad to the pipeline, or use batch_size=1"
            )
        batch[key] = torch.stack(values)
    return batch


def _file(metas: dict[str, Any] | list[dict[str, Any]]) -> str:
    """The (first) image of a sample."""
    first = metas[0] if isinstance(metas, list) else metas
    return str(first["img_path"])
