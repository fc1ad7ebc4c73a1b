"""DACS self-training with DAFormer's feature distance.

DACS: Domain Adaptation via Cross-domain Mixed Sampling (Tranheden et al., WACV 2021).
DAFormer: Improving Network Architectures and Training Strategies for Domain-Adaptive Semantic Segmentation
(Hoyer et al., CVPR 2022).
"""

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses, add_prefix
from mmseg.models.uda.class_mix import draw_classes, mix, mix_masks
from mmseg.models.uda.ema_teacher import EMATeacher, PseudoLabel
from mmseg.models.uda.feature_distance import class_mask, downscale_label_ratio, masked_feature_distance
from mmseg.models.uda.strong_augmentation import StrongAugmentation
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
        data_preprocessor: dict | nn.Module | None = None,
    ) -> None:
        super().__init__(model, data_preprocessor)
        if mix != "class":
            raise ConfigError(f"uda: mix={mix!r} is unknown; expected 'class'")
        if imnet_feature_dist_classes is not None and imnet_feature_dist_scale_min_ratio is None:
            raise ConfigError(
                "uda: imnet_feature_dist_classes needs imnet_feature_dist_scale_min_ratio (published: 0.75)"
            )
        self.feature_distance_lambda = imnet_feature_dist_lambda
        self.feature_distance_classes = imnet_feature_dist_classes
        self.feature_distance_min_ratio = imnet_feature_dist_scale_min_ratio or 0.0
        self.strong_augmentation = StrongAugmentation(color_jitter_strength, color_jitter_probability, blur)
        self.source_only = source_only
        if not source_only:
            self.ema_model: EncoderDecoder = copy.deepcopy(self.model)
            self.teacher = EMATeacher(
                self.ema_model, alpha, pseudo_threshold, pseudo_weight_ignore_top, pseudo_weight_ignore_bottom
            )
            self.teachers.append(self.teacher)
        if self.feature_distance_lambda > 0:
            self.imnet_model: EncoderDecoder = copy.deepcopy(self.model)
            self.imnet_model.requires_grad_(False)

    def objectives(self, batch: UDABatch) -> Iterator[Losses]:
        """Source cross entropy with feature distance, then cross entropy on mixed images."""
        yield self.source_objective(batch)
        if self.source_only:
            return
        pseudo = self.teacher.label(batch.target_img, batch.valid_pseudo_mask)
        yield self.mixed_objective(batch, pseudo)

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

    def feature_distance(self, batch: UDABatch, features: Sequence[Tensor]) -> Tensor:
        """Distance of the student's last features to those of the frozen ImageNet encoder on source
        images."""
        self.imnet_model.eval()
        with torch.no_grad():
            reference = self.imnet_model.extract_feat(batch.img)[-1]
        mask = None
        if self.feature_distance_classes is not None:
            label = downscale_label_ratio(
                batch.gt_semantic_seg,
                scale=batch.gt_semantic_seg.shape[-1] // reference.shape[-1],
                min_ratio=self.feature_distance_min_ratio,
                num_classes=self.model.num_classes,
            )
            mask = class_mask(label, self.feature_distance_classes)
            batch.pictures["feature_distance_mask"] = mask.float()
        return masked_feature_distance(features[-1], reference, mask)

    def mixed_objective(self, batch: UDABatch, pseudo: PseudoLabel) -> Losses:
        """Weighted cross entropy on strongly augmented mixed images (DAFormer eq. 2; DACS alg. 1)."""
        mask = mix_masks(batch.gt_semantic_seg, draw_classes(batch.gt_semantic_seg))
        img = mix(mask, batch.img, batch.target_img)
        label = mix(mask, batch.gt_semantic_seg, pseudo.label)
        weight = mix(mask, torch.ones_like(pseudo.weight), pseudo.weight)
        img = self.strong_augmentation(img, self.data_preprocessor)
        batch.pictures.update(pseudo_label=pseudo.label, mixed=img, mixed_label=label, weight=weight)
        losses, _ = self.model.forward_train(img, label, seg_weight=weight)
        return add_prefix(losses, "mix")

    def init_weights(self) -> None:
        """Initialise the student and copy it into the ImageNet branch; the teacher copies it at iteration
        0."""
        super().init_weights()
        if self.feature_distance_lambda > 0:
            self.imnet_model.load_state_dict(self.model.state_dict())
