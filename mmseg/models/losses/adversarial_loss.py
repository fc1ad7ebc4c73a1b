"""What discriminators and those who deceive them are trained on."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.models.layers.precision import full_precision

GAN_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "LS": F.mse_loss,
    "Vanilla": F.binary_cross_entropy_with_logits,
}


def adversarial_loss(score: Tensor, label: float, kind: str = "LS") -> Tensor:
    """Mean distance of scores from what they should be, shape ().

    Args:
        score: Logits of a discriminator, any shape.
        label: The domain that they should tell, 0 or 1; of images 1 = real, 0 = generated.
        kind: ``'LS'`` (least squares: Mao et al., "Least Squares Generative Adversarial Networks", ICCV 2017)
            or ``'Vanilla'`` (cross entropy).
    """
    score = full_precision(score)
    return GAN_LOSSES[kind](score, torch.full_like(score, label))
