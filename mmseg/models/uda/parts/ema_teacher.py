"""The EMA teacher of self-training and its pseudo-labels (mean teacher, Tarvainen and Valpola 2017; DACS,
Tranheden et al. 2021; DAFormer, Hoyer et al. 2022, eq. 2-5)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.labels import IGNORE_INDEX
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder
from mmseg.models.uda.step_context import ONE_PROCESS, StepContext


@dataclass(frozen=True)
class PseudoLabel:
    """Labels for a target batch.

    Attributes:
        label: (B, H, W) int64, the teacher's arg-max.
        weight: (B, H, W) float in [0, 1], the trust in each pixel.
    """

    label: Tensor
    weight: Tensor

    def unless_chosen(self, label: Tensor) -> "PseudoLabel":
        """These labels where ``label`` (B, H, W) has none (255); its own have the weight 1."""
        chosen = label != IGNORE_INDEX
        return PseudoLabel(torch.where(chosen, label, self.label), self.weight.masked_fill(chosen, 1.0))


class EMATeacher:
    """Exponential moving average of a student that labels target images.

    The network itself is registered by whoever owns the teacher, under the published parameter names; this
    class only drives it. It stays in train mode like the student, so batch normalisation uses the statistics
    of the batch, but has no dropout and no drop path, and takes no gradients. Buffers are its own: only
    parameters are averaged.

    Args:
        ema_model: A segmentor of the student's architecture; frozen and freed of dropout here.
        alpha: Upper limit of the EMA momentum; the momentum of iteration t is ``min(1 - 1 / (t + 1),
            alpha)``.
        pseudo_threshold: Soft-max confidence from which a pixel counts as confident; None trusts every pixel.
        ignore_top: Rows of the crop's upper margin whose pseudo-labels are not trusted.
        ignore_bottom: The same for the lower margin (the ego vehicle's bonnet).

    Raises:
        ConfigError: A setting is out of range.
    """

    def __init__(
        self,
        ema_model: EncoderDecoder,
        alpha: float = 0.99,
        pseudo_threshold: float | None = 0.968,
        ignore_top: int = 0,
        ignore_bottom: int = 0,
    ) -> None:
        if not (isinstance(alpha, int | float) and 0 <= alpha <= 1):
            raise ConfigError(f"uda: alpha={alpha!r}; expected an EMA momentum in [0, 1]")
        certain = isinstance(pseudo_threshold, int | float) and 0 <= pseudo_threshold <= 1
        if pseudo_threshold is not None and not certain:
            raise ConfigError(
                f"uda: pseudo_threshold={pseudo_threshold!r}; expected a probability in [0, 1] or None"
            )
        for side, rows in (("top", ignore_top), ("bottom", ignore_bottom)):
            if not isinstance(rows, int) or rows < 0:
                raise ConfigError(
                    f"uda: pseudo_weight_ignore_{side}={rows!r}; expected a number of rows from 0 on"
                )
        self.ema_model = ema_model
        remove_dropout(ema_model)
        ema_model.requires_grad_(False)
        self.alpha = alpha
        self.pseudo_threshold = pseudo_threshold
        self.ignore_top = ignore_top
        self.ignore_bottom = ignore_bottom

    @property
    def margins(self) -> dict[str, int]:
        """Rows without trust, as arguments of another teacher."""
        return dict(ignore_top=self.ignore_top, ignore_bottom=self.ignore_bottom)

    @torch.no_grad()
    def update(self, student: nn.Module, iteration: int) -> None:
        """Move the teacher towards the student; at iteration 0 copy it."""
        momentum = min(1 - 1 / (iteration + 1), self.alpha)
        torch._foreach_lerp_(list(self.ema_model.parameters()), list(student.parameters()), 1 - momentum)

    @torch.no_grad()
    def label(
        self, img: Tensor, valid_mask: Tensor | None = None, context: StepContext = ONE_PROCESS
    ) -> PseudoLabel:
        """Label target images.

        Every pixel gets the same weight: the fraction of confident pixels in the whole batch (DACS, sec.
        3.3); margins and pixels outside ``valid_mask`` get 0 but count in that fraction.

        Args:
            img: (B, 3, H, W) normalised target images without augmentation.
            valid_mask: (B, H, W) bool, False where pseudo-labels are not to be trusted.
            context: Of the step; the batches of all its processes are one batch.

        Raises:
            ConfigError: Margins are given both here and as ``valid_mask``.
        """
        probability, label = self.ema_model.encode_decode(img).softmax(dim=1).max(dim=1)
        return PseudoLabel(label, self.confidence_weight(probability, valid_mask, context))

    def confidence_weight(
        self, probability: Tensor, valid_mask: Tensor | None, context: StepContext
    ) -> Tensor:
        """Trust in each pixel (DAFormer eq. 4), from the (B, H, W) probability of its label."""
        if self.pseudo_threshold is None:
            weight = torch.ones_like(probability)
        else:
            confident = context.mean((probability >= self.pseudo_threshold).to(probability.dtype).mean())
            weight = confident.expand_as(probability).clone()
        if self.ignore_top or self.ignore_bottom:
            if valid_mask is not None:
                raise ConfigError(
                    "uda: pseudo_weight_ignore_top/bottom and the target data set's crop_pseudo_margins "
                    "are both set; choose one"
                )
            weight[:, : self.ignore_top] = 0
            weight[:, max(weight.shape[1] - self.ignore_bottom, 0) :] = 0
        return weight if valid_mask is None else weight * valid_mask


def remove_dropout(model: nn.Module) -> None:
    """Set the probability of every dropout and drop-path layer to 0, in place.

    Layers stay what they are: networks of timm read the probability of their attention's dropout, and have a
    drop path of their own.
    """
    layer: Any
    for layer in model.modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            layer.p = 0.0
        if hasattr(layer, "drop_prob"):
            layer.drop_prob = 0.0
