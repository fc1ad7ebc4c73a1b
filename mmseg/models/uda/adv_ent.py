"""AdvEnt: adversarial adaptation of the uncertainty of predictions.

Vu, Jain, Bucher, Cord, Pérez, "ADVENT: Adversarial Entropy Minimization for Domain Adaptation in Semantic
Segmentation", CVPR 2019.
"""

from typing import Any

from torch import Tensor

from mmseg.models.segmentors.encoder_decoder import EncoderDecoder
from mmseg.models.uda.adv_seg import AdvSeg
from mmseg.models.uda.parts.entropy import self_information
from mmseg.registry import MODELS


@MODELS.register_module()
class AdvEnt(AdvSeg):
    """:class:`AdvSeg` whose discriminators look at the weighted self-information of each class.

    Args:
        model: The student segmentor.
        discriminator_type: Cross entropy, ``'Vanilla'``, as published, or ``'LS'``.
        others: Further arguments of :class:`AdvSeg`.
    """

    def __init__(
        self, model: dict | EncoderDecoder, discriminator_type: str = "Vanilla", **others: Any
    ) -> None:
        super().__init__(model, discriminator_type, **others)

    def discriminator_input(self, logits: Tensor) -> Tensor:
        """Weighted self-information (B, C, H, W) of an output."""
        return self_information(logits)
