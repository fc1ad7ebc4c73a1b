"""Channels of the encoder's levels in the configs of the parts behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from mmseg.errors import ConfigError
from mmseg.registry import MODELS


def channels_behind(backbone: nn.Module, neck: nn.Module | None) -> Sequence[int] | None:
    """Channels of the levels that the heads get; None where a part does not tell.

    A backbone tells them as ``channels``, and a neck that keeps or changes them as ``channels_of(channels)``.
    """
    channels = getattr(backbone, "channels", None)
    if channels is None or neck is None:
        return channels
    channels_of = getattr(neck, "channels_of", None)
    return None if channels_of is None else channels_of(channels)


def with_channels(part: dict[str, Any], channels: Sequence[int] | None) -> dict[str, Any]:
    """The config of a neck or head, ``in_channels`` filled in where they are left out.

    Parts say in a class method ``with_channels`` what they make of the channels of all levels.

    Args:
        part: Config of the part.
        channels: Of the levels it gets; None where nobody knows them: then what is missing stays None.

    Raises:
        ConfigError: The config names other channels, or levels that there are not.
    """
    fill = getattr(MODELS.get(part["type"]), "with_channels", None) if "type" in part else None
    if fill is None:
        return part
    return {"in_channels": None, **part} if channels is None else fill(part, channels)


def filled(
    part: dict[str, Any], key: str, index: int | Sequence[int], channels: Sequence[int]
) -> dict[str, Any]:
    """A config with the channels of one level, or of several, at a key.

    Args:
        part: Config of a part.
        key: ``in_channels``, or what the part calls them.
        index: The level or levels.
        channels: Of all levels.

    Raises:
        ConfigError: There is no such level, or the config names other channels.
    """
    name = part["type"]
    levels = list(index) if isinstance(index, Sequence) else [index]
    if not all(-len(channels) <= level < len(channels) for level in levels):
        raise ConfigError(
            f"config: {name} takes in_index={index}, but the encoder gives {len(channels)} levels; expected "
            f"numbers from 0 to {len(channels) - 1}"
        )
    expected = [channels[level] for level in levels]
    right = expected if isinstance(index, Sequence) else expected[0]
    found = part.get(key)
    if found is None:
        return {**part, key: right}
    if isinstance(found, Sequence) == isinstance(index, Sequence) and right != (
        list(found) if isinstance(found, Sequence) else found
    ):
        raise ConfigError(
            f"config: {key}={found} of {name}, but the encoder's levels have {list(channels)} channels; "
            f"leave {key} out (or None), or set {key}={right}"
        )
    return part
