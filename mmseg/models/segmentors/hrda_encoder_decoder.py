"""The multi-resolution segmentor of HRDA.

Hoyer, Dai, Van Gool, "HRDA: Context-Aware High-Resolution Domain-Adaptive Semantic Segmentation", ECCV 2022.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.decode_heads.hrda_features import HRDAFeatures
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses, add_prefix, resize_logits
from mmseg.models.sliding_window import Window, sliding_windows
from mmseg.registry import MODELS

ENCODER_STRIDE = 32
BATCH_NORMS = (nn.modules.batchnorm._BatchNorm,)


@MODELS.register_module()
class HRDAEncoderDecoder(EncoderDecoder):
    """Sees a large context at low resolution and small details at high resolution.

    In training one detail crop per iteration is drawn, the same for all images of the batch. Pseudo-labels
    and predictions slide a window of the size of the detail crop over the whole image.

    Args:
        scales: Resolution of detail and context relative to the input; the larger one has to be 1.
        hr_crop_size: (h, w) of the detail crop in pixels of the input.
        feature_scale: Which features the feature distance compares: the context scale, or ``'all'`` for both
            scales.
        crop_coord_divisible: Grid of the detail crop's offsets in pixels.
        hr_slide_inference: Slide a detail window at inference; otherwise the detail is the whole input.
        hr_slide_overlapping: Windows overlap by half.
        blur_hr_crop: Ablation: the detail crop shows the input at half resolution.
        max_windows_per_forward: At most so many detail windows of an image go through the network at once.
            Bounds memory and does not change the result: parts that use batch statistics (norms in train
            mode) still take all windows together.
        segmentor: Arguments of :class:`EncoderDecoder`; ``decode_head`` has to be an ``HRDAHead``.

    Raises:
        ConfigError: Scales or feature scale are not as described.
    """

    def __init__(
        self,
        scales: Sequence[float] = (1, 0.5),
        hr_crop_size: Sequence[int] = (512, 512),
        feature_scale: float | str = 0.5,
        crop_coord_divisible: int = 8,
        hr_slide_inference: bool = True,
        hr_slide_overlapping: bool = True,
        blur_hr_crop: bool = False,
        max_windows_per_forward: int | None = None,
        **segmentor: Any,
    ) -> None:
        super().__init__(**segmentor)
        if len(scales) != 2 or max(scales) != 1:
            raise ConfigError(f"HRDAEncoderDecoder: scales={scales}; expected 1 and the scale of the context")
        self.context_scale = min(scales)
        if feature_scale not in (self.context_scale, "all"):
            raise ConfigError(
                f"HRDAEncoderDecoder: feature_scale={feature_scale!r}; expected {self.context_scale} or 'all'"
            )
        self.feature_scale = feature_scale
        self.hr_crop_size = (hr_crop_size[0], hr_crop_size[1])
        self.crop_coord_divisible = crop_coord_divisible
        self.hr_slide_inference = hr_slide_inference
        self.hr_slide_overlapping = hr_slide_overlapping
        self.blur_hr_crop = blur_hr_crop
        self.max_windows_per_forward = max_windows_per_forward

    # ------------------------------------------------------------------ features

    def extract_feat(self, img: Tensor, boxes: Sequence[Window] | None = None) -> HRDAFeatures:
        """Features of the context and of detail crops.

        Args:
            img: (B, 3, H, W).
            boxes: The detail crops, all of one size; by default the sliding windows of inference.
        """
        boxes = list(boxes) if boxes is not None else self.detail_windows(img.shape[2:])
        detail_img = blurred(img) if self.blur_hr_crop else img
        crops = torch.cat([box.of(detail_img) for box in boxes])
        limit = self.max_windows_per_forward
        crops_per_pass = limit * len(img) if limit else None
        context, detail = self._encode(self._context_image(img), crops, crops_per_pass)
        size = (img.shape[2], img.shape[3])
        return HRDAFeatures(context, detail, boxes, size, self.context_scale, crops_per_pass)

    def _encode(
        self, context: Tensor, crops: Tensor, crops_per_pass: int | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Both scales through the encoder: together, one after the other, or in parts of bounded size."""
        encode: Callable[[Tensor], list[Tensor]] = super().extract_feat
        separable = not (self.training and self._encoder_has_batch_norm())  # no sample depends on another
        if separable and context.shape[1:] == crops.shape[1:] and len(crops) == len(context):
            levels = encode(torch.cat([context, crops]))
            return [level[: len(context)] for level in levels], [level[len(context) :] for level in levels]
        if separable and crops_per_pass:
            parts = [encode(part) for part in crops.split(crops_per_pass)]
            return encode(context), [torch.cat(levels) for levels in zip(*parts, strict=True)]
        return encode(context), encode(crops)

    def _encoder_has_batch_norm(self) -> bool:
        encoder = [self.backbone] if self.neck is None else [self.backbone, self.neck]
        return any(isinstance(module, BATCH_NORMS) for part in encoder for module in part.modules())

    def _context_image(self, img: Tensor) -> Tensor:
        if self.context_scale == 1:
            return img
        return F.interpolate(img, scale_factor=self.context_scale, mode="bilinear", align_corners=False)

    def detail_windows(self, size: Sequence[int]) -> list[Window]:
        """The windows of inference: sliding ones, or one that is the whole image."""
        if not self.hr_slide_inference:
            return [Window(0, size[0], 0, size[1])]
        overlap = 2 if self.hr_slide_overlapping else 1
        return sliding_windows(size, self.hr_crop_size, [length // overlap for length in self.hr_crop_size])

    # ------------------------------------------------------------------ training

    def forward_train(
        self,
        img: Tensor,
        gt_semantic_seg: Tensor,
        seg_weight: Tensor | None = None,
        return_feat: bool = False,
    ) -> tuple[Losses, Any]:
        """Losses of a batch with one random detail crop; see the base class."""
        box = draw_detail_crop(img.shape[2:], self.hr_crop_size, self.crop_coord_divisible)
        features = self.extract_feat(img, [box])
        losses = add_prefix(self.decode_head.forward_train(features, gt_semantic_seg, seg_weight), "decode")
        return losses, features if return_feat else None

    def distance_features(self, features: HRDAFeatures) -> list[tuple[Tensor, Window | None]]:
        """Last level of the context and, with feature scale 'all', of the detail crop."""
        pairs: list[tuple[Tensor, Window | None]] = [(features.context[-1], None)]
        if self.feature_scale == "all":
            pairs.append((features.detail[-1], features.boxes[0]))
        return pairs

    def reference_features(self, img: Tensor, features: HRDAFeatures) -> list[Tensor]:
        """The same levels of this network, for the same detail crop."""
        if self.feature_scale == "all":
            return [feature for feature, _ in self.distance_features(self.extract_feat(img, features.boxes))]
        return [super().extract_feat(self._context_image(img))[-1]]

    # ----------------------------------------------------------------- inference

    def encode_decode(self, img: Tensor, upscale_pred: bool = True) -> Tensor:
        """Fused float32 logits of a normalised image of any size; see the base class.

        The image is padded at the bottom and right to the grid of the detail crops, the logits are cut back.
        """
        height, width = img.shape[2:]
        bottom, right = (self._padding(length) for length in (height, width))
        padded = F.pad(img, (0, right, 0, bottom))
        logits = self.decode_head(self.extract_feat(padded)).float()
        if not upscale_pred:
            return logits
        return resize_logits(logits, padded.shape[2:])[:, :, :height, :width]

    def _padding(self, length: int) -> int:
        """What brings an edge to the grid of the crops and the context to the encoder's largest stride."""
        least = math.ceil(ENCODER_STRIDE / self.context_scale)
        return max(least - length, -length % self.crop_coord_divisible)


def draw_detail_crop(size: Sequence[int], crop: Sequence[int], divisible: int) -> Window:
    """A random detail crop.

    As published, offsets are multiples of ``divisible`` and never the largest one (of 0…512: at most 504).
    They are drawn on the host, so nothing waits for the device.

    Args:
        size: (H, W) of the image.
        crop: (h, w) of the crop.
        divisible: Grid of the offsets.

    Raises:
        ConfigError: The crop is larger than the image.
    """
    offsets = []
    for length, span in zip(size, crop, strict=True):
        if span > length:
            raise ConfigError(
                f"HRDA: hr_crop_size={tuple(crop)} is larger than the training crop {tuple(size)}; "
                "reduce hr_crop_size or enlarge the crop of the data pipeline"
            )
        steps = max(1, (length - span + 1) // divisible)
        offsets.append(draw_offset(steps) * divisible)
    (top, left), (height, width) = offsets, crop
    return Window(top, top + height, left, left + width)


def draw_offset(steps: int) -> int:
    """A random number in 0…steps-1 from the host's generator."""
    return int(torch.randint(steps, ()))


def blurred(img: Tensor) -> Tensor:
    """The image at half its resolution, at the same size."""
    small = F.interpolate(img, scale_factor=0.5, mode="bilinear", align_corners=False)
    return F.interpolate(small, img.shape[2:], mode="bilinear", align_corners=False)
