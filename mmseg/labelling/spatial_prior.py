"""Where in an image a class is likely to be, learnt from source labels (CBST-SP).

Zou, Yu, Kumar, Wang, ECCV 2018: probabilities are multiplied by how frequent a class is at the position,
smoothed by a Gaussian of 70 x 70 pixels. The published file and script cannot be had any more; how
frequencies are scaled and the width of the Gaussian in its window are not known to be the published ones.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mmseg.checkpoints.atomic import replacing
from mmseg.errors import DataError


@dataclass(frozen=True)
class SpatialPrior:
    """Factor of the probability of each class at each position.

    Attributes:
        values: (K, h, w) float32, not negative; resized bilinearly to the size of an image.
    """

    values: Tensor
    _resized: dict[tuple[int, int], Tensor] = field(default_factory=dict, repr=False, compare=False)

    @property
    def largest(self) -> float:
        """The largest factor."""
        return self.values.max().item()

    @property
    def digest(self) -> str:
        """SHA-256 of the values."""
        return hashlib.sha256(self.values.numpy().tobytes()).hexdigest()

    def weigh(self, probabilities: Tensor) -> Tensor:
        """Probabilities (K, H, W) times the prior; not normalised again.

        Raises:
            DataError: The prior has another number of classes.
        """
        if len(probabilities) != len(self.values):
            raise DataError(
                f"spatial prior of {len(self.values)} classes for probabilities of {len(probabilities)}; "
                "make one from labels with the classes of the network"
            )
        size = (probabilities.shape[1], probabilities.shape[2])
        if size not in self._resized:
            self._resized.clear()  # images mostly have one size
            same = size == tuple(self.values.shape[1:])
            values = self.values if same else interpolate(self.values[None], size, mode="bilinear")[0]
            self._resized[size] = values.to(probabilities.device)
        return probabilities * self._resized[size]

    @classmethod
    def of_labels(
        cls, labels: Iterable[npt.NDArray[np.uint8]], num_classes: int, size: tuple[int, int],
        window: int = 71, sigma: float = 70 / 6,
    ) -> "SpatialPrior":  # fmt: skip
        """The prior of label maps.

        Each class has the mean 1 over all positions, so that no class gains over another as a whole; one that
        never occurs is 0 everywhere.

        Args:
            labels: (H, W) uint8 classes, 255 = ignored; resized to ``size`` by nearest neighbours.
            num_classes: Number of classes K.
            size: (h, w) of the prior.
            window: Width in pixels of the window of the Gaussian, an odd number.
            sigma: Its standard deviation in pixels.

        Raises:
            DataError: There is no labelled pixel.
        """
        height, width = size
        counts = np.zeros((num_classes + 1, height * width), np.int32)
        positions = np.arange(height * width)
        for label in labels:
            resized = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST).ravel()
            counts[np.where(resized < num_classes, resized, num_classes), positions] += 1
        maps = counts[:num_classes].reshape(num_classes, height, width)
        if not maps.any():
            raise DataError("spatial prior: no pixel of the labels has a class; check id_map and ann_dir")
        frequencies = [
            cv2.GaussianBlur(count.astype(np.float64), (window, window), sigma, borderType=cv2.BORDER_REFLECT)
            for count in maps
        ]
        means = [max(frequency.mean(), np.finfo(np.float64).tiny) for frequency in frequencies]
        scaled = np.stack([each / mean for each, mean in zip(frequencies, means, strict=True)])
        return cls(torch.from_numpy(scaled.astype(np.float32)))

    def write(self, path: str | Path, settings: str = "{}") -> None:
        """Write ``prior``, (K, h, w) float32, and as JSON how it was made, as an ``.npz`` file."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, prior=self.values.numpy(), settings=settings)

    @staticmethod
    def settings_of(path: str | Path) -> dict[str, Any]:
        """How the prior of a file was made; empty where that is not known."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                return json.loads(archive["settings"].item())
        except (OSError, ValueError, KeyError, EOFError):
            return {}

    @classmethod
    def read(cls, path: str | Path) -> "SpatialPrior":
        """The prior of a file.

        Raises:
            DataError: It is missing or damaged, or holds something else.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                values = archive["prior"]
            if values.ndim != 3 or not np.issubdtype(values.dtype, np.floating):
                raise ValueError(f"prior of shape {values.shape}, {values.dtype}")
            if not (np.isfinite(values).all() and values.min() >= 0 and values.max() > 0):
                raise ValueError("prior with entries that are negative or not finite, or nothing but 0")
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise DataError(
                f"{path}: is no spatial prior ({error}); expected an .npz file with prior (K, h, w) of "
                "numbers from 0 on; run python tools/make_spatial_prior.py CONFIG PRIOR.npz"
            ) from error
        return cls(torch.from_numpy(values.astype(np.float32)))
