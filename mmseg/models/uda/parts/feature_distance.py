"""Thing-class ImageNet feature distance (DAFormer, Hoyer et al. 2022, sec. 3.3, eq. 8-11)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.labels import IGNORE_INDEX, NUM_LABEL_VALUES
from mmseg.models.layers.precision import full_precision
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.step_context import ONE_PROCESS, StepContext
from mmseg.models.uda.uda_batch import UDABatch


class FeatureDistance(nn.Module):
    """Holds the student's features close to those of a frozen encoder with ImageNet weights.

    The frozen network itself is registered by the method, under its published name ``imnet_model``.

    Args:
        student: Whose classes are named.
        imnet_feature_dist_lambda: Weight of the distance (eq. 9); 0 switches it off.
        imnet_feature_dist_classes: Classes whose features are held; None = every pixel, labelled or not.
        imnet_feature_dist_scale_min_ratio: Share of a feature cell that one class has to cover.

    Raises:
        ConfigError: A class is unknown, the ratio is missing, or the weight is no number from 0 on.
    """

    classes: Tensor

    def __init__(
        self,
        student: EncoderDecoder,
        imnet_feature_dist_lambda: float,
        imnet_feature_dist_classes: Sequence[int] | None,
        imnet_feature_dist_scale_min_ratio: float | None,
    ) -> None:
        super().__init__()
        chosen = imnet_feature_dist_classes
        if chosen is not None and imnet_feature_dist_scale_min_ratio is None:
            raise ConfigError(
                "uda: imnet_feature_dist_classes needs imnet_feature_dist_scale_min_ratio (published: 0.75)"
            )
        unknown = [c for c in chosen or () if not 0 <= c < student.num_classes]
        if unknown:
            raise ConfigError(
                f"uda: imnet_feature_dist_classes names {unknown}, but the network has the classes "
                f"0…{student.num_classes - 1}; name the thing classes of your data"
            )
        if not isinstance(imnet_feature_dist_lambda, int | float) or imnet_feature_dist_lambda < 0:
            raise ConfigError(
                f"uda: imnet_feature_dist_lambda={imnet_feature_dist_lambda!r}; expected a number from 0 on"
            )
        self.imnet_feature_dist_lambda = imnet_feature_dist_lambda
        self.imnet_feature_dist_classes = chosen
        self.imnet_feature_dist_scale_min_ratio = imnet_feature_dist_scale_min_ratio or 0.0
        # looked up on the device; not a part of published checkpoints
        self.register_buffer("classes", class_table(chosen or ()), persistent=False)

    @property
    def active(self) -> bool:
        """Whether there is anything to compute."""
        return self.imnet_feature_dist_lambda > 0

    def source_losses(
        self, batch: UDABatch, student: EncoderDecoder, imnet_model: EncoderDecoder | None
    ) -> Losses:
        """Supervised loss of the student (DAFormer eq. 1) with the distance, which share one backward pass.

        Args:
            batch: Source images and their labels.
            student: The trained network.
            imnet_model: The frozen network; None where the distance is switched off.
        """
        losses, features = student.forward_train(
            batch.img, batch.gt_semantic_seg, return_feat=imnet_model is not None
        )
        if imnet_model is not None:
            losses["src.loss_imnet_feat_dist"] = self(batch, features, student, imnet_model)
        return losses

    def forward(
        self, batch: UDABatch, features: Any, student: EncoderDecoder, imnet_model: EncoderDecoder
    ) -> Tensor:
        """Weighted distance on source images.

        Distances of several scales (HRDA with ``feature_scale='all'``) are added up.

        Args:
            batch: Source images and their labels.
            features: Of the student for these images, as ``forward_train`` returns them.
            student: Says which of its features are compared.
            imnet_model: The frozen network.

        Returns:
            A scalar.
        """
        with torch.no_grad():
            references = imnet_model.reference_features(batch.img, features)
        distances = []
        for (feature, window), reference in zip(student.distance_features(features), references, strict=True):
            label = batch.gt_semantic_seg if window is None else window.of(batch.gt_semantic_seg)
            mask = self.mask(label, feature, student.num_classes)  # (B, h, w)
            if mask is not None:
                batch.show(feature_distance_mask=mask)
            distances.append(masked_feature_distance(feature, reference, mask, batch.context))
        return self.imnet_feature_dist_lambda * torch.stack(distances).sum()

    def mask(self, label: Tensor, feature: Tensor, num_classes: int) -> Tensor | None:
        """(B, h, w) bool, where one of the chosen classes dominates (eq. 10 and 11); None without choice."""
        if self.imnet_feature_dist_classes is None:
            return None
        scale = label.shape[-1] // feature.shape[-1]
        small = downscale_label_ratio(label, scale, self.imnet_feature_dist_scale_min_ratio, num_classes)
        return self.classes[small]


def downscale_label_ratio(label: Tensor, scale: int, min_ratio: float, num_classes: int) -> Tensor:
    """Shrink a label map to the classes that dominate its cells.

    Args:
        label: (B, H, W) int64 in 0…num_classes-1 or 255.
        scale: Edge length of a cell in pixels; incomplete cells at the border are dropped.
        min_ratio: Share of a cell that its most frequent class must cover; otherwise the cell becomes 255.
        num_classes: Number of classes C.

    Returns:
        (B, H // scale, W // scale) int64.
    """
    batch, height, width = label.shape[0], label.shape[1] // scale, label.shape[2] // scale
    cells = label[:, : height * scale, : width * scale].view(batch, height, scale, width, scale)
    cells = cells.transpose(2, 3).reshape(batch, height, width, scale * scale)
    cells = cells.masked_fill(cells == IGNORE_INDEX, num_classes)
    votes = torch.zeros(batch, height, width, num_classes + 1, device=label.device)
    votes.scatter_add_(3, cells, votes.new_ones(()).expand(cells.shape))
    count, winner = votes.max(dim=3)
    undecided = (winner == num_classes) | (count / (scale * scale) < min_ratio)
    return winner.masked_fill(undecided, IGNORE_INDEX)


def class_table(classes: Sequence[int]) -> Tensor:
    """(256,) bool, True for the label values that are one of the classes."""
    table = torch.zeros(NUM_LABEL_VALUES, dtype=torch.bool)
    table[list(classes)] = True
    return table


def masked_feature_distance(
    features: Tensor,
    reference: Tensor,
    mask: Tensor | None = None,
    context: StepContext = ONE_PROCESS,
) -> Tensor:
    """Mean Euclidean distance of feature vectors (eq. 8 and 9).

    Args:
        features: (B, C, h, w) features of the student.
        reference: (B, C, h, w) features of the frozen ImageNet encoder.
        mask: (B, h, w) bool, the positions to average over; None = all. An empty mask gives 0.
        context: Of the step; positions of all its processes are averaged over together.

    Returns:
        A scalar.

    Raises:
        ConfigError: Mask and features differ in size.
    """
    distance = torch.linalg.vector_norm(full_precision(features) - full_precision(reference), dim=1)
    if mask is None:
        return distance.mean()
    if mask.shape != distance.shape:
        raise ConfigError(
            f"feature distance: the label has {tuple(mask.shape[1:])} cells, the features have "
            f"{tuple(distance.shape[1:])}; choose a training crop whose sides are multiples of the encoder's "
            "stride (32 for MiT)"
        )
    count = context.mean(mask.sum().float()).clamp(min=1 / context.world_size)
    return (distance * mask).sum() / count
