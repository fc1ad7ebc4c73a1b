"""DAFormer's network: encoder, decoder and losses one after the other, all resizing before the fusion."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.published.mix_transformer import encode
from mmseg.models.segmentors import EncoderDecoder

IGNORE = 255
Losses = dict[str, Tensor]


def resize(image: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resizing to (H, W)."""
    return F.interpolate(image, tuple(size), mode="bilinear", align_corners=False)


def conv_norm_act(block, feature_map: Tensor) -> Tensor:
    """An ordinary block, or a depthwise and a pointwise one."""
    if hasattr(block, "depthwise_conv"):
        return conv_norm_act(block.pointwise_conv, conv_norm_act(block.depthwise_conv, feature_map))
    conv = block.conv
    feature_map = F.conv2d(
        feature_map, conv.weight, None, padding=conv.padding, dilation=conv.dilation, groups=conv.groups
    )
    return block.activate(block.bn(feature_map))


def decode(head, features: Sequence[Tensor]) -> Tensor:
    """Levels to logits at the stride of the first: embed, resize, concatenate, fuse, classify."""
    size, embedded = features[0].shape[2:], []
    for layer, level in zip(head.embed_layers.values(), features, strict=True):
        tokens = layer.proj(level.flatten(2).transpose(1, 2).contiguous())
        feature_map = tokens.permute(0, 2, 1).contiguous().reshape(len(level), -1, *level.shape[2:])
        embedded.append(feature_map if feature_map.shape[2:] == size else resize(feature_map, size))
    fused, layer = torch.cat(embedded, dim=1), head.fuse_layer
    if hasattr(layer, "aspp_modules"):
        fused = torch.cat([conv_norm_act(branch, fused) for branch in layer.aspp_modules], dim=1)
        layer = layer.bottleneck
    return head.conv_seg(head.dropout(conv_norm_act(layer, fused)))


def loss_and_accuracy(logits: Tensor, label: Tensor, weight: Tensor | None, factor: float = 1.0) -> Losses:
    """Cross entropy over all pixels, and percent of all pixels that are right, at the size of the label."""
    logits = resize(logits, label.shape[1:])
    loss = F.cross_entropy(logits, label, ignore_index=IGNORE, reduction="none")
    if weight is not None:
        loss = loss * weight
    correct = (logits.argmax(dim=1) == label).float().sum() * (100 / label.numel())
    return {"decode.loss_seg": factor * loss.mean(), "decode.acc_seg": correct}


class PublishedSegmentor:
    """A network of ours, computed as published.

    Args:
        model: Holds the weights and whether it is in train mode.
    """

    def __init__(self, model: EncoderDecoder) -> None:
        self.model = model

    def extract_feat(self, img: Tensor) -> list[Tensor]:
        """The features that the feature distance compares; the last one counts."""
        return encode(self.model.backbone, img)

    def encode_decode(self, img: Tensor) -> Tensor:
        """Logits at the size of the image."""
        return resize(decode(self.model.decode_head, self.extract_feat(img)), img.shape[2:])

    def forward_train(
        self, img: Tensor, label: Tensor, weight: Tensor | None = None
    ) -> tuple[Losses, list[Tensor]]:
        """Losses and accuracies of a batch, and the features of :meth:`extract_feat`."""
        features = self.extract_feat(img)
        return loss_and_accuracy(decode(self.model.decode_head, features), label, weight), features
