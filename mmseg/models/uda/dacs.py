"""DACS self-training with DAFormer's feature distance.

DACS: Domain Adaptation via Cross-domain Mixed Sampling (Tranheden et al., WACV 2021).
DAFormer: Improving Network Architectures and Training Strategies for Domain-Adaptive Semantic Segmentation
(Hoyer et al., CVPR 2022).
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses, add_prefix
from mmseg.models.uda.parts.class_mix import draw_classes, mix, mix_masks
from mmseg.models.uda.parts.ema_teacher import EMATeacher, PseudoLabel
from mmseg.models.uda.parts.feature_distance import (
    class_table,
    downscale_label_ratio,
    masked_feature_distance,
)
from mmseg.models.uda.parts.strong_augmentation import StrongAugmentation
from mmseg.models.uda.uda_decorator import UDABatch, UDADecorator
from mmseg.registry import MODELS


@MODELS.register_module()
class DACS(UDADecorator):
    """Train on source images and on source classes pasted onto pseudo-labelled target images.

    Args:
        model: The student segmentor.
        alpha: Upper limit of the teacher's EMA momentum (DAFormer eq. 5).
        pseudo_threshold: Confidence from which a target pixel counts (DAFormer eq. 4).
        pseudo_weight_ignore_top: Rows at the top of the crop without trust in pseudo-labels.
        pseudo_weight_ignore_bottom: The same at the bottom.
        imnet_feature_dist_lambda: Weight of the ImageNet feature distance; 0 switches it off (DAFormer eq.
            9).
        imnet_feature_dist_classes: Classes whose features are held; None = every pixel, labelled or not.
        imnet_feature_dist_scale_min_ratio: Share of a feature cell that one class has to cover.
        mix: ``'class'`` (ClassMix) is the only published mode.
        blur: Whether mixed images are blurred in half of the iterations.
        color_jitter_strength: See :class:`StrongAugmentation`.
        color_jitter_probability: As published a threshold: jitter happens in ``1 - value`` of the iterations.
        source_only: Skip teacher and mixing; only the source (and feature distance) losses remain.
        masking: Arguments of :class:`MaskingConsistencyModule` (MIC); None = without.
        data_preprocessor: Moves a batch to the device and normalises it.

    Raises:
        ConfigError: An option is outside its range.
    """

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
        mix: str = "class",
        blur: bool = True,
        color_jitter_strength: float = 0.2,
        color_jitter_probability: float = 0.2,
        source_only: bool = False,
        masking: dict | None = None,
        data_preprocessor: dict | nn.Module | None = None,
    ) -> None:
        super().__init__(model, data_preprocessor)
        if mix != "class":
            raise ConfigError(f"uda: mix={mix!r} is unknown; expected 'class'")
        if imnet_feature_dist_classes is not None and imnet_feature_dist_scale_min_ratio is None:
            raise ConfigError(
                "uda: imnet_feature_dist_classes needs imnet_feature_dist_scale_min_ratio (published: 0.75)"
            )
        unknown = [c for c in imnet_feature_dist_classes or () if not 0 <= c < self.model.num_classes]
        if unknown:
            raise ConfigError(
                f"uda: imnet_feature_dist_classes names {unknown}, but the network has the classes "
                f"0…{self.model.num_classes - 1}; name the thing classes of your data"
            )
        if not isinstance(imnet_feature_dist_lambda, int | float) or imnet_feature_dist_lambda < 0:
            raise ConfigError(
                f"uda: imnet_feature_dist_lambda={imnet_feature_dist_lambda!r}; expected a number from 0 on"
            )
        self.feature_distance_lambda = imnet_feature_dist_lambda
        self.feature_distance_classes = imnet_feature_dist_classes
        # looked up on the device; not a part of published checkpoints
        table = class_table(imnet_feature_dist_classes or ())
        self.register_buffer("distance_classes", table, persistent=False)
        self.feature_distance_min_ratio = imnet_feature_dist_scale_min_ratio or 0.0
        self.strong_augmentation = StrongAugmentation(color_jitter_strength, color_jitter_probability, blur)
        self.teacher: EMATeacher | None = None
        if not source_only:
            self.ema_model: EncoderDecoder = copy.deepcopy(self.model)
            self.teacher = EMATeacher(
                self.ema_model, alpha, pseudo_threshold, pseudo_weight_ignore_top, pseudo_weight_ignore_bottom
            )
            self.teachers.append(self.teacher)
        if masking is not None:
            jitter = dict(
                color_jitter_strength=color_jitter_strength, color_jitter_probability=color_jitter_probability
            )
            self.add_masking(jitter | masking, self.teacher)  # as published, both augment alike
        if self.feature_distance_lambda > 0:
            self.imnet_model: EncoderDecoder = copy.deepcopy(self.model)
            self.imnet_model.requires_grad_(False)

    def objectives(self, batch: UDABatch) -> Iterator[Losses]:
        """Source cross entropy with feature distance, cross entropy on mixed and, with MIC, masked images."""
        yield self.source_objective(batch)
        pseudo = None
        if self.teacher is not None:
            pseudo = self.teacher.label(batch.target_img, batch.valid_pseudo_mask, batch.processes)
            yield self.mixed_objective(batch, pseudo)
        if self.mic is not None:
            yield self.mic.objective(self.model, batch, pseudo, self.data_preprocessor)

    def source_objective(self, batch: UDABatch) -> Losses:
        """Supervised loss (DAFormer eq. 1) and feature distance (eq. 9) in one group: one backward pass for
        both."""
        batch.pictures.update(source=batch.img, source_label=batch.gt_semantic_seg, target=batch.target_img)
        use_distance = self.feature_distance_lambda > 0
        losses, features = self.model.forward_train(
            batch.img, batch.gt_semantic_seg, return_feat=use_distance
        )
        if use_distance:
            losses["src.loss_imnet_feat_dist"] = self.feature_distance_lambda * self.feature_distance(
                batch, features
            )
        return losses

    def feature_distance(self, batch: UDABatch, features: Any) -> Tensor:
        """Distance of the student's features to those of the frozen ImageNet encoder on source images.

        Distances of several scales (HRDA with ``feature_scale='all'``) are added up.
        """
        self.imnet_model.eval()
        with torch.no_grad():
            references = self.imnet_model.reference_features(batch.img, features)
        distances = []
        pairs = zip(self.model.distance_features(features), references, strict=True)
        for (feature, box), reference in pairs:
            label = batch.gt_semantic_seg if box is None else box.of(batch.gt_semantic_seg)
            mask = self.distance_mask(batch, label, feature)
            distances.append(masked_feature_distance(feature, reference, mask, batch.processes))
        return torch.stack(distances).sum()

    def distance_mask(self, batch: UDABatch, label: Tensor, feature: Tensor) -> Tensor | None:
        """(B, h, w) bool, where the label of a feature is one of the chosen classes; None without choice."""
        if self.feature_distance_classes is None:
            return None
        small = downscale_label_ratio(
            label,
            scale=label.shape[-1] // feature.shape[-1],
            min_ratio=self.feature_distance_min_ratio,
            num_classes=self.model.num_classes,
        )
        mask = self.distance_classes[small]
        batch.pictures.setdefault("feature_distance_mask", mask.float())
        return mask

    def mixed_objective(self, batch: UDABatch, pseudo: PseudoLabel) -> Losses:
        """Weighted cross entropy on strongly augmented mixed images (DAFormer eq. 2; DACS alg. 1)."""
        mask = mix_masks(batch.gt_semantic_seg, draw_classes(batch.gt_semantic_seg, batch.processes))
        img = mix(mask, batch.img, batch.target_img)
        label = mix(mask, batch.gt_semantic_seg, pseudo.label)
        weight = mix(mask, torch.ones_like(pseudo.weight), pseudo.weight)
        img = self.strong_augmentation(img, self.data_preprocessor, batch.processes)
        batch.pictures.update(pseudo_label=pseudo.label, mixed=img, mixed_label=label, weight=weight)
        losses, features = self.model.forward_train(img, label, seg_weight=weight, return_feat=True)
        batch.pictures.update(self.model.pictures_of(features))
        return add_prefix(losses, "mix")

    def init_weights(self) -> None:
        """Initialise the student and copy it into the ImageNet branch; the teacher copies it at iteration
        0."""
        super().init_weights()
        if self.feature_distance_lambda > 0:
            self.imnet_model.load_state_dict(self.model.state_dict())
