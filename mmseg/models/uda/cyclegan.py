"""CycleGAN: two generators, which draw the images of each domain in the look of the other one.

Zhu, Park, Isola, Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
ICCV 2017. There is no student: segmentation is trained afterwards, on translated images.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from mmseg.checkpoints.generators import TO_SOURCE, TO_TARGET
from mmseg.errors import ConfigError
from mmseg.models.losses.adversarial_loss import GAN_LOSSES
from mmseg.models.segmentors.encoder_decoder import Losses
from mmseg.models.translation.image_pool import ImagePool
from mmseg.models.uda.parts.translation_losses import cycle, discerning, distance, pooled, same_size
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import Objective, Step, UDADecorator
from mmseg.registry import MODELS

GENERATOR, DISCRIMINATOR = "generator", "discriminator"
"""Names of the optimizers."""
SOURCE, TARGET = "source", "target"

Further = Callable[[str, Tensor], Losses]
"""Direction and translated images (B, 3, H, W) -> what else these are to be."""


class Drawn(NamedTuple):
    """Translated images of a step: (B, 3, H, W) in the look of the source and of the target."""

    source: Tensor
    target: Tensor


@MODELS.register_module()
class CycleGAN(UDADecorator):
    """Learn G: source → target and F: target → source from images of both, without pairs.

    The generators minimise, in the names of the log,

    - ``to_target``: λ_gan GAN(D_T(G(s))) + λ_s ⟨|F(G(s)) − s|⟩
    - ``to_source``: GAN(D_S(F(t))) + λ_t ⟨|G(F(t)) − t|⟩
    - ``identity``: λ_idt (λ_t ⟨|G(t) − t|⟩ + λ_s ⟨|F(s) − s|⟩)

    and each discriminator the mean of its errors on real images and on those of a pool. All networks of a
    kind share an optimizer; both step at the end. Values are in [-1, 1].

    Args:
        generator: Config of G, and of F.
        discriminator: Config of D_T, and of D_S.
        lambda_source: λ_s, weight of the cycle that begins in the source.
        lambda_target: λ_t, the same of the target.
        lambda_identity: λ_idt, how much images that have the look already are to stay; 0 = without.
        lambda_gan_target: λ_gan; 2 in CyCADA's and MADAN's published code.
        gan_loss: ``'LS'`` or ``'Vanilla'``.
        pool_size: Of each of the pools, see :class:`~mmseg.models.translation.ImagePool`.

    Raises:
        ConfigError: A weight is negative, or the loss unknown.
    """

    has_student: ClassVar[bool] = False

    def __init__(
        self,
        generator: Mapping[str, Any],
        discriminator: Mapping[str, Any],
        lambda_source: float = 10.0,
        lambda_target: float = 10.0,
        lambda_identity: float = 0.5,
        lambda_gan_target: float = 1.0,
        gan_loss: str = "LS",
        pool_size: int = 50,
    ) -> None:
        super().__init__(None)
        lambdas = (lambda_source, lambda_target, lambda_identity, lambda_gan_target)
        if min(lambdas) < 0:
            raise ConfigError(f"uda: a weight is negative, found lambda_…={lambdas}; expected from 0 on")
        if gan_loss not in GAN_LOSSES:
            raise ConfigError(
                f"uda: gan_loss={gan_loss!r} is unknown; expected one of {', '.join(GAN_LOSSES)}"
            )
        self.lambda_source, self.lambda_target = lambda_source, lambda_target
        self.lambda_identity, self.lambda_gan_target = lambda_identity, lambda_gan_target
        self.gan_loss = gan_loss
        self.generator = nn.ModuleDict({way: MODELS.build(dict(generator)) for way in (TO_TARGET, TO_SOURCE)})
        self.discriminator = nn.ModuleDict({x: MODELS.build(dict(discriminator)) for x in (TARGET, SOURCE)})
        self.pool = nn.ModuleDict({domain: ImagePool(pool_size) for domain in (TARGET, SOURCE)})
        self.other_networks |= {GENERATOR: self.generator, DISCRIMINATOR: self.discriminator}

    def objectives(self, batch: UDABatch) -> Iterator[Losses | Objective | Step]:
        """Both cycles, identity, discriminators."""
        drawn = yield from self.cycles(batch)
        yield self.discriminators(batch, drawn)

    def cycles(self, batch: UDABatch, further: Further = lambda way, drawn: {}) -> Any:
        """What the generators are trained on; one group for each cycle. Returns the translated images."""
        source, target, generator = batch.img, batch.target_img, self.generator
        back = cycle(
            generator[TO_SOURCE], generator[TO_TARGET], self.discriminator[SOURCE], target,
            1.0, self.lambda_target, self.gan_loss,
        )  # fmt: skip
        yield named(TO_SOURCE, back.losses | further(TO_SOURCE, back.there))

        there = cycle(
            generator[TO_TARGET], generator[TO_SOURCE], self.discriminator[TARGET], source,
            self.lambda_gan_target, self.lambda_source, self.gan_loss,
        )  # fmt: skip
        yield named(TO_TARGET, there.losses | further(TO_TARGET, there.there))

        if self.lambda_identity:
            same_target, same_source = generator[TO_TARGET](target), generator[TO_SOURCE](source)
            weights = self.lambda_identity * self.lambda_target, self.lambda_identity * self.lambda_source
            yield named(
                "identity",
                {
                    "loss_target": weights[0] * distance(same_size(same_target, target), target),
                    "loss_source": weights[1] * distance(same_size(same_source, source), source),
                },
            )
        batch.show(
            source=source, translated=there.there.detach(), reconstructed=there.back.detach(), target=target,
            target_translated=back.there.detach(), target_reconstructed=back.back.detach(),
        )  # fmt: skip
        return Drawn(source=back.there.detach(), target=there.there.detach())

    def discriminators(self, batch: UDABatch, drawn: Drawn) -> Objective:
        """Real images against those that were drawn now or some iterations ago."""
        of_target = pooled(self.pool[TARGET], drawn.target, batch.context)
        of_source = pooled(self.pool[SOURCE], drawn.source, batch.context)
        judge = self.discriminator
        losses = {
            "D_target.loss": discerning(judge[TARGET], batch.target_img, of_target, self.gan_loss),
            "D_source.loss": discerning(judge[SOURCE], batch.img, of_source, self.gan_loss),
        }
        return Objective(losses, DISCRIMINATOR)


def named(way: str, losses: Losses) -> Objective:
    """Losses of the generators, with the direction in their names."""
    return Objective({f"{way}.{name}": value for name, value in losses.items()}, GENERATOR)
