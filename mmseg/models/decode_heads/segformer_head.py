"""The all-MLP decoder of SegFormer (Xie et al., NeurIPS 2021, section 3.2)."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.decode_heads.base_decode_head import BaseDecodeHead
from mmseg.models.decode_heads.daformer_head import LinearEmbedding
from mmseg.models.layers.conv import FusionConv
from mmseg.registry import MODELS


@MODELS.register_module()
class SegFormerHead(BaseDecodeHead):
    """Embeds every level linearly, upsamples all to the finest and fuses them with a 1×1 convolution.

    The levels are concatenated from fine to coarse, as in the weights released with DAFormer; SegFormer's own
    code has the reverse order. ``conv_seg`` of the base class is unused but part of those weights.

    Args:
        decoder_params: ``embed_dim``, the channels of the embeddings; the published configs add
            ``conv_kernel_size=1``.
        kwargs: Arguments of :class:`BaseDecodeHead`.
    """

    def __init__(self, decoder_params: dict, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        in_channels = self.channels_of_levels()
        if not {"embed_dim"} <= decoder_params.keys() <= {"embed_dim", "conv_kernel_size"}:
            raise ConfigError(
                f"SegFormerHead: decoder_params has {sorted(decoder_params)}; expected ['embed_dim']"
            )
        if decoder_params.get("conv_kernel_size", 1) != 1:
            raise ConfigError(
                f"SegFormerHead: conv_kernel_size={decoder_params['conv_kernel_size']}; only 1 is supported"
            )
        embed_dim: int = decoder_params["embed_dim"]
        self.conv_seg.requires_grad_(False)
        self.linear_c = nn.ModuleDict(
            {str(level): LinearEmbedding(width, embed_dim) for level, width in enumerate(in_channels)}
        )
        self.linear_fuse = FusionConv(len(in_channels) * embed_dim, embed_dim, **self.block)
        self.linear_pred = nn.Conv2d(embed_dim, self.num_classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Levels (B, C_i, h_i, w_i) to logits (B, num_classes, h_0, w_0)."""
        levels = self.select(features)
        embedded = [embed(level) for embed, level in zip(self.linear_c.values(), levels, strict=True)]
        return self.linear_pred(self.dropout(self.linear_fuse(embedded)))
