"""CyCADA: generators whose images have to show what they showed before.

Hoffman et al., "CyCADA: Cycle-Consistent Adversarial Domain Adaptation", ICML 2018. This is its pixel level.
A segmentation network is trained on translated images afterwards; :class:`~mmseg.models.uda.ADDA`, CyCADA's
feature level, then aligns its scores or features.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mmseg.models.segmentors.encoder_decoder import Losses
from mmseg.models.uda.cyclegan import CycleGAN
from mmseg.models.uda.parts.semantic_consistency import CLASSIFIER
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import Objective, Step
from mmseg.registry import MODELS


@MODELS.register_module()
class CyCADA(CycleGAN):
    """:class:`CycleGAN` with a semantic consistency; defaults are those of its published semantic model.

    Args:
        generator, discriminator: See :class:`CycleGAN`.
        consistency: ``dict(type="LearntConsistency", classifier=...)``, as in the published code for digits,
            or ``dict(type="DynamicConsistency", segmentor=..., checkpoint=...)``, as MADAN's for
            segmentation. CyCADA's authors trained their images of GTA without any.
        lambda_source, lambda_target, lambda_identity, lambda_gan_target: See :class:`CycleGAN`.
        **others: Other arguments of :class:`CycleGAN`.
    """

    def __init__(
        self,
        generator: Mapping[str, Any],
        discriminator: Mapping[str, Any],
        consistency: Mapping[str, Any],
        lambda_source: float = 1.0,
        lambda_target: float = 1.0,
        lambda_identity: float = 0.0,
        lambda_gan_target: float = 2.0,
        **others: Any,
    ) -> None:
        lambdas = (lambda_source, lambda_target, lambda_identity, lambda_gan_target)
        super().__init__(generator, discriminator, *lambdas, **others)
        self.consistency = MODELS.build(dict(consistency))
        if self.consistency.trained:
            self.other_networks[CLASSIFIER] = self.consistency.network

    def objectives(self, batch: UDABatch) -> Iterator[Losses | Objective | Step]:
        """Both cycles with what the images have to show, discriminators, classifier."""
        reference = self.consistency.reference(batch)
        drawn = yield from self.cycles(
            batch, lambda way, images: self.consistency.losses(way, reference, images)
        )
        yield self.discriminators(batch, drawn)
        yield from self.consistency.objectives(batch)
