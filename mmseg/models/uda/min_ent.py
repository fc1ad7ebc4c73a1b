"""MinEnt: direct entropy minimisation on the target.

Vu, Jain, Bucher, Cord, Pérez, "ADVENT: Adversarial Entropy Minimization for Domain Adaptation in Semantic
Segmentation", CVPR 2019, section 3.1.
"""

import math
from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.parts.masking_consistency_module import without_same
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
        masking: Arguments of :class:`MaskingConsistencyModule` (MIC); None = without.
        alpha: EMA momentum of the teacher that labels masked images.
        pseudo_threshold: Its confidence threshold.
        data_preprocessor: Moves a batch to the device and normalises it.

    Raises:
        ConfigError: An option is outside its range.
    """

    def __init__(
        self,
        model: dict | EncoderDecoder,
        lambda_ent_target: Mapping[str, float] = PUBLISHED_WEIGHTS,
        masking: dict | None = None,
        alpha: float = 0.999,
        pseudo_threshold: float | None = 0.968,
        data_preprocessor: dict | nn.Module | None = None,
    ) -> None:
        super().__init__(model, data_preprocessor)
        self.weights = output_weights("lambda_ent_target", lambda_ent_target, self.model.output_names)
        if masking is not None:
            self.add_masking(without_same(masking, alpha, pseudo_threshold), None)

    def objectives(self, batch: UDABatch) -> Iterator[Losses]:
        """Source cross entropy, entropy on the target and, with MIC, cross entropy on masked images."""
        losses, _ = self.model.forward_train(batch.img, batch.gt_semantic_seg)
        yield losses

        logits = self.target_outputs(batch)
        yield {f"ent.loss.{name}": self.weights[name] * mean_entropy(x) for name, x in logits.items()}

        if self.mic is not None:
            yield self.mic.objective(self.model, batch, None, self.data_preprocessor)


def mean_entropy(logits: Tensor) -> Tensor:
    """Mean entropy of (B, C, H, W) logits as a share of the largest possible one, log C (eq. 2 and 3)."""
    log_probability = logits.log_softmax(dim=1)
    entropy = -(log_probability.exp() * log_probability).sum(dim=1)
    return entropy.mean() / math.log(logits.shape[1])
