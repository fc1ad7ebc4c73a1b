"""MinEnt: direct entropy minimisation on the target.

Vu, Jain, Bucher, Cord, Pérez, "ADVENT: Adversarial Entropy Minimization for Domain Adaptation in Semantic
Segmentation", CVPR 2019, section 3.1.
"""

import math
from collections.abc import Iterator, Mapping

from torch import Tensor

from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.parts.output_weights import PUBLISHED_WEIGHTS, output_weights
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import UDADecorator
from mmseg.registry import MODELS


@MODELS.register_module()
class MinEnt(UDADecorator):
    """Train on source labels; make the predictions on target images certain.

    Args:
        model: The student segmentor.
        lambda_ent_target: Weight of the entropy (eq. 4) of the output ``main`` and of each auxiliary output,
            ``aux``.
        masking: See :class:`UDADecorator`.

    Raises:
        ConfigError: An option is outside its range.
    """

    def __init__(
        self,
        model: dict | EncoderDecoder,
        lambda_ent_target: Mapping[str, float] = PUBLISHED_WEIGHTS,
        masking: dict | None = None,
    ) -> None:
        super().__init__(model, masking)
        self.weights = output_weights("lambda_ent_target", lambda_ent_target, self.model.output_names)

    def objectives(self, batch: UDABatch) -> Iterator[Losses]:
        """Source cross entropy, then entropy on the target."""
        losses, _ = self.model.forward_train(batch.img, batch.gt_semantic_seg)
        yield losses

        logits = self.target_outputs(batch)
        yield {f"ent.loss.{name}": self.weights[name] * mean_entropy(x) for name, x in logits.items()}


def mean_entropy(logits: Tensor) -> Tensor:
    """Mean entropy of (B, C, H, W) logits as a share of the largest possible one, log C (eq. 2 and 3)."""
    log_probability = logits.log_softmax(dim=1)
    entropy = -(log_probability.exp() * log_probability).sum(dim=1)
    return entropy.mean() / math.log(logits.shape[1])
