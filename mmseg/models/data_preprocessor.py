"""From collated uint8 batches to what the network takes, on the device."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmseg.registry import MODELS

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
OF_SOURCES = {"img", "gt_semantic_seg", "soft_label", "source_domain"}
"""What a batch holds of each of several sources where it has an image of each."""
SIGNED: dict[str, Any] = dict(mean=(127.5,) * 3, std=(127.5,) * 3)
"""Statistics that bring values to [-1, 1], the range of networks that draw images."""


@MODELS.register_module()
class SegDataPreprocessor(BaseDataPreprocessor):
    """Moves a batch to the device and normalises its images there: x = (v − mean) / std for values v in
    0…255.

    Args:
        mean: Mean of the values of each channel, in the order in which the network takes the channels.
        std: Their standard deviations.
        rgb_to_bgr: The network takes blue, green and red instead of red, green and blue.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        rgb_to_bgr: bool = False,
    ) -> None:
        super().__init__(non_blocking=True)
        self.rgb_to_bgr = rgb_to_bgr
        # Not in the state dict: published checkpoints do not know them.
        self.register_buffer(
            "mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1), persistent=False
        )
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1), persistent=False)

    @property
    def statistics(self) -> dict[str, list[float]]:
        """``mean`` and ``std`` of red, green and blue: weights expect what they were trained with."""
        return {"mean": self.mean.flatten().tolist(), "std": self.std.flatten().tolist()}

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """A collated batch on the device.

        ``img`` and ``target_img`` (B, 3, H, W), RGB, become normalised float32; what lies beyond the
        ``img_shape`` of their metas (padding at the right and bottom) becomes 0, the mean colour.
        ``gt_semantic_seg`` and ``target_label`` become int64. Everything else keeps its type. What has an
        entry for each of K sources, as ``img`` (B, K, 3, H, W), becomes one batch of B · K entries, those of
        a sample behind each other.
        """
        device = self.mean.device
        batch: dict[str, Any] = {
            key: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
            for key, value in data.items()
        }
        if isinstance(batch.get("img"), Tensor) and batch["img"].dim() == 5:
            for key in OF_SOURCES & batch.keys():
                batch[key] = batch[key].flatten(0, 1)
        for key in ("img", "target_img"):
            if key in batch:
                batch[key] = self._normalise_batch(batch[key], batch.get(f"{key}_metas"))
        for key in ("gt_semantic_seg", "target_label"):
            if batch.get(key) is not None:
                batch[key] = batch[key].long()
        return batch

    def normalize(self, img: Tensor) -> Tensor:
        """RGB values (B, 3, H, W) in 0…255, of any type, to the network's input."""
        return torch.sub(self._ordered(img), self.mean).div_(self.std)

    def _normalise_batch(self, img: Tensor, metas: Sequence[Mapping[str, Any]] | None) -> Tensor:
        normalised = self.normalize(img)
        for sample, meta in zip(normalised, metas or (), strict=False):
            height, width = meta["img_shape"][:2]
            if (height, width) != tuple(img.shape[2:]):
                sample[:, height:] = 0
                sample[:, :, width:] = 0
        return normalised

    def denormalize(self, img: Tensor) -> Tensor:
        """Normalised (B, 3, H, W) to RGB colours in [0, 1]."""
        return self._ordered((img * self.std + self.mean) / 255)

    def normalize01(self, img: Tensor) -> Tensor:
        """RGB colours (B, 3, H, W) in [0, 1] to the network's input; the inverse of :meth:`denormalize`."""
        return (self._ordered(img) * 255 - self.mean) / self.std

    def _ordered(self, img: Tensor) -> Tensor:
        """From red, green, blue to the network's order of channels, and back."""
        return img.flip(1) if self.rgb_to_bgr else img
