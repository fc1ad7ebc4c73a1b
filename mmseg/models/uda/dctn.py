"""DCTN: a classifier for each source; they vote by how well their source is confused with the target.

Xu, Chen, Zuo, Yan, Lin, "Deep Cocktail Network: Multi-source Unsupervised Domain Adaptation with Category
Shift", CVPR 2018. Paper and published code classify images.
"""

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.labels import IGNORE_INDEX
from mmseg.models.layers.precision import full_precision
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses, add_prefix
from mmseg.models.segmentors.voting_encoder_decoder import VotingEncoderDecoder
from mmseg.models.uda.parts.discriminator import DISCRIMINATOR, frozen
from mmseg.models.uda.parts.encoder_features import feature_channels, last_features
from mmseg.models.uda.parts.pixel_discriminator import PixelDiscriminator
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import Objective, UDADecorator
from mmseg.registry import MODELS


def discriminator_loss(source: Tensor, target: Tensor) -> Tensor:
    """L_D = ⟨D(s)²⟩ + ⟨(D(t) − 1)²⟩ of the scores of a discriminator, shape ()."""
    return source.square().mean() + (target - 1).square().mean()


def confusion(source: Tensor, target: Tensor) -> Tensor:
    """½ ⟨(D(s) − ½)²⟩ + ½ ⟨(D(t) − ½)²⟩: the features should leave the discriminator in doubt, shape ()."""
    return ((source - 0.5).square().mean() + (target - 0.5).square().mean()) / 2


def of_hardest(confusions: Tensor, losses: Tensor) -> Tensor:
    """The confusion of the source with the largest L_D, of equal ones the last; both (K,). Nothing waits."""
    last = len(losses) - 1 - losses.flip(0).argmax()
    return confusions.gather(0, last[None])[0]


@MODELS.register_module()
class DCTN(UDADecorator):
    """Two parts alternate:

    - *Discriminative*: the classifier C_j of each source j learns from the labels of its source, and all of
      them from target pixels whose voted probability Σ_j w_j softmax C_j(F(t)) is at least ``threshold``.
    - *Multi-way adversarial*: discriminators D_j tell source j from the target. The encoder F learns
      Σ_j CE_j + ½⟨(D_j(F(s_j)) − ½)²⟩ + ½⟨(D_j(F(t)) − ½)²⟩, the confusion of that source alone whose D_j
      errs most. The classifiers pass gradients on, but rest.

    The weight of a source in the vote, its perplexity, is the sum of L_{D_j} over the last adversarial part:
    where the discriminator fails, source and target look alike. Before the first one all are equal.

    Published: the losses, the choice of one source, the weights as plain sums, the threshold. Chosen here,
    for segmentation: the discriminators, of single positions of the encoder's last features; pixels instead
    of images; labels of the vote as the network is at each step, where the published code labels all images
    at the start of a part; lengths in iterations (there 10 and 5 epochs, eight times); optimizers that go on
    instead of new ones in each part. A run starts with a discriminative part, which no target pixel enters
    before the classifiers are sure.

    Args:
        model: A :class:`VotingEncoderDecoder`.
        num_sources: K; the data give images of each (``mode='joint'``).
        discriminative_iters: Length of a discriminative part.
        adversarial_iters: Length of an adversarial part.
        threshold: Least probability of a target label.
        discriminator_channels: See :class:`PixelDiscriminator`.
        discriminator_dropout: Its probability of leaving out a channel.
        masking, translator: See :class:`UDADecorator`.

    Raises:
        ConfigError: The model has no classifier for each source, or an option is outside its range.
    """

    needs_each_source: ClassVar[bool] = True
    model: VotingEncoderDecoder
    perplexity: Tensor

    def __init__(
        self,
        model: dict | EncoderDecoder,
        num_sources: int = 2,
        discriminative_iters: int = 2000,
        adversarial_iters: int = 1000,
        threshold: float = 0.9,
        discriminator_channels: int = 512,
        discriminator_dropout: float = 0.5,
        masking: dict | None = None,
        translator: dict | None = None,
    ) -> None:
        super().__init__(model, translator=translator)
        found = self.model.num_sources if isinstance(self.model, VotingEncoderDecoder) else 1
        if found != num_sources:
            raise ConfigError(
                f"uda: DCTN with num_sources={num_sources} needs a classifier for each source, found a "
                f"{type(self.model).__name__} with {found}; expected model=dict(type='VotingEncoderDecoder', "
                f"num_sources={num_sources}, ...)"
            )
        if min(discriminative_iters, adversarial_iters) < 1 or not 0 <= threshold <= 1:
            raise ConfigError(
                f"uda: DCTN has discriminative_iters={discriminative_iters}, adversarial_iters="
                f"{adversarial_iters}, threshold={threshold}; expected lengths from 1 on and a probability"
            )
        self.num_sources, self.threshold = num_sources, threshold
        self.lengths = discriminative_iters, adversarial_iters
        channels = feature_channels(self.model)
        self.model_D = nn.ModuleList(
            PixelDiscriminator(channels, discriminator_channels, 1, discriminator_dropout)
            for _ in range(num_sources)
        )
        self.other_networks[DISCRIMINATOR] = self.model_D
        self.register_buffer("perplexity", torch.zeros(num_sources))
        self.add_masking(masking)

    def objectives(self, batch: UDABatch) -> Iterator[Losses | Objective]:
        """A step of the part that the iteration belongs to."""
        batch.show(source=batch.img, source_label=batch.gt_semantic_seg, target=batch.target_img)
        place = batch.progress.iteration % sum(self.lengths)
        if place < self.lengths[0]:
            yield from self.discriminative(batch)
            return
        if place == self.lengths[0]:
            self.perplexity.zero_()
        yield from self.adversarial(batch)
        if place == sum(self.lengths) - 1:
            self.model.source_weights.copy_(self.perplexity / self.perplexity.sum())

    def discriminative(self, batch: UDABatch) -> Iterator[Losses]:
        """Each source for its classifier, then the target's voted labels for all."""
        with torch.no_grad():
            probability, label = self.model.encode_decode(batch.target_img).softmax(dim=1).max(dim=1)
        label = torch.where(probability >= self.threshold, label, IGNORE_INDEX)
        batch.show(target_label=label)
        for number in range(self.num_sources):
            part = batch.of_source(number)
            features = self.model.training_features(part.img)
            losses = self.model.of_source(number, features, part.gt_semantic_seg)
            yield add_prefix(losses, f"source_{number}")

        features = self.model.training_features(batch.target_img)
        losses = {"voted": (label != IGNORE_INDEX).float().mean()}
        for number in range(self.num_sources):
            losses |= add_prefix(self.model.of_source(number, features, label), f"target_{number}")
        yield losses

    def adversarial(self, batch: UDABatch) -> Iterator[Losses | Objective]:
        """The encoder against the discriminators, and these against it; one graph of all domains."""
        target = last_features(self.model, self.model.training_features(batch.target_img))
        seen, confusions, of_discriminators = [], [], []
        losses: Losses = {}
        with frozen(self.model.classifiers), frozen(self.model_D):
            for number in range(self.num_sources):
                part = batch.of_source(number)
                features = self.model.training_features(part.img)
                of_head = self.model.of_source(number, features, part.gt_semantic_seg)
                losses |= add_prefix(of_head, f"source_{number}")
                seen.append(last_features(self.model, features))
                scores = self.score(number, seen[-1]), self.score(number, target)
                confusions.append(confusion(*scores))
                of_discriminators.append(discriminator_loss(*scores).detach())
        total = batch.context.mean(torch.stack(of_discriminators))
        self.perplexity += total
        losses["confusion.loss"] = of_hardest(torch.stack(confusions), total)
        yield losses

        for number, source in enumerate(seen):
            scores = self.score(number, source.detach()), self.score(number, target.detach())
            yield Objective({f"D_{number}.loss": discriminator_loss(*scores)}, DISCRIMINATOR)

    def score(self, number: int, features: Tensor) -> Tensor:
        """Scores (B, 1, h, w) of the discriminator of a source: 0 for the source, 1 for the target."""
        return full_precision(self.model_D[number](features))
