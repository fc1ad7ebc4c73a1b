"""FCAN: the representation adaptation network (RAN) of fully convolutional adaptation networks.

Zhang, Qiu, Yao, Liu, Mei, "Fully Convolutional Adaptation Networks for Semantic Segmentation", CVPR 2018.
The authors published no code. The other half, the appearance adaptation network (AAN), makes the images:
:mod:`mmseg.models.translation.style`.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.layers.precision import full_precision
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.parts.encoder_features import feature_channels, last_features
from mmseg.models.uda.parts.gradient_reversal import reverse_gradient
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import UDADecorator
from mmseg.registry import MODELS


@MODELS.register_module()
class FCAN(UDADecorator):
    """Train on source labels; make the encoder's features of the domains alike at several ranges.

    max_F min_D L_adv(S, T) − λ · L_seg(S), with
    L_adv = −E_T[mean log D(F(x))] − E_S[mean log(1 − D(F(x)))], where D is the probability of the
    target. It is a minimax, so the discriminator sees the features through a gradient reversal, and both
    are trained by the student's optimizer, as one solver did.

    Stated in the paper: λ, rates and channels of the discriminator. Chosen here: the discriminator has no
    nonlinearity before its last convolution, and PyTorch's initial weights.

    Args:
        model: The student segmentor.
        lambda_seg: λ.
        dilations: Of the discriminator's parallel convolutions.
        channels: Of each of them.
        masking, translator: See :class:`UDADecorator`.

    Raises:
        ConfigError: An option is outside its range.
    """

    def __init__(
        self,
        model: dict | EncoderDecoder,
        lambda_seg: float = 5.0,
        dilations: Sequence[int] = (1, 2, 3, 4),
        channels: int = 128,
        masking: dict | None = None,
        translator: dict | None = None,
    ) -> None:
        super().__init__(model, translator=translator)
        if lambda_seg < 0 or channels < 1 or not dilations or min(dilations) < 1:
            raise ConfigError(
                f"uda: FCAN has lambda_seg={lambda_seg}, dilations={dilations}, channels={channels}; "
                "expected a weight from 0 on and numbers from 1 on"
            )
        self.lambda_seg = lambda_seg
        self.model_D = ASPPDiscriminator(feature_channels(self.model), dilations, channels)
        self.add_masking(masking)

    def objectives(self, batch: UDABatch) -> Iterator[Losses]:
        """Source loss and the source's part of the adversarial loss, then the target's part."""
        batch.show(source=batch.img, source_label=batch.gt_semantic_seg, target=batch.target_img)
        losses, features = self.model.forward_train(batch.img, batch.gt_semantic_seg, return_feat=True)
        losses = {name: self.lambda_seg * x if "loss" in name else x for name, x in losses.items()}
        yield losses | {"D_src.loss": F.softplus(self.score(features)).mean()}  # −log(1 − D)

        features = self.model.training_features(batch.target_img)
        yield {"D_trg.loss": F.softplus(-self.score(features)).mean()}  # −log D

    def score(self, features: Tensor) -> Tensor:
        """Logits (B, 1, h, w) of the target, with reversed gradients for the encoder."""
        return full_precision(self.model_D(reverse_gradient(last_features(self.model, features))))


class ASPPDiscriminator(nn.Module):
    """Sees each position at several ranges: dilated 3×3 convolutions side by side, merged by a 1×1 one.

    Args:
        in_channels: Channels of the features.
        dilations: One convolution for each.
        channels: Channels of each.
    """

    def __init__(self, in_channels: int, dilations: Sequence[int], channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(in_channels, channels, kernel_size=3, padding=rate, dilation=rate) for rate in dilations
        )
        self.classifier = nn.Conv2d(len(dilations) * channels, 1, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, h, w) to logits (B, 1, h, w)."""
        return self.classifier(torch.cat([branch(features) for branch in self.branches], dim=1))
