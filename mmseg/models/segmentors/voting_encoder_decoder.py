"""An encoder with a decode head for each source, which vote."""

from typing import Any

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.registry import MODELS


@MODELS.register_module()
class VotingEncoderDecoder(EncoderDecoder):
    """K decode heads of one kind; predicted are the logarithms of Σ_j w_j softmax(z_j), of logits z_j.

    Whoever trains it sets the weights w, which are part of the checkpoint.

    Args:
        num_sources: K.
        decode_head: Config of each of the heads.
        others: See :class:`EncoderDecoder`, but for ``auxiliary_head`` and ``sum_outputs``.

    Attributes:
        source_weights: (K,) w, 1/K at first; they sum to 1.

    Raises:
        ConfigError: There are fewer than two sources, or further heads.
    """

    source_weights: Tensor

    def __init__(self, decode_head: dict, num_sources: int = 2, **others: Any) -> None:
        if num_sources < 2 or others.get("auxiliary_head") or others.get("sum_outputs"):
            raise ConfigError(
                f"config: VotingEncoderDecoder has num_sources={num_sources}, auxiliary_head="
                f"{others.get('auxiliary_head')!r:.60}, sum_outputs={others.get('sum_outputs', False)}; "
                "expected at least 2 sources, each of which has a head like decode_head, and no other heads"
            )
        further = [dict(decode_head) for _ in range(num_sources - 1)]
        super().__init__(decode_head=decode_head, **{**others, "auxiliary_head": further})
        self.register_buffer("source_weights", torch.full((num_sources,), 1 / num_sources))

    @property
    def num_sources(self) -> int:
        """K."""
        return len(self.source_weights)

    @property
    def classifiers(self) -> nn.ModuleList:
        """The head of each source."""
        return nn.ModuleList(head for _, head in self._heads())

    def of_source(self, number: int, features: Any, label: Tensor) -> Losses:
        """Losses of the head of a source on features and labels (B, H, W): ``loss_seg``, ``acc_seg``."""
        head: Any = self.classifiers[number]
        return head.forward_with_logits(features, label, None)[0]

    def _logits(self, features: Any) -> Tensor:
        """Logarithms of the voted probabilities, (B, C, h, w)."""
        votes = torch.stack([head(features).log_softmax(dim=1) for head in self.classifiers])
        return voted(votes, self.source_weights)


def voted(votes: Tensor, weights: Tensor) -> Tensor:
    """log Σ_j w_j p_j of logarithms (K, ...) of probabilities p_j and weights (K,), shape (...)."""
    weights = weights.log().to(votes.dtype).view(-1, *[1] * (votes.dim() - 1))
    return torch.logsumexp(votes + weights, dim=0)
