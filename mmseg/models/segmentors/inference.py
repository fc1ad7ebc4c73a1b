"""How a segmentation network predicts: whole images, sliding windows, test-time augmentation."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence, Set
from typing import Any, ClassVar

import torch
from mmengine.model import BaseModel
from torch import Tensor

from mmseg.errors import ConfigError
from mmseg.models.layers.resize import resize
from mmseg.models.layers.sliding_window import slide_inference
from mmseg.models.segmentors.test_time_augmentation import TestTimeAugmentation
from mmseg.registry import MODELS


class Inference(BaseModel):
    """A network that gives logits, applied as ``test_cfg`` says.

    Args:
        data_preprocessor: Config of the data preprocessor; by default ImageNet statistics.
        test_cfg: ``dict(mode='whole')``, or ``dict(mode='slide', crop_size=(h, w), stride=(h, w))`` with,
            optionally, ``batched_slide`` (all windows at once) and ``max_windows_per_forward`` (crops in one
            pass). Both take ``augmentation`` (arguments of :class:`TestTimeAugmentation`) and
            ``confidence=True`` (samples carry the probability of the prediction); ``mode='whole'`` takes
            ``resize_once=True``: logits go from the head's stride to the size of the result in one step
            instead of by way of the size of the image.

    Raises:
        ConfigError: ``test_cfg`` is incomplete.
    """

    test_settings: ClassVar[frozenset[str]] = frozenset(
        {
            "augmentation",
            "batched_slide",
            "confidence",
            "crop_size",
            "max_windows_per_forward",
            "mode",
            "resize_once",
            "stride",
        }
    )
    """Entries that ``test_cfg`` may have."""

    def __init__(self, data_preprocessor: dict | None, test_cfg: dict | None) -> None:
        super().__init__(
            data_preprocessor=MODELS.build(data_preprocessor or dict(type="SegDataPreprocessor"))
        )
        self.test_cfg = check_test_cfg(test_cfg or dict(mode="whole"), self.test_settings)
        augmentation = self.test_cfg.get("augmentation")
        self.augmentation = TestTimeAugmentation(**augmentation) if augmentation else None

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """Number of classes."""

    @property
    @abstractmethod
    def align_corners(self) -> bool:
        """Rule of resizing logits, see :func:`~mmseg.models.layers.resize.resize`."""

    def resize_logits(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        """Logits (B, C, h, w) at another size (H, W), by the network's own rule."""
        return resize(logits, size, self.align_corners)

    @abstractmethod
    def encode_decode(self, img: Tensor, upscale_pred: bool = True) -> Tensor:
        """Float32 logits of a normalised image in one pass; see :class:`EncoderDecoder`."""

    @torch.no_grad()
    def predict(self, img: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """Logits as ``test_cfg`` says: of the whole image, or averaged over sliding windows.

        Args:
            img: (B, 3, H, W), normalised.
            size: (H, W) of the result; by default that of the image.

        Returns:
            (B, C, *size) float32.
        """
        if self.test_cfg.get("resize_once"):
            logits = self.encode_decode(img, upscale_pred=False)
        elif self.test_cfg["mode"] == "whole":
            logits = self._infer(img)
        else:
            windows: int | None = None if self.test_cfg.get("batched_slide", False) else 1
            limit = self.test_cfg.get("max_windows_per_forward")
            if windows is None and limit is not None:
                windows = max(1, limit // img.shape[0])
            logits = self._slide(img, self.test_cfg["crop_size"], self.test_cfg["stride"], windows)
        return self.resize_logits(logits, size or img.shape[2:])

    def _infer(self, img: Tensor) -> Tensor:
        """What one pass contributes to a prediction, (B, C, H, W)."""
        return self.encode_decode(img)

    def _slide(
        self, img: Tensor, crop: Sequence[int], stride: Sequence[int], windows_per_forward: int | None
    ) -> Tensor:
        """What sliding windows contribute to a prediction, (B, C, H, W)."""
        return slide_inference(self._infer, img, crop, stride, windows_per_forward)

    @torch.no_grad()
    def predict_probabilities(
        self,
        img: Tensor,
        size: Sequence[int] | None = None,
        flip: bool = False,
        input_sizes: Sequence[Sequence[int]] | None = None,
        average: str = "probabilities",
    ) -> Tensor:
        """Class probabilities, the mean over versions of the image or those of its mean logits.

        Args:
            img: (B, 3, H, W), normalised.
            size: (H, W) of the result; by default that of the image.
            flip: Predict each version for the mirrored image as well.
            input_sizes: (H, W) that the image is resized to, bilinearly; by default its own size alone.
            average: What is averaged, ``probabilities`` or ``logits``.

        Returns:
            (B, C, *size) float32.
        """
        size = size or img.shape[2:]
        total: Tensor | None = None
        for input_size in input_sizes or [img.shape[2:]]:
            version = resize(img, input_size)
            for mirrored in (False, True) if flip else (False,):
                logits = self.predict(version.flip(3) if mirrored else version, size)
                scores = logits if average == "logits" else logits.softmax(dim=1)
                scores = scores.flip(3) if mirrored else scores
                total = scores if total is None else total.add_(scores)
        assert total is not None  # there is at least one version
        total.div_(len(input_sizes or [size]) * (1 + flip))
        return total.softmax(dim=1) if average == "logits" else total

    def _predict_samples(
        self, img: Tensor, img_metas: Sequence[Mapping[str, Any]], gt_semantic_seg: Tensor | None
    ) -> list[dict[str, Any]]:
        samples = []
        alone = self.augmentation is not None or self.test_cfg.get("resize_once")
        maps = img if alone else self.predict(img)
        for index, meta in enumerate(img_metas):
            (height, width), size = meta["img_shape"][:2], meta["ori_shape"][:2]
            content = maps[index : index + 1, :, :height, :width]  # without the padding of a batch
            if self.augmentation is not None:
                sizes = self.augmentation.sizes(height, width, meta["img_path"])
                flip, average = self.augmentation.flip, self.augmentation.average
                scores = self.predict_probabilities(content, size, flip, sizes, average)
                sample = self._sample(scores[0], probabilities=True)
            else:
                if content.device.type == "cpu":  # there, resizing and arg-max take a third of the time so
                    content = content.contiguous(memory_format=torch.channels_last)
                scores = self.predict(content, size) if alone else self.resize_logits(content, size)
                sample = self._sample(scores[0])
            if gt_semantic_seg is not None:
                sample["gt"] = gt_semantic_seg[index]
            samples.append(sample | {key: meta[key] for key in ("img_path", "domain") if key in meta})
        return samples

    def _sample(self, scores: Tensor, probabilities: bool = False) -> dict[str, Tensor]:
        """Prediction (H, W) from the logits or probabilities (C, H, W) of an image."""
        pred = scores.argmax(dim=0)
        sample = dict(pred=pred.to(torch.uint8) if self.num_classes <= 256 else pred)
        if self.test_cfg.get("confidence"):
            best = scores.amax(dim=0)
            sample["confidence"] = best if probabilities else (best - scores.logsumexp(dim=0)).exp()
        return sample


def check_window_limit(place: str, limit: int | None) -> None:
    """Refuse a number of windows that is none.

    Raises:
        ConfigError: It is neither None nor a whole number from 1 on.
    """
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise ConfigError(
            f"{place}: max_windows_per_forward={limit!r}; expected None or a whole number of at least 1"
        )


def check_test_cfg(test_cfg: Mapping[str, Any], known: Set[str]) -> dict[str, Any]:
    """The same dict if it describes a way of inference.

    Args:
        test_cfg: See :class:`EncoderDecoder`.
        known: Entries that the segmentor has.

    Raises:
        ConfigError: The mode is unknown, or sizes of the sliding window are missing or do not cover the
            image.
    """
    mode, unknown = test_cfg.get("mode"), sorted(test_cfg.keys() - known)
    if mode not in ("whole", "slide") or unknown:
        raise ConfigError(
            f"test_cfg: mode={mode!r}, unknown entries {unknown}; expected mode 'whole' or 'slide' "
            f"and at most {sorted(known)}"
        )
    check_window_limit("test_cfg", test_cfg.get("max_windows_per_forward"))
    if mode == "slide":
        if test_cfg.get("resize_once"):
            raise ConfigError(
                "test_cfg: resize_once=True with mode='slide'; windows are joined at the size of the image, "
                "remove resize_once or set mode='whole'"
            )
        crop, stride = test_cfg.get("crop_size", ()), test_cfg.get("stride", ())
        pairs = len(crop) == len(stride) == 2
        if not pairs or not all(0 < step <= length for step, length in zip(stride, crop, strict=True)):
            raise ConfigError(
                f"test_cfg: crop_size={crop}, stride={stride}; mode 'slide' needs two pairs (height, width) "
                "with 0 < stride <= crop_size; set model.test_cfg.crop_size and model.test_cfg.stride"
            )
    return dict(test_cfg)
