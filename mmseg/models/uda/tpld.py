"""TPLD, phase 2: easy images with full labels, hard ones aligned with them.

Shin, Woo, Pan, Kweon, "Two-phase Pseudo Label Densification for Self-training based Domain Adaptation", ECCV
2020. There is no published code. Phase 1 is :class:`SelfTraining` with ``beta`` on labels that neighbours
voted for.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmseg.models.losses import is_labelled
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.adv_ent import AdvEnt
from mmseg.models.uda.parts.bootstrapping import Bootstrapping
from mmseg.models.uda.parts.output_weights import PUBLISHED_WEIGHTS
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.registry import MODELS


@MODELS.register_module()
class TPLD(AdvEnt):
    """:class:`AdvEnt` between the easy and the hard images of a round; no image of the source is seen.

    Easy images are trained on by the bootstrapping loss with their full labels. The discriminators tell easy
    from hard images by the weighted self-information, the student makes hard ones look like easy ones.

    Args:
        model: The student segmentor.
        beta: Share of the chosen label in the loss, see :class:`Bootstrapping`; **not published**.
        lambda_adv_target: Weight of the adversarial loss of each output; **not published**, by default that
            of AdvEnt.
        others: Further arguments of :class:`AdvSeg`.
    """

    def __init__(
        self,
        model: dict | EncoderDecoder,
        beta: float,
        lambda_adv_target: Mapping[str, float] = PUBLISHED_WEIGHTS,
        **others: Any,
    ) -> None:
        super().__init__(model, lambda_adv_target=lambda_adv_target, **others)
        self.bootstrapping = Bootstrapping(self.model.num_classes, beta)

    def source_outputs(self, batch: UDABatch) -> tuple[dict[str, Tensor], Losses]:
        """Logits and bootstrapping loss of easy images."""
        label = batch.gt_semantic_seg if batch.soft_label is None else batch.soft_label
        labelled = is_labelled(label)
        easy = torch.ones(len(label), dtype=torch.bool, device=label.device)
        weight = self.bootstrapping.label_weight(easy, labelled)
        logits, losses = self.model.forward_outputs(batch.img, label, label.shape[-2:], weight)
        return logits, losses | {"bootstrapping.loss": self.bootstrapping(logits["main"], labelled, easy)}
