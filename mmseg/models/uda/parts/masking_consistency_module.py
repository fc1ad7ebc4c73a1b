"""Masked image consistency.

Hoyer, Dai, Wang, Van Gool, "MIC: Masked Image Consistency for Context-Enhanced Domain Adaptation", CVPR 2023.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses, add_prefix
from mmseg.models.uda.parts.ema_teacher import EMATeacher
from mmseg.models.uda.parts.strong_augmentation import StrongAugmentation
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.registry import MODELS, check_arguments

MODES = ("separate", "separateaug", "separatesrc", "separatesrcaug", "separatetrg", "separatetrgaug")
OWN_TEACHER: dict[str, Any] = {"alpha": 0.999, "pseudo_threshold": 0.968}


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
    own when the method has none or ``teacher`` is given.

    Args:
        student: The method's student; copied when an own teacher is needed.
        mask_mode: Which images are masked: ``separatetrg`` the target's, ``separatesrc`` the source's (with
            their labels), ``separate`` one half of each; ``…aug`` adds colour jitter and blur.
        mask_generator: ``dict(mask_ratio=..., mask_block_size=...)``.
        teacher: ``alpha`` and ``pseudo_threshold`` of a teacher of its own, see :class:`EMATeacher`; by
            default that of the method, or one with 0.999 and 0.968 where the method has none.
        mask_lambda: Weight of the masked loss.
        published_mask_lambda: Weigh ``decode.loss_seg`` alone, as the published code does; otherwise all of
            the masked losses.
        color_jitter_strength: See :class:`StrongAugmentation`.
        color_jitter_probability: See :class:`~mmseg.models.uda.DACS`.
        shared_teacher: The method's teacher; None when it has none.

    Raises:
        ConfigError: An option is unknown or out of range.
    """

    def __init__(
        self,
        student: EncoderDecoder,
        mask_mode: str,
        mask_generator: dict,
        teacher: Mapping[str, Any] | None = None,
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
        self.mask_lambda = mask_lambda
        self.published_mask_lambda = published_mask_lambda
        self.own_teacher: EMATeacher | None = None
        if self.target and (teacher is not None or shared_teacher is None):
            ema_model = copy.deepcopy(student)
            self.teacher = nn.ModuleDict({"ema_model": ema_model})  # the published parameter names
            settings = {**OWN_TEACHER, **(teacher or {})}
            if shared_teacher is not None:
                settings = {**shared_teacher.margins, **settings}
            self.own_teacher = EMATeacher(ema_model, **settings)
        self.labeller = self.own_teacher or shared_teacher

    def objective(self, student: EncoderDecoder, batch: UDABatch) -> Losses:
        """Losses of the student on masked images.

        Raises:
            ConfigError: A mixed mode and a batch of one image.
        """
        # Teacher forward on whole images
        masked = self.compose(batch)

        # Mask
        img = masked.img  # (B, 3, H, W)
        if self.augmentation is not None:
            img = self.augmentation(img, student.data_preprocessor, batch.context)
        img = img * self.generate_mask(img, batch.context)
        batch.show(masked=img)

        # Student forward and loss
        losses, _ = student.forward_train(img, masked.label, seg_weight=masked.weight)
        return add_prefix(self.weigh(losses), "masked")

    def compose(self, batch: UDABatch) -> MaskedBatch:
        """Choose images and labels according to the mode.

        Raises:
            ConfigError: A mixed mode and a batch of one image.
        """
        if not self.target:
            return MaskedBatch(batch.img, batch.gt_semantic_seg, None)
        assert self.labeller is not None  # the module's own, or shared
        pseudo = batch.labelled_by(self.labeller)
        if not self.source or batch.from_target is not None:  # a mixed batch holds both domains already
            return MaskedBatch(batch.target_img, pseudo.label, pseudo.weight)
        size = len(batch.target_img)  # images of several sources may be more
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
        ConfigError: An argument is unknown, missing or of a wrong type.
    """
    check_arguments(MaskingConsistencyModule, arguments, "config: uda.masking.")
    try:
        return MaskingConsistencyModule(student, **arguments, shared_teacher=shared_teacher)
    except TypeError as error:
        raise ConfigError(f"config, uda.masking: {str(error).split('__init__() ')[-1]}") from error
