"""The context-aware decoder of DAFormer.

Hoyer, Dai, Van Gool, "DAFormer: Improving Network Architectures and Training Strategies for Domain-Adaptive
Semantic Segmentation", CVPR 2022, section 3.2.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.decode_heads.aspp import ASPPWrapper
from mmseg.models.decode_heads.base_decode_head import BaseDecodeHead
from mmseg.models.decode_heads.isa import ISALayer
from mmseg.models.layers.conv import ConvBlock, FusionConv, SeparableConv
from mmseg.models.layers.resize import resize
from mmseg.registry import MODELS


class LinearEmbedding(nn.Module):
    """The same linear layer at every pixel."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, channels)

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, in_channels, h, w) to (B, channels, h, w), whose memory is in this order.

        Channels-last, the order of tokens, would multiply the time of dilated depthwise convolutions.
        """
        pixels, weight = feature_map.flatten(2), self.proj.weight.expand(feature_map.shape[0], -1, -1)
        return torch.baddbmm(self.proj.bias[:, None], weight, pixels).unflatten(2, feature_map.shape[2:])


def _linear(in_channels: int, channels: int, **_: Any) -> nn.Module:
    # The published configs give norm_cfg and act_cfg here, but a linear embedding has neither.
    return LinearEmbedding(in_channels, channels)


def _identity(in_channels: int, channels: int, **_: Any) -> nn.Module:
    return nn.Identity()


def _conv_then_aspp(in_channels: int, channels: int, kernel_size: int = 1, **aspp: Any) -> nn.Module:
    conv = nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2)
    return nn.Sequential(conv, ASPPWrapper(channels, channels, **aspp))


def _conv(in_channels: int, channels: int, kernel_size: int = 1, **block: Any) -> nn.Module:
    if kernel_size == 1:
        return FusionConv(in_channels, channels, **block)
    return ConvBlock(in_channels, channels, kernel_size, **block)


LAYERS: dict[str, Callable[..., nn.Module]] = {
    "id": _identity,
    "mlp": _linear,
    "sep_conv": SeparableConv,
    "conv": _conv,
    "aspp": ASPPWrapper,
    "rawconv_and_aspp": _conv_then_aspp,
    "isa": ISALayer,
}


def build_layer(in_channels: int, channels: int, type: str, **arguments: Any) -> nn.Module:
    """Build an embedding or fusion layer by its name in ``LAYERS``.

    Raises:
        ConfigError: The name or an argument is unknown.
    """
    if type not in LAYERS:
        raise ConfigError(
            f"DAFormerHead: layer type {type!r} is unknown; expected one of {', '.join(LAYERS)}"
        )
    try:
        return LAYERS[type](in_channels, channels, **arguments)
    except TypeError as error:
        raise ConfigError(
            f"DAFormerHead: arguments {arguments} do not fit a layer of type {type!r}: {error}"
        ) from error


@MODELS.register_module()
class DAFormerHead(BaseDecodeHead):
    """Embeds every level, upsamples all to the finest, concatenates and fuses them.

    Args:
        decoder_params: ``embed_dims`` (channels of the embeddings: one number or one per level),
            ``embed_cfg`` and ``fusion_cfg`` (layers of :func:`build_layer`), optionally ``embed_neck_cfg``
            (embedding of the last level).
        kwargs: Arguments of :class:`BaseDecodeHead`.

    Raises:
        ConfigError: ``decoder_params`` names an unknown layer or has unknown or missing entries.
    """

    def __init__(self, decoder_params: dict, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        in_channels = self.channels_of_levels()
        required, known = {"embed_dims", "embed_cfg", "fusion_cfg"}, {"embed_neck_cfg"}
        if not required <= decoder_params.keys() <= required | known:
            raise ConfigError(
                f"DAFormerHead: decoder_params has {sorted(decoder_params)}; expected {sorted(required)} and "
                "optionally embed_neck_cfg"
            )
        levels = len(in_channels)
        embed_dims = decoder_params["embed_dims"]
        dims = [embed_dims] * levels if isinstance(embed_dims, int) else list(embed_dims)
        if len(dims) != levels:
            raise ConfigError(f"DAFormerHead: embed_dims={embed_dims} for {levels} levels")
        embed_cfgs = [decoder_params["embed_cfg"]] * levels
        embed_cfgs[-1] = decoder_params.get("embed_neck_cfg") or embed_cfgs[-1]
        self.embed_layers = nn.ModuleDict(
            {
                str(level): build_layer(in_channels[level], dims[level], **embed_cfgs[level])
                for level in range(levels)
            }
        )
        self.fuse_layer = build_layer(sum(dims), self.channels, **decoder_params["fusion_cfg"])

    @classmethod
    def attention_config(cls, head: dict[str, Any]) -> dict[str, Any]:
        """The same embeddings with a plain 1×1 fusion (HRDA, section 3.2)."""
        fusion = dict(type="conv", kernel_size=1, act_cfg=dict(type="ReLU"), norm_cfg=head.get("norm_cfg"))
        return {**head, "decoder_params": {**head["decoder_params"], "fusion_cfg": fusion}}

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Levels (B, C_i, h_i, w_i) to logits (B, num_classes, h_0, w_0)."""
        levels = self.select(features)
        size = levels[0].shape[2:]
        embedded = [embed(level) for embed, level in zip(self.embed_layers.values(), levels, strict=True)]
        if isinstance(self.fuse_layer, FusionConv):
            return self.classify(self.fuse_layer(embedded))
        wide = torch.cat([resize(level, size) for level in embedded], dim=1)
        levels_too = [embedded] if isinstance(self.fuse_layer, ASPPWrapper) else []
        return self.classify(self.fuse_layer(wide, *levels_too))
