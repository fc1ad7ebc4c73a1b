"""The features in front of the classifier, which several methods align."""

import copy
from typing import Any

import torch
from torch import Tensor

from mmseg.models.segmentors.encoder_decoder import EncoderDecoder

SIDE = 256  # of the image without values that tells the shapes


def last_features(model: EncoderDecoder, features: Any) -> Tensor:
    """The last map (B, C, h, w) of an encoder: fc7 of a VGG16, res5c of a ResNet, stage 4 of a MiT.

    Under HRDA it is that of the context.

    Args:
        model: The segmentor.
        features: As its ``training_features`` and ``forward_train`` return them.
    """
    return model.distance_features(features)[0][0]


def feature_channels(model: EncoderDecoder) -> int:
    """Channels of :func:`last_features`, from the shapes that an image would have; nothing is computed."""
    values = [*model.parameters(), *model.buffers()]
    outline = copy.deepcopy(model, {id(value): torch.empty_like(value, device="meta") for value in values})
    with torch.no_grad():
        image = torch.empty(1, 3, SIDE, SIDE, device="meta")
        return EncoderDecoder.extract_feat(outline.eval(), image)[-1].shape[1]
