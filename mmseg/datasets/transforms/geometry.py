"""Transforms that move pixels: resize, crop, flip, pad. Image, label and mask always move together."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import mmcv
import numpy as np
from mmcv.image.geometric import cv2_interp_codes, pillow_interp_codes

from mmseg.datasets.transforms.base import PIXEL_KEYS, Results, Transform
from mmseg.errors import ConfigError
from mmseg.labels import IGNORE_INDEX
from mmseg.registry import TRANSFORMS

INTERPOLATIONS = {"cv2": tuple(cv2_interp_codes), "pillow": tuple(pillow_interp_codes)}
"""Names of mmcv for the ways of resizing that each backend has."""


def _pair(value: Sequence[int] | int, argument: str) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or any(not isinstance(v, int) or v < 1 for v in pair):
        raise ConfigError(f"pipeline: {argument}={value!r}, expected two positive integers")
    return pair


@TRANSFORMS.register_module()
class Resize(Transform):
    """Resize images, by default bilinearly without anti-aliasing, labels and masks to the nearest neighbour.

    Args:
        scale: (width, height) of the box to fit into; which of the two is the longer side does not matter.
        keep_ratio: Keep the aspect ratio and fill the box as far as possible; otherwise resize to exactly
            ``scale``.
        interpolation: Of the image, one of the backend's: ``'bilinear'``, ``'bicubic'``, …
        backend: ``'cv2'``, or ``'pillow'``, which smooths an image that it shrinks, and takes for a label the
            pixel at the centre of the new one instead of its corner.
    """

    def __init__(
        self,
        scale: Sequence[int],
        keep_ratio: bool = True,
        interpolation: str = "bilinear",
        backend: str = "cv2",
    ) -> None:
        self.scale = _pair(scale, "scale")
        self.keep_ratio = keep_ratio
        if interpolation not in INTERPOLATIONS.get(backend, ()):
            raise ConfigError(
                f"pipeline: Resize interpolation={interpolation!r}, backend={backend!r}; expected one of "
                + "; ".join(f"{name}: {', '.join(known)}" for name, known in INTERPOLATIONS.items())
            )
        self.interpolation = interpolation
        self.backend = backend

    def new_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of an image of this size afterwards; a very long, thin one keeps one pixel."""
        size = mmcv.rescale_size((width, height), self.scale) if self.keep_ratio else self.scale
        return max(size[1], 1), max(size[0], 1)

    def __call__(self, results: Results) -> Results:
        height, width = results["img"].shape[:2]
        new_height, new_width = self.new_size(height, width)
        for key in PIXEL_KEYS:
            if key in results and key != "soft_label":
                interpolation = self.interpolation if key == "img" else "nearest"
                results[key] = mmcv.imresize(
                    results[key], (new_width, new_height), interpolation=interpolation, backend=self.backend
                )
        if "soft_label" in results:
            soft = cv2.resize(results["soft_label"], (new_width, new_height))
            results["soft_label"] = _within(results["gt_semantic_seg"], soft)
        results["img_shape"] = (new_height, new_width)
        results["scale_factor"] = (new_width / width, new_height / height)
        return results


def _within(label: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """Interpolated soft labels (H, W, K): of sum 1 again where there is a label (H, W), one-hot where none of
    its neighbours had one, and 0 elsewhere."""
    labelled, total = label != IGNORE_INDEX, soft.sum(axis=2)
    scaled = np.divide(
        soft, total[..., None], out=np.zeros_like(soft), where=(total * labelled)[..., None] > 0
    )
    alone = labelled & (total == 0)
    scaled[alone, label[alone]] = 1
    return scaled


@TRANSFORMS.register_module()
class RandomScale(Transform):
    """Resize by a random factor, images and soft labels bilinearly, all others to the nearest neighbour.

    As in the published training of CRST (Zou et al., ICCV 2019), factors are ``low``, ``low`` + 0.1, … up to
    ``high``, of which floating point leaves the last one out at times (0.8 to 1.2: 0.8, 0.9, 1.0, 1.1). The
    grid of the new pixels has exactly this factor, also where the new size is rounded.

    Args:
        low: Smallest factor.
        high: Largest factor.
    """

    random = True

    def __init__(self, low: float, high: float) -> None:
        if not 0 < low <= high:
            raise ConfigError(f"pipeline: RandomScale low={low}, high={high}; expected 0 < low <= high")
        steps = int((high - low) * 10)
        self.factors = [low + step / 10.0 for step in range(steps + 1)]

    def __call__(self, results: Results) -> Results:
        factor = self.factors[results["rng"].randint(len(self.factors))]
        for key in PIXEL_KEYS:
            if key in results:
                smooth = key in ("img", "soft_label")
                results[key] = cv2.resize(
                    results[key], None, fx=factor, fy=factor,
                    interpolation=cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST,
                )  # fmt: skip
        if "soft_label" in results:
            results["soft_label"] = _within(results["gt_semantic_seg"], results["soft_label"])
        results["img_shape"] = results["img"].shape[:2]
        results["scale_factor"] = (factor, factor)
        return results


@TRANSFORMS.register_module()
class RandomResolution(Resize):
    """Resize to a fixed size, and the image alone, without label, to that size times a random factor.

    The network sees the same part of the scene at another resolution; its logits are compared at the size of
    the label. As in the published training of CLAN (Luo et al., CVPR 2019). The images of a batch have one
    size, so a batch holds one image.

    Args:
        scale: (width, height) of the label, and of the image with factor 1.
        factors: Of the size of the image.
        probabilities: How often each is drawn.
        options: ``interpolation`` and ``backend`` of :class:`Resize`.

    Raises:
        ConfigError: The probabilities do not fit to the factors, or do not add up to 1.
    """

    random = True

    def __init__(
        self,
        scale: Sequence[int],
        factors: Sequence[float] = (0.8, 1.0, 1.1),
        probabilities: Sequence[float] = (0.3, 0.4, 0.3),
        **options: str,
    ) -> None:
        super().__init__(scale, keep_ratio=False, **options)
        if len(factors) != len(probabilities) or abs(sum(probabilities) - 1) > 1e-6 or min(factors) <= 0:
            raise ConfigError(
                f"pipeline: RandomResolution factors={factors!r}, probabilities={probabilities!r}; expected "
                "positive factors, and as many probabilities that add up to 1"
            )
        self.factors, self.probabilities = list(factors), list(probabilities)

    def __call__(self, results: Results) -> Results:
        image, factor = results["img"], results["rng"].choice(self.factors, p=self.probabilities)
        results = super().__call__(results)
        if factor != 1:
            width, height = (int(length * factor) for length in self.scale)
            results["img"] = mmcv.imresize(
                image, (width, height), interpolation=self.interpolation, backend=self.backend
            )
            results["img_shape"] = (height, width)
        return results


def draw_crop(
    size: tuple[int, int], crop_size: tuple[int, int], rng: np.random.RandomState
) -> tuple[slice, slice]:
    """Draw a crop box uniformly: first the row, then the column.

    Args:
        size: (height, width) of the image.
        crop_size: (height, width) of the crop; clipped to the image.
        rng: Source of the two draws.
    """
    top, left = (
        rng.randint(0, max(whole - part, 0) + 1) for whole, part in zip(size, crop_size, strict=True)
    )
    return slice(top, top + crop_size[0]), slice(left, left + crop_size[1])


@TRANSFORMS.register_module()
class RandomCrop(Transform):
    """Crop at a random position, if possible not filled by a single class.

    Args:
        crop_size: (height, width).
        cat_max_ratio: Draw up to ten further boxes until the crop holds more than one class and the largest
            covers less than this share of the labelled pixels; 1 or larger accepts the first box.
    """

    random = True
    redraws = 10

    def __init__(self, crop_size: Sequence[int] | int, cat_max_ratio: float = 1.0) -> None:
        self.crop_size = _pair(crop_size, "crop_size")
        self.cat_max_ratio = cat_max_ratio

    def __call__(self, results: Results) -> Results:
        box = self.draw_box(results)
        for key in PIXEL_KEYS:
            if key in results:
                results[key] = results[key][box]
        results["img_shape"] = results["img"].shape[:2]
        return results

    def draw_box(self, results: Results) -> tuple[slice, slice]:
        """Rows and columns of the crop."""
        rng, size = results["rng"], results["img"].shape[:2]
        box = draw_crop(size, self.crop_size, rng)
        if self.cat_max_ratio < 1 and "gt_semantic_seg" in results:
            for _ in range(self.redraws):
                if self._is_varied(results["gt_semantic_seg"][box]):
                    break
                box = draw_crop(size, self.crop_size, rng)
        return box

    def _is_varied(self, label: np.ndarray) -> bool:
        counts = np.bincount(label.ravel(), minlength=IGNORE_INDEX + 1)[:IGNORE_INDEX]
        return bool(np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < self.cat_max_ratio)


def crop_around(
    center: tuple[int, int], size: tuple[int, int], crop_size: tuple[int, int]
) -> tuple[slice, slice]:
    """Rows and columns of a crop around a pixel, pushed inside the image.

    Args:
        center: (row, column).
        size: (height, width) of the image.
        crop_size: (height, width) of the crop; the larger of the two sides counts.
    """
    top, left = (
        min(max(place - part // 2, 0), max(whole - part, 0))
        for place, whole, part in zip(center, size, crop_size, strict=True)
    )
    return slice(top, top + crop_size[0]), slice(left, left + crop_size[1])


@TRANSFORMS.register_module()
class MiningCrop(RandomCrop):
    """Crop around a pixel of a rare class; at random where there is none.

    As in the published training of CRST (Zou et al., ICCV 2019): of the rare classes of the round that the
    label shows, one is drawn, then one of its pixels, both uniformly. Without rounds, or where the round has
    no rare classes, it is a :class:`RandomCrop`.

    Args:
        crop_size: (height, width).
        probability: How often a rare class is looked for.
        cat_max_ratio: Of the crops at random.
    """

    def __init__(
        self, crop_size: Sequence[int] | int, probability: float = 0.8, cat_max_ratio: float = 1.0
    ) -> None:
        super().__init__(crop_size, cat_max_ratio)
        if not 0 <= probability <= 1:
            raise ConfigError(f"pipeline: MiningCrop probability={probability}, expected one from 0 to 1")
        self.probability = probability

    def draw_box(self, results: Results) -> tuple[slice, slice]:
        """Rows and columns of the crop."""
        rng, label = results["rng"], results.get("gt_semantic_seg")
        if not results.get("rare_classes") or label is None or rng.rand() >= self.probability:
            return super().draw_box(results)
        shown = np.bincount(label.ravel(), minlength=IGNORE_INDEX + 1)
        rare = [c for c in sorted(results["rare_classes"]) if shown[c]]
        if not rare:
            return super().draw_box(results)
        places = np.flatnonzero(label == rare[rng.randint(len(rare))])
        row, column = divmod(int(places[rng.randint(len(places))]), label.shape[1])
        return crop_around((row, column), label.shape, self.crop_size)


@TRANSFORMS.register_module()
class RandomFlip(Transform):
    """Mirror left and right with probability ``prob``."""

    random = True

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ConfigError(f"pipeline: RandomFlip prob={prob}, expected a probability between 0 and 1")
        self.prob = prob

    def __call__(self, results: Results) -> Results:
        results["flip"] = bool(results["rng"].rand() < self.prob)
        if results["flip"]:
            for key in PIXEL_KEYS:
                if key in results:
                    results[key] = results[key][:, ::-1]
        return results


@TRANSFORMS.register_module()
class Pad(Transform):
    """Pad at the bottom and right to at least ``size``.

    Image pixels become 0 here; the data preprocessor sets everything outside ``img_shape`` to 0 again after
    normalising. Labels are padded with 255, the pseudo-label mask (nothing to trust) and soft labels with 0.

    Args:
        size: (height, width).
    """

    fill = {"img": 0, "gt_semantic_seg": IGNORE_INDEX, "valid_pseudo_mask": 0, "soft_label": 0}

    def __init__(self, size: Sequence[int] | int) -> None:
        self.size = _pair(size, "size")

    def __call__(self, results: Results) -> Results:
        height, width = results["img"].shape[:2]
        missing = (max(self.size[0] - height, 0), max(self.size[1] - width, 0))
        if any(missing):
            for key in PIXEL_KEYS:
                if key in results:
                    pixels = results[key]
                    margins = [(0, rows) for rows in (*missing, 0)[: pixels.ndim]]
                    results[key] = np.pad(pixels, margins, constant_values=self.fill[key])
        return results
