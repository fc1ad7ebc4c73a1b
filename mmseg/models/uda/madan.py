"""MADAN: generators of several sources, whose images shall look alike in the target.

Zhao et al., "Multi-source Domain Adaptation for Semantic Segmentation", NeurIPS 2019. Every batch has an
image of each source (``mode="joint"`` of the data). Segmentation is trained afterwards, on translated images.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import nn

from mmseg.checkpoints.generators import TO_SOURCE, TO_TARGET
from mmseg.errors import ConfigError
from mmseg.models.segmentors.encoder_decoder import Losses
from mmseg.models.translation.image_pool import ImagePool
from mmseg.models.uda.cyclegan import DISCRIMINATOR, GENERATOR, TARGET
from mmseg.models.uda.parts.translation_losses import (
    Cycle,
    cycle,
    deceiving,
    discerning,
    pooled,
    same_size,
)
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import Objective, Step, UDADecorator
from mmseg.registry import MODELS


@MODELS.register_module()
class MADAN(UDADecorator):
    """Learn G_i: source i → target and F_i: target → source i for all sources at once.

    Beside the losses of :class:`CycleGAN` for each source, with one discriminator of the target for all, and
    the dynamic semantic consistency, there are

    - sub-domain aggregation (SAD), for each pair (i, j): GAN(D_ij(G_i(s_i)) → "from j"), where D_ij tells
      images of the adapted source i from those of the adapted source j;
    - the cross-domain cycle (CCD), for each i ≠ j: λ_ccd GAN(D_ji(F_i(G_j(s_j))) → real), where D_ji tells
      images of source i from those of source j that went by the target to i.

    Their discriminators are trained from the start; the generators' terms begin later.

    Args:
        generator, discriminator: Configs, as of :class:`CycleGAN`; all networks of a kind are alike.
        sources: Names of the sources, in the order of the data.
        consistency: Name of a source -> config of its ``DynamicConsistency``, whose weight is 4 in the
            paper's runs with both sources. None = without.
        aggregation: Pairs of names (i, j) for SAD. Published: the generator of Synthia is pushed towards GTA,
            never the other way round; None = without.
        lambda_source, lambda_target, lambda_gan_target: See :class:`CycleGAN`.
        lambda_aggregation: Weight of SAD.
        lambda_cross: λ_ccd; 0 = without the cross-domain cycle.
        aggregation_from, cross_from: Iterations from which on the terms of the generators count; published
            are epochs above 5 and above 10.
        gan_loss, pool_size: See :class:`CycleGAN`.

    Raises:
        ConfigError: There are fewer than two sources, or a pair or a consistency names another one.
    """

    has_student: ClassVar[bool] = False

    def __init__(
        self,
        generator: Mapping[str, Any],
        discriminator: Mapping[str, Any],
        sources: Sequence[str],
        consistency: Mapping[str, Mapping[str, Any]] | None = None,
        aggregation: Sequence[Sequence[str]] | None = None,
        lambda_source: float = 1.0,
        lambda_target: float = 1.0,
        lambda_gan_target: float = 2.0,
        lambda_aggregation: float = 1.0,
        lambda_cross: float = 0.2,
        aggregation_from: int = 0,
        cross_from: int = 0,
        gan_loss: str = "LS",
        pool_size: int = 50,
    ) -> None:
        super().__init__(None)
        self.sources, self.pairs = tuple(sources), [tuple(pair) for pair in aggregation or ()]
        named = {name for pair in self.pairs for name in pair} | set(consistency or {})
        if len(set(self.sources)) < 2 or not named <= set(self.sources):
            raise ConfigError(
                f"uda: MADAN has sources={list(self.sources)}, and names {sorted(named)} in aggregation and "
                "consistency; expected two sources at least, and names of these"
            )
        self.lambda_source, self.lambda_target = lambda_source, lambda_target
        self.lambda_gan_target, self.lambda_aggregation = lambda_gan_target, lambda_aggregation
        self.lambda_cross, self.gan_loss = lambda_cross, gan_loss
        self.aggregation_from, self.cross_from = aggregation_from, cross_from
        self.crossings = (
            [(j, i) for j in self.sources for i in self.sources if i != j] if lambda_cross else []
        )

        def build(part: Mapping[str, Any]) -> nn.Module:
            return MODELS.build(dict(part))

        both = (TO_TARGET, TO_SOURCE)
        self.generator: Any = nn.ModuleDict(
            {name: nn.ModuleDict({way: build(generator) for way in both}) for name in self.sources}
        )
        judges = [
            TARGET,
            *self.sources,
            *map("_".join, self.pairs),
            *map("_via_target_".join, self.crossings),
        ]
        self.discriminator = nn.ModuleDict({name: build(discriminator) for name in judges})
        pools = [f"{way}_{name}" for way in both for name in self.sources]
        pools += map("_via_target_".join, self.crossings)
        self.pool = nn.ModuleDict({name: ImagePool(pool_size) for name in pools})
        self.consistency: Any = nn.ModuleDict(
            {name: build(part) for name, part in (consistency or {}).items()}
        )
        self.other_networks |= {GENERATOR: self.generator, DISCRIMINATOR: self.discriminator}

    def objectives(self, batch: UDABatch) -> Iterator[Losses | Objective | Step]:
        """Cycles from the target, cycles from the sources with SAD and CCD, discriminators."""
        parts = {name: batch.of_source(number) for number, name in enumerate(self.sources)}
        back = {}
        for name, part in parts.items():
            from_target = self.cycle_of(name, TO_SOURCE, part)
            yield self.named(name, TO_SOURCE, from_target.losses)
            back[name] = from_target.there.detach()

        there = {name: self.cycle_of(name, TO_TARGET, part) for name, part in parts.items()}
        losses = {
            f"{name}.{TO_TARGET}.{key}": value for name in there for key, value in there[name].losses.items()
        }
        for name, consistency in self.consistency.items():
            reference = consistency.reference(parts[name])
            semantic = consistency.losses(TO_TARGET, reference, there[name].there)
            losses |= {f"{name}.{TO_TARGET}.{key}": value for key, value in semantic.items()}
        begun = batch.progress.iteration >= self.aggregation_from
        for i, j in self.pairs if begun else ():
            deceived = deceiving(self.discriminator[f"{i}_{j}"], there[i].there, self.gan_loss)
            losses[f"{i}_{j}.loss_aggregation"] = self.lambda_aggregation * deceived
        crossed = {}
        for j, i in self.crossings:
            name = f"{j}_via_target_{i}"
            crossed[name] = same_size(self.generator[i][TO_SOURCE](there[j].there), batch.target_img)
            if batch.progress.iteration >= self.cross_from:
                deceived = deceiving(self.discriminator[name], crossed[name], self.gan_loss)
                losses[f"{name}.loss_cross"] = self.lambda_cross * deceived
        yield Objective(losses, GENERATOR)

        drawn = {name: x.there.detach() for name, x in there.items()}
        for name, part in parts.items():
            batch.show(**{f"{name}": part.img, f"{name}_translated": drawn[name],
                          f"{name}_reconstructed": there[name].back.detach()})  # fmt: skip
        batch.show(target=batch.target_img)
        del there

        yield self.discriminators(batch, parts, drawn, back, {k: x.detach() for k, x in crossed.items()})

    def cycle_of(self, name: str, way: str, part: UDABatch) -> Cycle:
        """A cycle that begins in a source, or in the target."""
        to_target = way == TO_TARGET
        generator, other = (
            self.generator[name][way],
            self.generator[name][TO_SOURCE if to_target else TO_TARGET],
        )
        judge = self.discriminator[TARGET if to_target else name]
        return cycle(
            generator,
            other,
            judge,
            part.img if to_target else part.target_img,
            self.lambda_gan_target if to_target else 1.0,
            self.lambda_source if to_target else self.lambda_target,
            self.gan_loss,
        )

    def named(self, name: str, way: str, losses: Losses) -> Objective:
        """Losses of the generators of a source, with its name and the direction in theirs."""
        return Objective({f"{name}.{way}.{key}": value for key, value in losses.items()}, GENERATOR)

    def discriminators(
        self, batch: UDABatch, parts: dict, drawn: dict, back: dict, crossed: dict
    ) -> Objective:
        """Real images against those from the pools, by all discriminators."""

        def judged(judge: str, real: Any, fake: Any, pool: str) -> Any:
            older = pooled(self.pool[pool], fake, batch.context)
            return discerning(self.discriminator[judge], real, older, self.gan_loss)

        losses = {}
        for name, part in parts.items():
            losses[f"D_{name}.loss"] = judged(name, part.img, back[name], f"{TO_SOURCE}_{name}")
        for name in parts:
            of_target = judged(TARGET, batch.target_img, drawn[name], f"{TO_TARGET}_{name}")
            losses[f"D_{TARGET}.loss_{name}"] = of_target
        for i, j in self.pairs:  # as published, through the pool of the target's discriminator
            losses[f"D_{i}_{j}.loss"] = judged(f"{i}_{j}", drawn[j], drawn[i], f"{TO_TARGET}_{i}")
        for name, images in crossed.items():
            real = parts[name.rpartition("_via_target_")[2]].img
            losses[f"D_{name}.loss"] = judged(name, real, images, name)
        return Objective(losses, DISCRIMINATOR)
