"""ROAD: reality oriented adaptation.

Chen, Li, Van Gool, "ROAD: Reality Oriented Adaptation for Semantic Segmentation of Urban Scenes", CVPR 2018.
The authors published no code.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.layers.precision import full_precision
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.parts.encoder_features import feature_channels, last_features
from mmseg.models.uda.parts.feature_distance import masked_feature_distance
from mmseg.models.uda.parts.gradient_reversal import reverse_gradient
from mmseg.models.uda.parts.pixel_discriminator import PixelDiscriminator
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import UDADecorator
from mmseg.registry import MODELS

IS_SOURCE, IS_TARGET = 1.0, 0.0  # what a domain classifier is to say


@MODELS.register_module()
class ROAD(UDADecorator):
    """Train on source labels, with two regularisations of the encoder's last features:

    - Target guided distillation: on target images they stay close to those of a frozen encoder
      with ImageNet weights, in the mean Euclidean distance of their vectors.
    - Spatial-aware adaptation: the image is divided into regions, and a domain classifier of each
      region looks at its features through a gradient reversal. Scenes have a layout, so that a region of one
      domain is like the same region of the other. Training crops should show whole images.

    Stated in the paper: distance and domain classifier per region. Chosen here: 3×3 regions of equal size,
    the sum over the regions of the mean cross entropy of their positions, classifiers of three 1×1
    convolutions, trained by the student's optimizer, and both weights (those of a re-implementation).

    Args:
        model: The student segmentor, with ImageNet weights.
        lambda_distillation: Weight of the distance.
        lambda_spatial: Weight of the reversed gradients; the domain classifiers learn with weight 1.
        regions: Rows and columns of regions.
        discriminator_channels: See :class:`PixelDiscriminator`.
        discriminator_dropout: Its probability of leaving out a channel.
        masking, translator: See :class:`UDADecorator`.

    Raises:
        ConfigError: An option is outside its range.
    """

    def __init__(
        self,
        model: dict | EncoderDecoder,
        lambda_distillation: float = 0.1,
        lambda_spatial: float = 0.01,
        regions: Sequence[int] = (3, 3),
        discriminator_channels: int = 512,
        discriminator_dropout: float = 0.5,
        masking: dict | None = None,
        translator: dict | None = None,
    ) -> None:
        super().__init__(model, translator=translator)
        if min(lambda_distillation, lambda_spatial) < 0 or len(regions) != 2 or min(regions) < 1:
            raise ConfigError(
                f"uda: ROAD has lambda_distillation={lambda_distillation}, lambda_spatial={lambda_spatial}, "
                f"regions={regions}; expected weights from 0 on, and rows and columns from 1 on"
            )
        self.lambda_distillation, self.lambda_spatial = lambda_distillation, lambda_spatial
        self.regions = (regions[0], regions[1])
        self.imnet_model = self.frozen_copy()
        channels = feature_channels(self.model)
        self.model_D = nn.ModuleList(
            PixelDiscriminator(channels, discriminator_channels, 1, discriminator_dropout)
            for _ in range(regions[0] * regions[1])
        )
        self.add_masking(masking)

    def objectives(self, batch: UDABatch) -> Iterator[Losses]:
        """Source loss with the classifiers' source part, then distillation with their target part."""
        batch.show(source=batch.img, source_label=batch.gt_semantic_seg, target=batch.target_img)
        losses, features = self.model.forward_train(batch.img, batch.gt_semantic_seg, return_feat=True)
        yield losses | {"spatial_src.loss": self.spatial_loss(features, IS_SOURCE)}

        features = self.model.training_features(batch.target_img)
        yield {
            "distillation.loss": self.lambda_distillation * self.distance(batch.target_img, features),
            "spatial_trg.loss": self.spatial_loss(features, IS_TARGET),
        }

    def distance(self, img: Tensor, features: Any) -> Tensor:
        """Mean distance of the features of target images from those of the frozen encoder, shape ()."""
        with torch.no_grad():
            references = self.imnet_model.reference_features(img, features)
        own = [feature for feature, _ in self.model.distance_features(features)]
        pairs = zip(own, references, strict=True)
        return torch.stack([masked_feature_distance(*pair) for pair in pairs]).sum()

    def spatial_loss(self, features: Any, label: float) -> Tensor:
        """Cross entropy of the domain classifiers, summed over the regions, shape ()."""
        last = reverse_gradient(last_features(self.model, features), self.lambda_spatial)
        losses = []
        for network, part in zip(self.model_D, divide(last, self.regions), strict=True):
            score = full_precision(network(part))
            losses.append(F.binary_cross_entropy_with_logits(score, torch.full_like(score, label)))
        return torch.stack(losses).sum()


def divide(x: Tensor, regions: tuple[int, int]) -> list[Tensor]:
    """Parts of a (B, C, H, W) map, row by row; sizes differ by one position at most.

    Raises:
        ConfigError: There are more regions than positions.
    """
    if x.shape[2] < regions[0] or x.shape[3] < regions[1]:
        raise ConfigError(
            f"uda: ROAD has regions={regions}, but features of {tuple(x.shape[2:])} positions; lower "
            "uda.regions or train on larger crops"
        )
    rows = x.tensor_split(regions[0], dim=2)
    return [part for row in rows for part in row.tensor_split(regions[1], dim=3)]
