"""FDA: train on source images with the low frequencies of target images.

Yang, Soatto, "FDA: Fourier Domain Adaptation for Semantic Segmentation", CVPR 2020.
"""

from collections.abc import Iterator
from typing import Any

from mmseg.models.layers.precision import full_precision
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.parts.entropy import charbonnier_entropy
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import UDADecorator
from mmseg.registry import MODELS


@MODELS.register_module()
class FDA(UDADecorator):
    """Cross entropy on translated source images; certain predictions on the target.

    If a round has labelled the target images (the paper's self-training), their cross entropy is added.

    Args:
        model: The student segmentor.
        lambda_ent_target: Weight of the entropy.
        exponent: η of the entropy, see :func:`charbonnier_entropy`.
        largest_entropy: What an entropy is divided by; None = log C, the largest possible one. Published:
            2.9444, for 19 classes.
        entropy_from: Iteration from which on the entropy counts.
        masking, translator: See :class:`UDADecorator`.
    """

    def __init__(
        self,
        model: dict | EncoderDecoder,
        lambda_ent_target: float = 0.005,
        exponent: float = 2.0,
        largest_entropy: float | None = None,
        entropy_from: int = 1,
        masking: dict | None = None,
        translator: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(model, masking, translator=translator or dict(type="FDA"))
        self.lambda_ent = lambda_ent_target
        self.exponent, self.largest_entropy = exponent, largest_entropy
        self.entropy_from = entropy_from

    def objectives(self, batch: UDABatch) -> Iterator[Losses]:
        """Source cross entropy, then entropy on the target."""
        losses, _ = self.model.forward_train(batch.img, batch.gt_semantic_seg)
        yield losses

        head, features = self.model.decode_head, self.model.training_features(batch.target_img)
        losses = {}
        if batch.target_label is None:
            logits = full_precision(head(features))  # (B, C, h, w), as the head makes them
        else:
            of_round, logits = head.forward_with_logits(features, batch.target_label, None)
            losses = {f"target.{name}": value for name, value in of_round.items()}
        batch.show(source=batch.img, source_label=batch.gt_semantic_seg, target=batch.target_img)
        weight = self.lambda_ent if batch.progress.iteration >= self.entropy_from else 0.0
        entropy = charbonnier_entropy(full_precision(logits), self.exponent, self.largest_entropy)
        yield losses | {"ent.loss": weight * entropy}
