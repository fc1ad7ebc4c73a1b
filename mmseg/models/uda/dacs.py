"""DACS self-training with DAFormer's feature distance.

DACS: Domain Adaptation via Cross-domain Mixed Sampling (Tranheden et al., WACV 2021).
DAFormer: Improving Network Architectures and Training Strategies for Domain-Adaptive Semantic Segmentation
(Hoyer et al., CVPR 2022).
"""

from collections.abc import Iterator, Sequence

import torch

from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses, add_prefix
from mmseg.models.uda.parts.class_mix import draw_classes, mix, mix_masks
from mmseg.models.uda.parts.ema_teacher import EMATeacher, PseudoLabel
from mmseg.models.uda.parts.feature_distance import FeatureDistance
from mmseg.models.uda.parts.strong_augmentation import StrongAugmentation
from mmseg.models.uda.uda_decorator import UDABatch, UDADecorator
from mmseg.registry import MODELS


@MODELS.register_module()
class DACS(UDADecorator):
    """Train on source images and on source classes pasted onto pseudo-labelled target images.

    In a run with rounds, labels that a round has chosen stand before those of the teacher, with full trust.

    Args:
        model: The student segmentor.
        alpha: Upper limit of the teacher's EMA momentum (DAFormer eq. 5).
        pseudo_threshold: Confidence from which a target pixel counts (DAFormer eq. 4).
        pseudo_weight_ignore_top: Rows at the top of the crop without trust in pseudo-labels.
        pseudo_weight_ignore_bottom: The same at the bottom.
        imnet_feature_dist_lambda: Weight of the ImageNet feature distance, see :class:`FeatureDistance`.
        imnet_feature_dist_classes: Classes whose features are held; None = every pixel, labelled or not.
        imnet_feature_dist_scale_min_ratio: Share of a feature cell that one class has to cover.
        blur: Whether mixed images are blurred in half of the iterations.
        color_jitter_strength: See :class:`StrongAugmentation`.
        color_jitter_probability: As published a threshold: jitter happens in ``1 - value`` of the iterations.
        masking: See :class:`UDADecorator`; masked images are jittered like mixed ones, as published.
        translator: See :class:`UDADecorator`.

    Raises:
        ConfigError: An option is outside its range.
    """

    teacher: EMATeacher
    needs_equal_crops = True

    def __init__(
        self,
        model: dict | EncoderDecoder,
        alpha: float = 0.99,
        pseudo_threshold: float | None = 0.968,
        pseudo_weight_ignore_top: int = 0,
        pseudo_weight_ignore_bottom: int = 0,
        imnet_feature_dist_lambda: float = 0.0,
        imnet_feature_dist_classes: Sequence[int] | None = None,
        imnet_feature_dist_scale_min_ratio: float | None = None,
        blur: bool = True,
        color_jitter_strength: float = 0.2,
        color_jitter_probability: float = 0.2,
        masking: dict | None = None,
        translator: dict | None = None,
    ) -> None:
        jitter = dict(
            color_jitter_strength=color_jitter_strength, color_jitter_probability=color_jitter_probability
        )
        teacher = dict(
            alpha=alpha,
            pseudo_threshold=pseudo_threshold,
            ignore_top=pseudo_weight_ignore_top,
            ignore_bottom=pseudo_weight_ignore_bottom,
        )
        super().__init__(model, masking and {**jitter, **masking}, teacher, translator)
        self.strong_augmentation = StrongAugmentation(**jitter, blur=blur)
        self.feature_distance = FeatureDistance(
            self.model,
            imnet_feature_dist_lambda,
            imnet_feature_dist_classes,
            imnet_feature_dist_scale_min_ratio,
        )
        self.imnet_model = self.frozen_copy() if self.feature_distance.active else None

    def objectives(self, batch: UDABatch) -> Iterator[Losses]:
        """Source cross entropy with feature distance, then cross entropy on mixed images."""
        yield self.source_objective(batch)
        yield self.mixed_objective(batch, batch.labelled_by(self.teacher))

    def source_objective(self, batch: UDABatch) -> Losses:
        """Supervised loss (DAFormer eq. 1) and feature distance (eq. 9) in one group: one backward pass for
        both."""
        batch.show(source=batch.img, source_label=batch.gt_semantic_seg, target=batch.target_img)
        return self.feature_distance.source_losses(batch, self.model, self.imnet_model)

    def mixed_objective(self, batch: UDABatch, pseudo: PseudoLabel) -> Losses:
        """Weighted cross entropy on strongly augmented mixed images (DAFormer eq. 2; DACS alg. 1)."""
        # Mix: half of the source classes onto the target
        chosen = draw_classes(batch.gt_semantic_seg, batch.context)  # (B, 256)
        mask = mix_masks(batch.gt_semantic_seg, chosen)  # (B, H, W)
        img = mix(mask, batch.img, batch.target_img)  # (B, 3, H, W)
        label = mix(mask, batch.gt_semantic_seg, pseudo.label)  # (B, H, W)
        weight = mix(mask, torch.ones_like(pseudo.weight), pseudo.weight)  # (B, H, W)
        img = self.strong_augmentation(img, self.data_preprocessor, batch.context)

        # Student forward and loss
        losses, features = self.model.forward_train(
            img, label, seg_weight=weight, return_feat=batch.wants_pictures
        )
        batch.show(pseudo_label=pseudo.label, mixed=img, mixed_label=label, weight=weight)
        if batch.wants_pictures:
            batch.show(**self.model.pictures_of(features))
        return add_prefix(losses, "mix")
