"""MinEnt: direct entropy minimisation on the target.

Vu, Jain, Bucher, Cord, Pérez, "ADVENT: Adversarial Entropy Minimization for Domain Adaptation in Semantic
Segmentation", CVPR 2019; "ER" and "CP" are further parts of it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mmseg.errors import ConfigError
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.parts.class_ratio_prior import ClassRatioPrior, prior_losses
from mmseg.models.uda.parts.entropy import mean_entropy
from mmseg.models.uda.parts.output_weights import PUBLISHED_WEIGHTS, output_weights
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import UDADecorator
from mmseg.registry import MODELS


@MODELS.register_module()
class MinEnt(UDADecorator):
    """Train on source labels; make the predictions on target images certain.

    Args:
        model: The student segmentor.
        lambda_ent_target: Weight of the entropy of the output ``main`` and of each auxiliary output,
            ``aux``.
        most_uncertain: Share of the pixels of each target image whose entropy counts, the most uncertain ones
            (the paper's "ER": 0.3).
        class_ratio_prior: Arguments of :class:`ClassRatioPrior`, a loss on each output (the paper's "CP");
            None = without.
        masking, translator: See :class:`UDADecorator`.

    Raises:
        ConfigError: An option is outside its range.
    """

    def __init__(
        self,
        model: dict | EncoderDecoder,
        lambda_ent_target: Mapping[str, float] = PUBLISHED_WEIGHTS,
        most_uncertain: float = 1.0,
        class_ratio_prior: Mapping[str, Any] | None = None,
        masking: dict | None = None,
        translator: dict | None = None,
    ) -> None:
        super().__init__(model, masking, translator=translator)
        if not 0 < most_uncertain <= 1:
            raise ConfigError(
                f"uda: most_uncertain={most_uncertain}; expected a share above 0, at most 1 for all pixels"
            )
        self.weights = output_weights("lambda_ent_target", lambda_ent_target, self.model.output_names)
        self.most_uncertain = most_uncertain
        self.prior = ClassRatioPrior.build(self.model.num_classes, class_ratio_prior)

    def objectives(self, batch: UDABatch) -> Iterator[Losses]:
        """Source cross entropy, then entropy on the target."""
        losses, _ = self.model.forward_train(batch.img, batch.gt_semantic_seg)
        yield losses

        logits = self.target_outputs(batch)
        entropies = {name: mean_entropy(x, self.most_uncertain) for name, x in logits.items()}
        losses = {f"ent.loss.{name}": self.weights[name] * value for name, value in entropies.items()}
        yield losses | prior_losses(self.prior, logits)
