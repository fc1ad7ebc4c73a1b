"""Masked image consistency.

Hoyer, Dai, Wang, Van Gool, "MIC: Masked Image Consistency for Context-Enhanced Domain Adaptation", CVPR 2023.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.data_preprocessor import SegDataPreprocessor
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses, add_prefix
from mmseg.models.uda.parts.ema_teacher import EMATeacher, PseudoLabel
from mmseg.models.uda.parts.strong_augmentation import StrongAugmentation
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.registry import MODELS

MODES = ("separate", "separateaug", "separatesrc", "separatesrcaug", "separatetrg", "separatetrgaug")


@dataclass(frozen=True)
class MaskedBatch:
    """What the student is to predict from masked images.

    Attributes:
        img: (B, 3, H, W) normalised images, not masked yet.
        label: (B, H, W) int64.
        weight: (B, H, W) weights of the pixels; None = 1.
    """

    img: Tensor
    label: Tensor
    weight: Tensor | None


class MaskingConsistencyModule(nn.Module):
    """Trains the student to predict, from a masked image, what is known of the whole image (eq. 6).

    It plugs into any UDA method. Target images are labelled by the method's teacher, or by a teacher of its
    own when the method has none or ``mask_alpha`` or ``mask_pseudo_threshold`` differ from the method's.

    Args:
        student: The method's student; copied when an own teacher is needed.
        mask_mode: Which images are masked: ``separatetrg`` the target's, ``separatesrc`` the source's (with
            their labels), ``separate`` one half of each; ``…aug`` adds colour jitter and blur.
        mask_generator: ``dict(mask_ratio=..., mask_block_size=...)``.
        mask_alpha: EMA momentum of the teacher, or ``'same'`` as the method's.
        mask_pseudo_threshold: Confidence threshold (None = weight 1), or ``'same'``.
        mask_lambda: Weight of the masked loss.
        published_mask_lambda: Weigh ``decode.loss_seg`` alone, as the published code does; otherwise all of
            the masked losses.
        color_jitter_strength: See :class:`StrongAugmentation`.
        color_jitter_probability: See :class:`~mmseg.models.uda.DACS`.
        shared_teacher: Alpha, threshold and margins of the method's teacher; None when it has none.

    Raises:
        ConfigError: An option is unknown, or ``'same'`` refers to a teacher that does not exist.
    """

    def __init__(
        self,
        student: EncoderDecoder,
        mask_mode: str,
        mask_generator: dict,
        mask_alpha: float | str = "same",
        mask_pseudo_threshold: float | str | None = "same",
        mask_lambda: float = 1.0,
        published_mask_lambda: bool = False,
        color_jitter_strength: float = 0.2,
        color_jitter_probability: float = 0.2,
        shared_teacher: EMATeacher | None = None,
    ) -> None:
        super().__init__()
        if mask_mode not in MODES:
            raise ConfigError(
                f"masking: mask_mode={mask_mode!r} is unknown; expected one of {', '.join(MODES)}"
            )
        self.source, self.target = "trg" not in mask_mode, "src" not in mask_mode
        self.augmentation = (
            StrongAugmentation(color_jitter_strength, color_jitter_probability)
            if "aug" in mask_mode
            else None
        )
        self.generate_mask = MODELS.build({"type": "BlockMaskGenerator", **mask_generator})
        if not isinstance(mask_lambda, int | float) or mask_lambda < 0:
            raise ConfigError(f"masking: mask_lambda={mask_lambda!r}; expected a number from 0 on")
        check_same_or_number("mask_alpha", mask_alpha, optional=False)
        check_same_or_number("mask_pseudo_threshold", mask_pseudo_threshold, optional=True)
        self.mask_lambda = mask_lambda
        self.published_mask_lambda = published_mask_lambda
        self.own_teacher: EMATeacher | None = None
        shares = shared_teacher is not None and mask_alpha == mask_pseudo_threshold == "same"
        if self.target and not shares:
            ema_model = copy.deepcopy(student)
            self.teacher = nn.ModuleDict({"ema_model": ema_model})  # the published parameter names
            self.own_teacher = EMATeacher(
                ema_model,
                inherited(mask_alpha, shared_teacher, "alpha"),
                inherited(mask_pseudo_threshold, shared_teacher, "threshold"),
                shared_teacher.ignore_top if shared_teacher else 0,
                shared_teacher.ignore_bottom if shared_teacher else 0,
            )

    def objective(
        self,
        student: EncoderDecoder,
        batch: UDABatch,
        pseudo: PseudoLabel | None,
        colors: SegDataPreprocessor,
    ) -> Losses:
        """Losses of the student on masked images.

        Args:
            student: The method's student.
            batch: Source and target images.
            pseudo: Labels of the method's teacher; used unless the module has a teacher of its own.
            colors: Knows how the images were normalised.
        """
        if self.own_teacher is not None:
            pseudo = self.own_teacher.label(batch.target_img, batch.valid_pseudo_mask, batch.processes)
        masked = self.compose(batch, pseudo)
        img = masked.img
        if self.augmentation is not None:
            img = self.augmentation(img, colors, batch.processes)
        img = img * self.generate_mask(img, batch.processes)
        batch.pictures["masked"] = img
        losses, _ = student.forward_train(img, masked.label, seg_weight=masked.weight)
        return add_prefix(self.weigh(losses), "masked")

    def compose(self, batch: UDABatch, pseudo: PseudoLabel | None) -> MaskedBatch:
        """Choose images and labels according to the mode.

        Raises:
            ConfigError: A mixed mode and a batch of one image.
        """
        if not self.target:
            return MaskedBatch(batch.img, batch.gt_semantic_seg, None)
        assert pseudo is not None  # the teacher is shared or the module's own
        if not self.source:
            return MaskedBatch(batch.target_img, pseudo.label, pseudo.weight)
        size = len(batch.img)
        if size < 2:
            raise ConfigError(
                f"masking: mask_mode 'separate' takes half of the batch from each domain; found a batch of "
                f"{size} image, expected at least 2 (train_dataloader.batch_size)"
            )
        half = size // 2
        return MaskedBatch(
            torch.cat([batch.img[:half], batch.target_img[: size - half]]),
            torch.cat([batch.gt_semantic_seg[:half], pseudo.label[: size - half]]),
            torch.cat([torch.ones_like(pseudo.weight[:half]), pseudo.weight[: size - half]]),
        )

    def weigh(self, losses: Losses) -> Losses:
        """Multiply the losses by ``mask_lambda``."""
        names = ["decode.loss_seg"] if self.published_mask_lambda else [n for n in losses if "loss" in n]
        return {name: v * self.mask_lambda if name in names else v for name, v in losses.items()}


def build_masking(
    student: EncoderDecoder, arguments: dict, shared_teacher: EMATeacher | None
) -> MaskingConsistencyModule:
    """The module of a config.

    Raises:
        ConfigError: An argument is unknown or missing.
    """
    try:
        return MaskingConsistencyModule(student, **arguments, shared_teacher=shared_teacher)
    except TypeError as error:
        raise ConfigError(f"config, uda.masking: {str(error).split('__init__() ')[-1]}") from error


def without_same(masking: dict, alpha: float, pseudo_threshold: float | None) -> dict:
    """Arguments of the module for a method without teacher: the method's values wherever ``'same'`` stands.

    Args:
        masking: Arguments of :class:`MaskingConsistencyModule`.
        alpha: The method's EMA momentum.
        pseudo_threshold: The method's confidence threshold.
    """
    given = {name: value for name, value in masking.items() if value != "same"}
    return dict(mask_alpha=alpha, mask_pseudo_threshold=pseudo_threshold) | given


def check_same_or_number(option: str, value: object, optional: bool) -> None:
    """Refuse what is neither ``'same'`` nor a number in [0, 1] (nor None, where that has a meaning).

    Raises:
        ConfigError: Names the option.
    """
    number = isinstance(value, int | float) and 0 <= value <= 1
    if not (value == "same" or number or (optional and value is None)):
        expected = "'same', a number in [0, 1]" + (" or None" if optional else "")
        raise ConfigError(f"masking: {option}={value!r}; expected {expected}")


def inherited(value: float | str | None, teacher: EMATeacher | None, name: str):
    """A setting, or that of the method's teacher for ``'same'``.

    Raises:
        ConfigError: The method has no teacher.
    """
    if value != "same":
        return value
    if teacher is None:
        option = {"alpha": "mask_alpha", "threshold": "mask_pseudo_threshold"}[name]
        raise ConfigError(f"masking: {option}='same', but the method has no teacher; give a number")
    return getattr(teacher, name)
