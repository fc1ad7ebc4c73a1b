"""CLAN: adversarial adaptation that looks closer where two classifiers disagree.

Luo, Zheng, Guan, Yu, Yang, "Taking a Closer Look at Domain Shift: Category-level Adversaries for Semantics
Consistent Domain Adaptation", CVPR 2019. The numbers are those of the published code.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.layers.precision import full_precision
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.parts.discriminator import DISCRIMINATOR, SOURCE, TARGET, FCDiscriminator, frozen
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import Objective, UDADecorator
from mmseg.registry import MODELS


@MODELS.register_module()
class CLAN(UDADecorator):
    """Train two classifiers of one feature; align the domains mostly where the two disagree.

    The segmentor has two heads of one type on the same features, ``decode_head`` and ``auxiliary_head``,
    which learn from source labels. Their weights are kept apart, so that they look at the features from
    different sides. A discriminator learns to tell the domains apart by the sum of their logits. Adversarial
    loss and discrepancy fade out towards the end of the run ("damping", 1 − t/T).

    Args:
        model: The student segmentor.
        lambda_adv: Weight of the adversarial loss.
        lambda_weight: Weight of the discrepancy of the classifiers' weights, which the published code
            back-propagates twice.
        lambda_local: Factor of the local weights: 40 for GTA, 10 for SYNTHIA.
        epsilon: Weight of a pixel without disagreement.
        target_size: (height, width) at which target predictions are compared; None = that of the image. The
            published training changes the resolution of images at random, and compares at one size.
        global_iters: Iterations before the local weights are used; until then all pixels weigh 1.
        masking, translator: See :class:`UDADecorator`.

    Raises:
        ConfigError: The segmentor has no two heads of one type, or an option is negative.
    """

    def __init__(
        self,
        model: dict | EncoderDecoder,
        lambda_adv: float = 0.001,
        lambda_weight: float = 0.01,
        lambda_local: float = 40.0,
        epsilon: float = 0.4,
        global_iters: int = 5000,
        target_size: Sequence[int] | None = None,
        masking: dict | None = None,
        translator: dict | None = None,
    ) -> None:
        super().__init__(model, translator=translator)
        settings = dict(lambda_adv=lambda_adv, lambda_weight=lambda_weight, lambda_local=lambda_local,
                        epsilon=epsilon, global_iters=global_iters)  # fmt: skip
        if min(settings.values()) < 0:
            raise ConfigError(f"uda: CLAN has {settings}; expected numbers from 0 on")
        self.lambda_adv, self.lambda_weight, self.lambda_local = lambda_adv, lambda_weight, lambda_local
        self.epsilon, self.global_iters = epsilon, global_iters
        self.target_size = target_size and tuple(target_size)
        self.heads = two_classifiers(self.model)
        self.model_D = FCDiscriminator(self.model.num_classes)
        self.other_networks[DISCRIMINATOR] = self.model_D
        self.add_masking(masking)

    def objectives(self, batch: UDABatch) -> Iterator[Losses | Objective]:
        """Source loss of both classifiers, adversarial loss and discrepancy, then the discriminator."""
        damping = 1 - batch.progress.iteration / batch.progress.max_iters
        size = batch.gt_semantic_seg.shape[1:]
        logits, losses = self.model.forward_outputs(batch.img, batch.gt_semantic_seg, size)
        source = probability_of_both(logits).detach()
        yield losses

        logits = self.target_outputs(batch, self.target_size)
        target = probability_of_both(logits)
        weight = self.local_weight(logits, batch.progress.iteration)
        with frozen(self.model_D):
            adversarial = self.domain_loss(target, SOURCE, weight)
        discrepancy = weight_discrepancy(*self.heads)
        yield {
            "G_trg.loss": self.lambda_adv * damping * adversarial,
            "discrepancy.loss": 2 * self.lambda_weight * damping * discrepancy,
        }
        yield Objective({"D_src.loss": self.domain_loss(source, SOURCE)}, DISCRIMINATOR)
        target, weight = target.detach(), weight if weight is None else weight.detach()
        yield Objective({"D_trg.loss": self.domain_loss(target, TARGET, weight)}, DISCRIMINATOR)

    def local_weight(self, logits: dict[str, Tensor], iteration: int) -> Tensor | None:
        """Weights (B, 1, H, W) of the pixels of target images; None for 1."""
        if iteration <= self.global_iters:
            return None
        return self.epsilon + self.lambda_local * disagreement(*logits.values())

    def domain_loss(self, probability: Tensor, label: float, weight: Tensor | None = None) -> Tensor:
        """Cross entropy of the discriminator on a domain, at the size of the probabilities (B, C, H, W)."""
        score = full_precision(self.model_D(probability))
        score = self.model.resize_logits(score, probability.shape[2:])
        loss = F.binary_cross_entropy_with_logits(score, torch.full_like(score, label), reduction="none")
        return (loss if weight is None else weight * loss).mean()


def probability_of_both(logits: dict[str, Tensor]) -> Tensor:
    """Class probabilities (B, C, H, W) of the sum of all outputs."""
    return torch.stack(list(logits.values())).sum(dim=0).softmax(dim=1)


def disagreement(first: Tensor, second: Tensor) -> Tensor:
    """1 − cosine similarity of the class probabilities of two (B, C, H, W) logits: (B, 1, H, W)."""
    similarity = F.cosine_similarity(first.softmax(dim=1), second.softmax(dim=1), dim=1)
    return 1 - similarity.unsqueeze(1)


def weight_discrepancy(first: nn.Module, second: nn.Module) -> Tensor:
    """1 + cosine similarity of all parameters of two networks, shape ()."""
    a, b = (torch.cat([parameter.flatten() for parameter in head.parameters()]) for head in (first, second))
    return 1 + F.cosine_similarity(a, b, dim=0)


def two_classifiers(model: EncoderDecoder) -> tuple[nn.Module, nn.Module]:
    """The decode head and the auxiliary head of a segmentor, which have the same layers.

    Raises:
        ConfigError: They have not.
    """
    first, second = model.decode_head, model.auxiliary_head
    if second is None or [p.shape for p in first.parameters()] != [p.shape for p in second.parameters()]:
        raise ConfigError(
            "uda: CLAN needs a decode_head and one auxiliary_head of the same settings, as "
            "configs/_base_/models/deeplabv2_clan_r101.py has; found "
            f"{type(first).__name__} and {type(second).__name__}"
        )
    return first, second
