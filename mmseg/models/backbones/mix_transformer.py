"""Mix Transformer (MiT), the hierarchical encoder of SegFormer.

Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers", NeurIPS
2021, section 3.1. Parameter names are those of the ImageNet weights released with that paper.

Between two convolutions the features are tokens (B, H·W, C) in memory; seen as (B, C, H, W) the same memory
is in channels-last order, so that going back and forth copies nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmseg.errors import ConfigError
from mmseg.models.backbones import weight_names
from mmseg.registry import MODELS

# Norms inside a stage use 1e-6; patch embeddings and the reduced keys keep PyTorch's 1e-5.
StageNorm = partial(nn.LayerNorm, eps=1e-6)

MIN_SIZE = 29  # gives eight tokens at stride 4, which the first stage's attention reduces to one key

ARCHITECTURES: dict[str, tuple[Sequence[int], Sequence[int]]] = {
    "mit_b0": ((32, 64, 160, 256), (2, 2, 2, 2)),
    "mit_b1": ((64, 128, 320, 512), (2, 2, 2, 2)),
    "mit_b2": ((64, 128, 320, 512), (3, 4, 6, 3)),
    "mit_b3": ((64, 128, 320, 512), (3, 4, 18, 3)),
    "mit_b4": ((64, 128, 320, 512), (3, 8, 27, 3)),
    "mit_b5": ((64, 128, 320, 512), (3, 6, 40, 3)),
}
"""Channels and number of blocks of the four stages."""


def to_map(tokens: Tensor, height: int, width: int) -> Tensor:
    """(B, H·W, C) tokens as a (B, C, H, W) map; a view."""
    return tokens.transpose(1, 2).unflatten(2, (height, width))


def to_tokens(feature_map: Tensor) -> Tensor:
    """(B, C, H, W) map as (B, H·W, C) tokens; a view."""
    return feature_map.flatten(2).transpose(1, 2)


class OverlapPatchEmbed(nn.Module):
    """Strided convolution of overlapping patches, then a layer norm ("Overlapped Patch Merging")."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, kernel_size, stride, padding=kernel_size // 2)
        self.norm = nn.LayerNorm(channels)

    def forward(self, feature_map: Tensor) -> tuple[Tensor, int, int]:
        """(B, C_in, H, W) to tokens (B, h·w, C) with their height and width."""
        feature_map = self.proj(feature_map)
        height, width = feature_map.shape[2:]
        return self.norm(to_tokens(feature_map)), height, width


class Attention(nn.Module):
    """Self-attention whose keys and values are reduced by a strided convolution ("Efficient Self-Attention").

    Args:
        channels: Token size.
        num_heads: Number of attention heads.
        reduction: Side of the square of tokens that becomes one key; 1 keeps all.
    """

    def __init__(self, channels: int, num_heads: int, reduction: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        self.reduction = reduction
        if reduction > 1:
            self.sr = nn.Conv2d(channels, channels, reduction, reduction)
            self.norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """Tokens (B, H·W, C) attend to their reduced copies."""
        reduced = tokens
        if self.reduction > 1:
            reduced = self.norm(to_tokens(self.sr(to_map(tokens, height, width))))
        query = self.q(tokens).unflatten(2, (self.num_heads, -1)).transpose(1, 2)  # (B, heads, N, C/heads)
        key, value = self.kv(reduced).unflatten(2, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.proj(attended.transpose(1, 2).flatten(2))


class DepthwiseConv(nn.Module):
    """3×3 depthwise convolution on tokens; it is what tells MiT where a token is."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """(B, H·W, C) to the same shape."""
        return to_tokens(self.dwconv(to_map(tokens, height, width)))


class MixFFN(nn.Module):
    """Linear, depthwise 3×3, GELU, linear (section 3.1, "Mix-FFN")."""

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden_channels)
        self.dwconv = DepthwiseConv(hidden_channels)
        self.fc2 = nn.Linear(hidden_channels, channels)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """(B, H·W, C) to the same shape."""
        return self.fc2(F.gelu(self.dwconv(self.fc1(tokens), height, width)))


class Block(nn.Module):
    """Attention and Mix-FFN, each after a norm and inside a residual connection."""

    def __init__(
        self, channels: int, num_heads: int, mlp_ratio: int, reduction: int, drop_path_rate: float
    ) -> None:
        from timm.layers import DropPath  # timm takes seconds to import, which other encoders need not

        super().__init__()
        self.norm1 = StageNorm(channels)
        self.attn = Attention(channels, num_heads, reduction)
        self.drop_path = DropPath(drop_path_rate)
        self.norm2 = StageNorm(channels)
        self.mlp = MixFFN(channels, mlp_ratio * channels)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """(B, H·W, C) to the same shape."""
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens), height, width))
        return tokens + self.drop_path(self.mlp(self.norm2(tokens), height, width))


class MixVisionTransformer(nn.Module):
    """Encoder with four stages at strides 4, 8, 16 and 32.

    Args:
        embed_dims: Channels of the stages.
        depths: Blocks of the stages.
        num_heads: Attention heads of the stages.
        mlp_ratio: Hidden channels of a Mix-FFN in multiples of the stage's channels.
        sr_ratios: Side of the square of tokens that becomes one key, per stage.
        drop_path_rate: Probability of leaving out a branch in the last block; it grows linearly from 0 in the
            first.
        with_cp: Recompute the blocks in the backward pass instead of keeping their activations.
    """

    def __init__(
        self,
        embed_dims: Sequence[int],
        depths: Sequence[int],
        num_heads: Sequence[int] = (1, 2, 5, 8),
        mlp_ratio: int = 4,
        sr_ratios: Sequence[int] = (8, 4, 2, 1),
        drop_path_rate: float = 0.1,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.channels = tuple(embed_dims)
        for stage, channels in enumerate(embed_dims, start=1):
            in_channels, kernel_size, stride = (3, 7, 4) if stage == 1 else (embed_dims[stage - 2], 3, 2)
            self.add_module(
                f"patch_embed{stage}", OverlapPatchEmbed(in_channels, channels, kernel_size, stride)
            )
        last_block = max(sum(depths) - 1, 1)
        rates = (drop_path_rate * index / last_block for index in range(sum(depths)))
        for stage, (channels, depth) in enumerate(zip(embed_dims, depths, strict=True), start=1):
            heads, reduction = num_heads[stage - 1], sr_ratios[stage - 1]
            blocks = [Block(channels, heads, mlp_ratio, reduction, next(rates)) for _ in range(depth)]
            self.add_module(f"block{stage}", nn.ModuleList(blocks))
            self.add_module(f"norm{stage}", StageNorm(channels))
        self.apply(initialise)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Encode an image.

        Args:
            image: (B, 3, H, W), normalised.

        Returns:
            Four maps (B, C_i, ⌈H/s⌉, ⌈W/s⌉) for s = 4, 8, 16, 32, in channels-last memory order.
        """
        if min(image.shape[2:]) < MIN_SIZE:
            raise ConfigError(
                f"MiT: found an image of {tuple(image.shape[2:])} pixels, expected at least {MIN_SIZE} in "
                "each direction; enlarge the crop (with HRDA the context is a scaled crop)"
            )
        feature_map, outputs = image, []
        for stage in range(1, len(self.channels) + 1):
            tokens, height, width = self.get_submodule(f"patch_embed{stage}")(feature_map)
            for block in self.get_submodule(f"block{stage}").children():
                if self.with_cp and self.training:
                    tokens = checkpoint(block, tokens, height, width, use_reentrant=False)
                else:
                    tokens = block(tokens, height, width)
            feature_map = to_map(self.get_submodule(f"norm{stage}")(tokens), height, width)
            outputs.append(feature_map)
        return outputs

    def compile_layers(self, **options: Any) -> None:
        """Compile the layers in place: once per stage and shape, for all blocks; see ``torch.compile``."""
        for part in self.modules():
            if isinstance(part, Attention | MixFFN):
                part.compile(**options)

    def adapt_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights as entries of this module; those of Hugging Face have other names there."""
        return weight_names.hugging_face_to_mit(state)


def initialise(module: nn.Module) -> None:
    """Initial values of one layer: truncated normal for linear, fan-out normal (He) for convolutions."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _builder(name: str) -> Callable[..., MixVisionTransformer]:
    embed_dims, depths = ARCHITECTURES[name]

    def build(drop_path_rate: float = 0.1, with_cp: bool = False) -> MixVisionTransformer:
        return MixVisionTransformer(embed_dims, depths, drop_path_rate=drop_path_rate, with_cp=with_cp)

    build.__name__ = name
    return build


MODELS.register_module(module=MixVisionTransformer)
for _name in ARCHITECTURES:
    MODELS.register_module(name=_name, module=_builder(_name))
