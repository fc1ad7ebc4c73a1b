"""What generators and discriminators of images are trained on.

Zhu, Park, Isola, Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
ICCV 2017.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.models.layers.precision import full_precision
from mmseg.models.losses.adversarial_loss import adversarial_loss
from mmseg.models.segmentors.encoder_decoder import Losses
from mmseg.models.uda.parts.discriminator import frozen
from mmseg.models.uda.step_context import StepContext

DRAWN, REAL = 0.0, 1.0  # what a discriminator is to say of an image


@dataclass(frozen=True)
class Cycle:
    """Images there and back.

    Attributes:
        there: (B, 3, H, W) images in the look of the other domain, as the losses saw them.
        back: (B, 3, H, W) those in the look of their own domain again.
        losses: ``loss_gan``, how little the discriminator took them for real ones; ``loss_cycle``, how far
            they are from where they started.
    """

    there: Tensor
    back: Tensor
    losses: Losses


def cycle(
    generator: nn.Module,
    generator_back: nn.Module,
    discriminator: nn.Module,
    images: Tensor,
    lambda_gan: float,
    lambda_cycle: float,
    gan_loss: str,
) -> Cycle:
    """λ_gan · GAN(D(G(x)) → real) + λ_cycle · ⟨|F(G(x)) − x|⟩, for the two generators.

    Args:
        generator: G, to the other domain.
        generator_back: F, from there.
        discriminator: D of the other domain; it gets no gradient.
        images: x, (B, 3, H, W) in [-1, 1].
        lambda_gan, lambda_cycle: Weights.
        gan_loss: See :func:`~mmseg.models.losses.adversarial_loss.adversarial_loss`.
    """
    there = same_size(generator(images), images)
    back = same_size(generator_back(there), images)
    return Cycle(
        there,
        back,
        {
            "loss_gan": lambda_gan * deceiving(discriminator, there, gan_loss),
            "loss_cycle": lambda_cycle * distance(back, images),
        },
    )


def same_size(drawn: Tensor, images: Tensor) -> Tensor:
    """What was drawn, (B, 3, h, w), without what its network added at the right and bottom."""
    return drawn[..., : images.shape[2], : images.shape[3]]


def distance(drawn: Tensor, images: Tensor) -> Tensor:
    """⟨|drawn − images|⟩ of images (B, 3, H, W)."""
    return F.l1_loss(full_precision(drawn), images)


def deceiving(discriminator: nn.Module, drawn: Tensor, gan_loss: str) -> Tensor:
    """How little a discriminator, which learns nothing of it, takes images (B, 3, H, W) for real ones."""
    with frozen(discriminator):
        return adversarial_loss(discriminator(drawn), REAL, gan_loss)


def discerning(discriminator: nn.Module, real: Tensor, drawn: Tensor, gan_loss: str) -> Tensor:
    """How badly a discriminator tells real images (B, 3, H, W) from drawn ones, the mean of both halves."""
    of_real = adversarial_loss(discriminator(real), REAL, gan_loss)
    return (of_real + adversarial_loss(discriminator(drawn), DRAWN, gan_loss)) / 2


def pooled(pool: nn.Module, drawn: Tensor, context: StepContext) -> Tensor:
    """The images (B, 3, H, W) or older ones of an :class:`~mmseg.models.translation.ImagePool`. All processes
    fill one pool, of which each has all images."""
    draws = context.rand_for_all(len(drawn), 2, device=drawn.device)
    return context.own(pool(context.gather(drawn), draws))
