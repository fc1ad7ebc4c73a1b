"""AdvSeg: adversarial adaptation of the output space.

Tsai, Hung, Schulter, Sohn, Yang, Chandraker, "Learning to Adapt Structured Output Space for Semantic
Segmentation", CVPR 2018.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.losses import GAN_LOSSES, adversarial_loss
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.parts.class_ratio_prior import ClassRatioPrior, prior_losses
from mmseg.models.uda.parts.discriminator import DISCRIMINATOR, SOURCE, TARGET, FCDiscriminator, frozen
from mmseg.models.uda.parts.output_weights import PUBLISHED_WEIGHTS, output_weights
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import Objective, UDADecorator
from mmseg.registry import MODELS


@MODELS.register_module()
class AdvSeg(UDADecorator):
    """Train on source labels; make the predictions on target images look like those on source images.

    Each output of the segmentor (the decode head's, and those of auxiliary heads: "multi-level") has a
    discriminator, which learns to tell the domains apart by the class probabilities. The student learns to
    be taken for the source. An optimizer of their own, ``other_networks.discriminator`` in the config, trains
    the discriminators.

    Args:
        model: The student segmentor.
        discriminator_type: ``'LS'`` (least squares) or ``'Vanilla'`` (cross entropy).
        lambda_adv_target: Weight of the adversarial loss of the output ``main`` and of each auxiliary
            output, ``aux``.
        class_ratio_prior: Arguments of :class:`ClassRatioPrior`, a loss on each output; None = without.
        published_double_update: Let the student's optimizer train the discriminators, too, with the same
            gradients, as the code published with HRDA and MIC does.
        masking, translator: See :class:`UDADecorator`.

    Raises:
        ConfigError: An option is unknown or outside its range.
    """

    def __init__(
        self,
        model: dict | EncoderDecoder,
        discriminator_type: str = "LS",
        lambda_adv_target: Mapping[str, float] = PUBLISHED_WEIGHTS,
        class_ratio_prior: Mapping[str, Any] | None = None,
        published_double_update: bool = False,
        masking: dict | None = None,
        translator: dict | None = None,
    ) -> None:
        super().__init__(model, translator=translator)
        if discriminator_type not in GAN_LOSSES:
            raise ConfigError(
                f"uda: discriminator_type={discriminator_type!r} is unknown; expected 'LS' or 'Vanilla'"
            )
        self.discriminator_type = discriminator_type
        self.weights = output_weights("lambda_adv_target", lambda_adv_target, self.model.output_names)
        classes = self.model.num_classes
        self.model_D = nn.ModuleDict({name: FCDiscriminator(classes) for name in self.model.output_names})
        self.other_networks[DISCRIMINATOR] = self.model_D
        self.prior = ClassRatioPrior.build(classes, class_ratio_prior)
        self.published_double_update = published_double_update
        self.add_masking(masking)  # after the discriminators, as in published checkpoints

    def student_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Without the discriminators, unless they are trained as published."""
        return self.named_parameters() if self.published_double_update else super().student_parameters()

    def objectives(self, batch: UDABatch) -> Iterator[Losses | Objective]:
        """Source cross entropy, adversarial loss on the target, then the discriminators."""
        logits, losses = self.source_outputs(batch)
        source = self.seen(logits, detach=True)
        yield losses

        logits = self.target_outputs(batch)
        target = self.seen(logits, detach=True)
        yield self.adversarial_losses(self.seen(logits)) | prior_losses(self.prior, logits)

        yield Objective(self.discriminator_losses("D_src", source, SOURCE), DISCRIMINATOR)
        yield Objective(self.discriminator_losses("D_trg", target, TARGET), DISCRIMINATOR)

    def source_outputs(self, batch: UDABatch) -> tuple[dict[str, Tensor], Losses]:
        """Logits of each output on source images, and what is learnt from their labels."""
        return self.model.forward_outputs(batch.img, batch.gt_semantic_seg)

    def discriminator_input(self, logits: Tensor) -> Tensor:
        """What a discriminator looks at: class probabilities (B, C, H, W) of an output."""
        return logits.softmax(dim=1)

    def seen(self, logits: dict[str, Tensor], detach: bool = False) -> dict[str, Tensor]:
        """What the discriminators look at; ``detach`` keeps gradients from flowing back to the student."""
        return {name: self.discriminator_input(x.detach() if detach else x) for name, x in logits.items()}

    def adversarial_losses(self, target: dict[str, Tensor]) -> Losses:
        """How far the frozen discriminators are from taking target predictions for source ones."""
        with frozen(self.model_D):
            return {
                f"G_trg.loss.{name}": self.weights[name] * self.domain_loss(name, target[name], SOURCE)
                for name in target
            }

    def discriminator_losses(self, prefix: str, domain: dict[str, Tensor], label: float) -> Losses:
        """Half of the loss of telling the domains apart; the other half is that of the other domain."""
        return {f"{prefix}.loss.{name}": self.domain_loss(name, domain[name], label) / 2 for name in domain}

    def domain_loss(self, name: str, seen: Tensor, label: float) -> Tensor:
        """Loss of an output's discriminator on what it sees, (B, C, H, W), of a domain."""
        return adversarial_loss(self.model_D[name](seen), label, self.discriminator_type)
