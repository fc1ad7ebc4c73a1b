"""Which mean and standard deviation a network's images are normalised with: those of its pretrained weights.

Weights expect what they were trained with. That is ImageNet's statistics for most, but not for all: of timm's
1,826 weights 683 were trained with others.
"""

import logging
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmseg.checkpoints.packaged import PACKAGED_WEIGHTS
from mmseg.checkpoints.weights import TIMM_WEIGHTS
from mmseg.models.data_preprocessor import IMAGENET_MEAN, IMAGENET_STD
from mmseg.registry import MODELS

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of red, green and blue, of values in 0…255."""
IMAGENET: Statistics = IMAGENET_MEAN, IMAGENET_STD
TOLERANCE = 1.0
"""In grey levels: 127 and 127.5 are two ways to write the same."""


def preprocessor_of(
    backbone: Mapping[str, Any] | None, pretrained: str | None, given: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Config of the data preprocessor of a network.

    What the config gives is taken. Without it, weights that timm or a package serves say what they were
    trained with; all others are taken to be trained with ImageNet's statistics. The log says what is not
    ImageNet's, and warns of what does not fit.

    Args:
        backbone: Config of the encoder.
        pretrained: The model's ``pretrained``.
        given: The model's ``data_preprocessor``.
    """
    backbone = backbone or {}
    of_weights, of_network = _statistics(backbone, pretrained)
    if given:
        used = tuple(given.get("mean", IMAGENET_MEAN)), tuple(given.get("std", IMAGENET_STD))
        if of_weights and _differ(used, of_weights):
            _log(
                f"model.data_preprocessor normalises images with {_shown(used)}, but the weights "
                f"{pretrained!r} of {backbone.get('name')} were trained with {_shown(of_weights)}; remove "
                "model.data_preprocessor to take the latter",
                logging.WARNING,
            )
        return dict(given)
    preprocessor: dict[str, Any] = dict(type="SegDataPreprocessor")
    if of_weights and of_weights != IMAGENET:
        _log(f"Images are normalised with {_shown(of_weights)}, as the weights {pretrained!r} expect")
        return dict(preprocessor, mean=of_weights[0], std=of_weights[1])
    if pretrained and of_network and not of_weights and _differ(of_network, IMAGENET):
        mean, std = of_network
        _log(
            f"{pretrained}: images are normalised with the statistics of ImageNet; timm's weights of "
            f"{backbone.get('name')} were trained with {_shown(of_network)}. If the file holds those, set "
            f"model.data_preprocessor=dict(type='SegDataPreprocessor', mean={mean}, std={std})",
            logging.WARNING,
        )
    return preprocessor


def without_pretrained(cfg: Config) -> dict[str, Any]:
    """The model of a config for weights that are trained already: nothing is loaded when it is built, and
    images are normalised as in its training.

    Args:
        cfg: A config; the data preprocessor may stand in it or in its model.
    """
    model, given = cfg.model, cfg.get("data_preprocessor")
    preprocessor = preprocessor_of(
        model.get("backbone"), model.get("pretrained"), model.get("data_preprocessor", given)
    )
    return {**model, "pretrained": None, "data_preprocessor": preprocessor}


def _statistics(
    backbone: Mapping[str, Any], pretrained: str | None
) -> tuple[Statistics | None, Statistics | None]:
    """Of the weights where they are known, and of those that usually belong to the network."""
    if packaged := PACKAGED_WEIGHTS.get(pretrained or ""):
        return (packaged.mean, packaged.std), None
    name = backbone.get("type")
    statistics_of = getattr(MODELS.get(name) if isinstance(name, str) else name, "statistics_of", None)
    of_network = statistics_of(backbone.get("name")) if statistics_of and pretrained else None
    return (of_network if pretrained == TIMM_WEIGHTS else None), of_network


def _differ(one: Statistics, other: Statistics) -> bool:
    pairs = (
        (a, b) for ours, theirs in zip(one, other, strict=True) for a, b in zip(ours, theirs, strict=True)
    )
    return any(abs(a - b) > TOLERANCE for a, b in pairs)


def _shown(statistics: Statistics) -> str:
    mean, std = ([round(value, 3) for value in part] for part in statistics)
    return f"mean {mean} and std {std}"


def _log(message: str, level: int = logging.INFO) -> None:
    print_log(message, "current", level=level)
