"""Mix Transformer with explicit attention; weights are those of our module."""

import torch.nn.functional as F
from mmcv.cnn.bricks.drop import drop_path
from torch import Tensor, nn


def to_map(tokens: Tensor, height: int, width: int) -> Tensor:
    """(B, H·W, C) tokens as a contiguous (B, C, H, W) map."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, height, width).contiguous()


def encode(backbone: nn.Module, image: Tensor) -> list[Tensor]:
    """Four contiguous maps (B, C_i, h_i, w_i) of an image (B, 3, H, W)."""
    feature_map, levels = image, []
    for stage in range(1, 5):
        embed = backbone.get_submodule(f"patch_embed{stage}")
        feature_map = embed.get_submodule("proj")(feature_map)
        height, width = feature_map.shape[2:]
        tokens = embed.get_submodule("norm")(feature_map.flatten(2).transpose(1, 2))
        for block in backbone.get_submodule(f"block{stage}").children():
            tokens = transform(block, tokens, height, width)
        tokens = backbone.get_submodule(f"norm{stage}")(tokens)
        feature_map = to_map(tokens, height, width)
        levels.append(feature_map)
    return levels


def transform(block, tokens: Tensor, height: int, width: int) -> Tensor:
    """One block."""
    branch = attend(block.attn, block.norm1(tokens), height, width)
    tokens = tokens + drop(block.drop_path, branch)
    branch = feed_forward(block.mlp, block.norm2(tokens), height, width)
    return tokens + drop(block.drop_path, branch)


def drop(layer, branch: Tensor) -> Tensor:
    """Drop path in two passes over the branch."""
    return drop_path(branch, layer.drop_prob, layer.training)


def attend(attention, tokens: Tensor, height: int, width: int) -> Tensor:
    """softmax(q kᵀ / √d) v with the matrix in memory and every permutation copied."""
    batch, length, channels = tokens.shape
    heads = attention.num_heads
    query = attention.q(tokens).reshape(batch, length, heads, -1).permute(0, 2, 1, 3).contiguous()
    reduced = tokens
    if hasattr(attention, "sr"):
        reduced = attention.sr(to_map(tokens, height, width)).flatten(2).transpose(1, 2).contiguous()
        reduced = attention.norm(reduced)
    pairs = attention.kv(reduced).reshape(batch, reduced.shape[1], 2, heads, -1)
    key, value = pairs.permute(2, 0, 3, 1, 4).contiguous()
    similarity = query @ key.transpose(-2, -1).contiguous() * (channels // heads) ** -0.5
    attended = similarity.softmax(dim=-1) @ value
    return attention.proj(attended.transpose(1, 2).contiguous().reshape(batch, length, channels))


def feed_forward(mlp, tokens: Tensor, height: int, width: int) -> Tensor:
    """Mix-FFN with a copy on the way to the convolution."""
    hidden = mlp.dwconv.dwconv(to_map(mlp.fc1(tokens), height, width))
    return mlp.fc2(F.gelu(hidden.flatten(2).transpose(1, 2)))
