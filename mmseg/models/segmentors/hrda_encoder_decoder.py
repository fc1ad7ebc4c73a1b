"""The multi-resolution segmentor of HRDA.

Hoyer, Dai, Van Gool, "HRDA: Context-Aware High-Resolution Domain-Adaptive Semantic Segmentation", ECCV 2022.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmengine.utils.dl_utils import has_batch_norm
from torch import Tensor

from mmseg.errors import ConfigError, TrainingError
from mmseg.models.decode_heads.hrda_features import HRDAFeatures
from mmseg.models.layers.precision import full_precision
from mmseg.models.layers.resize import resize
from mmseg.models.layers.sliding_window import Window, average_windows, sliding_windows
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder
from mmseg.models.segmentors.inference import check_window_limit
from mmseg.models.segmentors.test_time_augmentation import MIN_SIDE
from mmseg.registry import MODELS

HRDA_OUTPUTS = (None, "LR", "HR", "ATT")


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
        crop_coord_divisible: Grid of the detail crop's offsets in pixels; training needs a multiple of the
            head's stride, prediction takes any (the first configs had 1). Where the cells of the context are
            larger (16 pixels for DLV2Head), the attention is off by up to half a cell, as published; a
            multiple of their size is exact.
        hr_slide_inference: Slide a detail window at inference; otherwise the detail is the whole input.
        hr_slide_overlapping: Windows overlap by half.
        blur_hr_crop: Ablation: the detail crop shows the input at half resolution.
        max_windows_per_forward: At most so many detail windows of an image go through the network at once.
            Bounds memory and does not change the result: parts that use batch statistics (norms in train
            mode) still take all windows together.
        segmentor: Arguments of :class:`EncoderDecoder`; ``decode_head`` has to be an ``HRDAHead``.

    In addition to those of :class:`EncoderDecoder`, ``test_cfg`` takes ``hrda_out``: ``LR`` predicts from the
    context alone, ``HR`` from the detail alone, ``ATT`` gives the attention instead of a prediction.

    Raises:
        ConfigError: Scales, feature scale or output are not as described.
    """

    test_settings: ClassVar[frozenset[str]] = EncoderDecoder.test_settings - {"resize_once"} | {"hrda_out"}
    output_scale: ClassVar[float] = 0.5

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
        if len(scales) != 2 or max(scales) != 1 or min(scales) <= 0:
            raise ConfigError(f"HRDAEncoderDecoder: scales={scales}; expected 1 and the scale of the context")
        if self.auxiliary_head is not None:
            raise ConfigError(
                "HRDAEncoderDecoder: auxiliary_head is set; only the HRDAHead takes features of two scales, "
                "remove it"
            )
        self.context_scale = min(scales)
        if feature_scale not in (self.context_scale, "all"):
            raise ConfigError(
                f"HRDAEncoderDecoder: feature_scale={feature_scale!r}; expected {self.context_scale} or 'all'"
            )
        if self.test_cfg.get("hrda_out") not in HRDA_OUTPUTS:
            raise ConfigError(
                f"test_cfg: hrda_out={self.test_cfg['hrda_out']!r}; expected one of {HRDA_OUTPUTS[1:]}"
            )
        if self.test_cfg.get("hrda_out") == "ATT" and self.augmentation is not None:
            raise ConfigError("test_cfg: hrda_out='ATT' with augmentation; attention is not averaged")
        if not isinstance(hr_crop_size, Sequence) or len(hr_crop_size) != 2 or min(hr_crop_size) < 1:
            raise ConfigError(
                f"HRDAEncoderDecoder: hr_crop_size={hr_crop_size!r}; expected (height, width) in pixels"
            )
        check_window_limit("HRDAEncoderDecoder", max_windows_per_forward)
        self.output_stride = self._stride_of_logits()
        overlapping = hr_slide_inference and hr_slide_overlapping
        multiple = self.output_stride * (2 if overlapping else 1)
        if any(length % multiple for length in hr_crop_size):
            raise ConfigError(
                f"HRDAEncoderDecoder: hr_crop_size={tuple(hr_crop_size)}; expected multiples of {multiple}, "
                + (
                    "twice the stride of the decode head, as windows overlap by half"
                    if overlapping
                    else "the stride of the decode head"
                )
            )
        if crop_coord_divisible < 1:
            raise ConfigError(
                f"HRDAEncoderDecoder: crop_coord_divisible={crop_coord_divisible}; expected a positive number"
            )
        self.feature_scale = feature_scale
        self.hr_crop_size = (hr_crop_size[0], hr_crop_size[1])
        self.crop_coord_divisible = crop_coord_divisible
        self.hr_slide_inference = hr_slide_inference
        self.hr_slide_overlapping = hr_slide_overlapping
        self.blur_hr_crop = blur_hr_crop
        self.max_windows_per_forward = max_windows_per_forward

    @torch.no_grad()
    def _stride_of_logits(self) -> int:
        """Pixels per cell of the logits, from the shapes that a small image would have; nothing is computed.

        Raises:
            ConfigError: They are not a whole number, so that logits of detail crops have no exact place.
        """
        values = [*self.parameters(), *self.buffers()]
        without_memory = {id(value): torch.empty_like(value, device="meta") for value in values}
        outline = copy.deepcopy(self, without_memory).eval()
        size = 2 * MIN_SIDE
        features = super(HRDAEncoderDecoder, outline).extract_feat(
            torch.empty(1, 3, size, size, device="meta")
        )
        cells = outline.decode_head.head(features).shape[-1]
        if size % cells:
            raise ConfigError(
                f"HRDAEncoderDecoder: {type(self.decode_head.head).__name__} gives {cells} cells for {size} "
                "pixels; expected a whole number of pixels per cell, choose another backbone or head"
            )
        return size // cells

    # ------------------------------------------------------------------ features

    def extract_feat(self, img: Tensor, windows: Sequence[Window] | None = None) -> HRDAFeatures:
        """Features of the context and of detail crops.

        Args:
            img: (B, 3, H, W).
            windows: Of the detail crops, all of one size; by default the sliding windows of inference.
        """
        windows = list(windows) if windows is not None else self.detail_windows(img.shape[2:])
        detail_img = blurred(img) if self.blur_hr_crop else img
        crops = torch.cat([window.of(detail_img) for window in windows])
        limit = self.max_windows_per_forward
        crops_per_pass = limit * len(img) if limit else None
        context, detail = self._encode(self._context_image(img), crops, crops_per_pass)
        size = (img.shape[2], img.shape[3])
        return HRDAFeatures(context, detail, windows, size, self.context_scale, crops_per_pass)

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
        return any(has_batch_norm(part) for part in encoder)

    def _context_image(self, img: Tensor) -> Tensor:
        return downscaled(img, self.context_scale)

    def detail_windows(self, size: Sequence[int]) -> list[Window]:
        """The windows of inference: sliding ones, or one that is the whole image."""
        if not self.hr_slide_inference:
            return [Window(0, size[0], 0, size[1])]
        overlap = 2 if self.hr_slide_overlapping else 1
        return sliding_windows(size, self.hr_crop_size, [length // overlap for length in self.hr_crop_size])

    # ------------------------------------------------------------------ training

    def training_features(self, img: Tensor) -> HRDAFeatures:
        """Features of the context and of one random detail crop.

        Raises:
            ConfigError: Detail crops would not lie on the cells of the decode head.
        """
        if self.crop_coord_divisible % self.output_stride:
            raise ConfigError(
                f"HRDAEncoderDecoder: crop_coord_divisible={self.crop_coord_divisible}; training needs a "
                f"multiple of {self.output_stride}, the stride of the decode head, set "
                f"model.crop_coord_divisible={max(8, self.output_stride)}"
            )
        return self.extract_feat(img, [self.draw_window(img.shape[2:])])

    def draw_window(self, size: Sequence[int]) -> Window:
        """Where the detail crop of a training pass lies in images of size (H, W)."""
        return draw_detail_window(size, self.hr_crop_size, self.crop_coord_divisible)

    @torch.no_grad()
    def pictures_of(self, features: HRDAFeatures) -> dict[str, Tensor]:
        """``attention``, the weight of the detail.

        Decoded once more, in eval mode: batch statistics and random numbers of the training stay as they are.
        """
        self.decode_head.eval()
        attention = self.decode_head(features, "ATT")
        self.decode_head.train(self.training)
        return dict(attention=attention[:, 0])

    def distance_features(self, features: HRDAFeatures) -> list[tuple[Tensor, Window | None]]:
        """Last level of the context and, with feature scale 'all', of the detail crop."""
        pairs: list[tuple[Tensor, Window | None]] = [(features.context[-1], None)]
        if self.feature_scale == "all":
            pairs.append((features.detail[-1], features.windows[0]))
        return pairs

    def reference_features(self, img: Tensor, features: HRDAFeatures) -> list[Tensor]:
        """The same levels of this network, for the same detail crop."""
        if self.feature_scale == "all":
            own = self.extract_feat(img, features.windows)
            return [feature for feature, _ in self.distance_features(own)]
        return [super().extract_feat(self._context_image(img))[-1]]

    # ----------------------------------------------------------------- inference

    def encode_decode(self, img: Tensor, upscale_pred: bool = True, output: str | None = None) -> Tensor:
        """Fused float32 logits of a normalised image of any size; see the base class.

        The image is padded at the bottom and right to the grid of the detail crops, the logits are cut back.

        Args:
            img: (B, 3, H, W).
            upscale_pred: Resize to (H, W) bilinearly.
            output: ``LR``, ``HR`` or ``ATT`` instead of the fused logits; see
                :meth:`~mmseg.models.decode_heads.HRDAHead.forward`.

        Raises:
            TrainingError: In training with gradients, where all windows of detail would be kept in memory.
        """
        if self.training and torch.is_grad_enabled():
            raise TrainingError(
                "HRDAEncoderDecoder: encode_decode slides the detail over the whole image and is called in "
                "training with gradients; train on forward_outputs(img), which sees one detail crop, or "
                "predict under torch.no_grad()"
            )
        height, width = img.shape[2:]
        bottom, right = (self._padding(length) for length in (height, width))
        padded = F.pad(img, (0, right, 0, bottom))
        logits = full_precision(self.decode_head(self.extract_feat(padded), output))
        if not upscale_pred:
            return logits
        return self.resize_logits(logits, padded.shape[2:])[:, :, :height, :width]

    def _infer(self, img: Tensor) -> Tensor:
        return self.encode_decode(img, output=self.test_cfg.get("hrda_out"))

    def _slide(
        self, img: Tensor, crop: Sequence[int], stride: Sequence[int], windows_per_forward: int | None
    ) -> Tensor:
        """As the base class, but what several windows see of the detail is computed once.

        A detail crop is seen alone, so its logits do not depend on the window it belongs to; not so in train
        mode, or where the window is padded or blurred beyond the crop.
        """
        windows = sliding_windows(img.shape[2:], crop, stride)
        size = (windows[0].bottom - windows[0].top, windows[0].right - windows[0].left)
        padded = any(self._padding(length) for length in size)
        if self.training or padded or self.blur_hr_crop or not self.hr_slide_inference:
            return super()._slide(img, crop, stride, windows_per_forward)
        details = self.detail_windows(size)
        places = {
            window: [detail.shifted(window.top, window.left) for detail in details] for window in windows
        }
        known = self._detail_logits(img, sorted({place for inner in places.values() for place in inner}))

        def logits_of(chunk: Sequence[Window]) -> Tensor:
            crops = torch.cat([window.of(img) for window in chunk])
            context = super(HRDAEncoderDecoder, self).extract_feat(self._context_image(crops))
            detail = torch.cat(
                [known[places[window][index]] for index in range(len(details)) for window in chunk]
            )
            features = HRDAFeatures(context, [], details, size, self.context_scale, detail_logits=detail)
            logits = full_precision(self.decode_head(features, self.test_cfg.get("hrda_out")))
            return self.resize_logits(logits, size)

        return average_windows(logits_of, img.shape[2:], windows, windows_per_forward)

    def _detail_logits(self, img: Tensor, windows: Sequence[Window]) -> dict[Window, Tensor]:
        """Logits (B, C, h, w) of detail crops, as many in one pass as an input of this network has."""
        at_once = self.max_windows_per_forward or len(self.detail_windows(self.test_cfg["crop_size"]))
        logits: dict[Window, Tensor] = {}
        for start in range(0, len(windows), at_once):
            chunk = windows[start : start + at_once]
            levels = super().extract_feat(torch.cat([window.of(img) for window in chunk]))
            of_crops = self.decode_head.head(levels).unflatten(0, (len(chunk), -1))
            logits.update(zip(chunk, of_crops, strict=True))
        return logits

    def _sample(self, scores: Tensor, probabilities: bool = False) -> dict[str, Tensor]:
        """Prediction of an image, or its ``attention`` (H, W) in [0, 1]; see the base class."""
        if self.test_cfg.get("hrda_out") == "ATT":
            return dict(attention=scores[0])
        return super()._sample(scores, probabilities)

    def _padding(self, length: int) -> int:
        """What brings an edge to the grid of crops and head, the context to the encoder's largest stride."""
        grid = math.lcm(self.crop_coord_divisible, self.output_stride)
        least = max(length, math.ceil(MIN_SIDE / self.context_scale))
        return math.ceil(least / grid) * grid - length


def draw_offset(steps: int) -> int:
    """A random number in 0…steps-1; on the host, so that nothing waits for the device."""
    return int(torch.randint(steps, ()))


def draw_detail_window(
    size: Sequence[int],
    crop: Sequence[int],
    divisible: int,
    draw: Callable[[int], int] = draw_offset,
) -> Window:
    """Where a random detail crop lies.

    As published, offsets are multiples of ``divisible`` and never the largest one (of 0…512: at most 504).

    Args:
        size: (H, W) of the image.
        crop: (h, w) of the crop.
        divisible: Grid of the offsets.
        draw: Gives a random number in 0…n-1 for n.

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
        offsets.append(draw(max(1, (length - span + 1) // divisible)) * divisible)
    (top, left), (height, width) = offsets, crop
    return Window(top, top + height, left, left + width)


def blurred(img: Tensor) -> Tensor:
    """The image at half its resolution, at the same size."""
    return resize(downscaled(img, 0.5), img.shape[2:])


def downscaled(img: Tensor, factor: float) -> Tensor:
    """The image resized by a factor, with its pixels at the places that the factor gives, as published.

    Where a side times the factor is no whole number, resizing to the size puts them elsewhere.
    """
    if factor == 1:
        return img
    return F.interpolate(img, scale_factor=factor, mode="bilinear", align_corners=False)
