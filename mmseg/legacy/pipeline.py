"""Transforms of an old pipeline, and how images were normalised in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmseg.errors import ConfigError
from mmseg.legacy.old_part import OldPart

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of red, green and blue."""


def translate_pipeline(
    steps: Sequence[dict], place: str, labelled: bool = True, test: bool = False
) -> tuple[list[dict[str, Any]], Normalisation | None]:
    """Today's transforms, and what the data preprocessor has to do; None where images were not normalised.

    Args:
        steps: The old pipeline.
        place: Where it stands, for messages.
        labelled: False for the target of an adaptation, whose labels are not read.
        test: Of a validation or test set: one size, not mirrored, scored at the size of the label.

    Raises:
        ConfigError: A transform has no counterpart, or a test set has several sizes or mirrored images.
    """
    transforms: list[dict[str, Any]] = []
    normalisation = None
    for old in flat(steps, place):
        kind = old.need("type")
        if kind == "Normalize":
            normalisation = take_normalisation(old)
        elif test and kind in ("RandomCrop", "PhotoMetricDistortion"):
            raise ConfigError(f"old config: {old.place}: {kind} in a test pipeline; remove it")
        else:
            transforms += translate_step(kind, old)
    if test:  # mirrored only where MultiScaleFlipAug says so; labels are loaded behind Resize
        transforms = [step for step in transforms if step["type"] not in ("RandomFlip", "LoadLabel")]
        transforms.append(dict(type="LoadLabel"))
    elif not labelled:  # crops are not chosen by labels then
        transforms = [
            {key: value for key, value in step.items() if key != "cat_max_ratio"}
            for step in transforms
            if step["type"] != "LoadLabel"
        ]
    return [*transforms, dict(type="PackInputs")], normalisation


def flat(steps: Sequence[dict], place: str) -> Iterator[OldPart]:
    """The transforms one by one, also those inside of ``MultiScaleFlipAug``."""
    for index, step in enumerate(steps):
        old = OldPart(step, f"{place}.{index}")
        if old.values.get("type") == "MultiScaleFlipAug":
            yield from flat(take_single_scale(old), f"{old.place}.transforms")
        else:
            yield old


def take_single_scale(old: OldPart) -> list[dict]:
    """The transforms inside of ``MultiScaleFlipAug``, whose Resize knows its scale then."""
    averaged = "only one size is translated; set it here and average over sizes with --aug-test"
    old.expect("flip", False, None, because=averaged)
    old.expect("img_ratios", None, 1, [1], (1,), because=averaged)
    old.ignore("type", "flip_direction")
    scale, transforms = old.take("img_scale"), old.take("transforms") or []
    old.refuse_rest("the transform has no such setting")
    if scale is None:
        return [step for step in transforms if step.get("type") != "Resize"]
    return [
        {"img_scale": scale, **step} if step.get("type") == "Resize" else dict(step) for step in transforms
    ]


def take_normalisation(old: OldPart) -> Normalisation:
    """``Normalize`` of RGB images.

    Raises:
        ConfigError: The network takes BGR images.
    """
    old.expect("to_rgb", True, because="networks take RGB images")
    normalisation = tuple(old.need("mean")), tuple(old.need("std"))
    old.refuse_rest("Normalize has no such setting")
    return normalisation


def one_scale(old: OldPart) -> tuple[int, int]:
    """The one (width, height) of ``img_scale``, which may be a list of scales.

    Raises:
        ConfigError: There are several.
    """
    scale = old.need("img_scale")
    if isinstance(scale, list | tuple) and len(scale) == 1:
        scale = scale[0]
    if not isinstance(scale, list | tuple) or len(scale) != 2 or not all(isinstance(v, int) for v in scale):
        raise ConfigError(
            f"old config: {old.name('img_scale')}={scale!r} cannot be translated, expected one pair "
            "(width, height)"
        )
    return scale[0], scale[1]


@dataclass(frozen=True)
class Counterpart:
    """What an old transform is today.

    Attributes:
        type: Today's transform; None = another part does its work.
        because: What is done here instead of other values of ``fixed``.
        fixed: Entry -> values that agree with what happens without it.
        kept: Entry that has kept its name -> its default, which needs not be named.
        others: Takes further entries.
        ignored: Entries without meaning here.
    """

    type: str | None
    because: str = ""
    fixed: Mapping[str, tuple] = field(default_factory=dict)
    kept: Mapping[str, Any] = field(default_factory=dict)
    others: Callable[[OldPart], dict[str, Any]] = lambda old: {}
    ignored: Sequence[str] = ()


READERS = ("imdecode_backend", "file_client_args")
PACKED = Counterpart(None, ignored=("keys", "meta_keys"))
"""What made tensors; ``PackInputs`` ends every pipeline now."""
STEPS = {
    "LoadImageFromFile": Counterpart(
        "LoadImage", "images are read as bytes of three channels",
        fixed=dict(to_float32=(False,), color_type=("color",)), ignored=READERS,
    ),
    "LoadAnnotations": Counterpart(
        "LoadLabel", "label 0 is a class; use id_map of the data set",
        fixed=dict(reduce_zero_label=(False,)), ignored=READERS,
    ),
    "Resize": Counterpart(
        "Resize", "images are resized to one size",
        fixed=dict(ratio_range=(None,), multiscale_mode=("range", "value")),
        others=lambda old: dict(scale=one_scale(old)), kept=dict(keep_ratio=True),
    ),
    "RandomCrop": Counterpart(
        "RandomCrop", "pixels without a class have label 255", fixed=dict(ignore_index=(255,)),
        others=lambda old: dict(crop_size=tuple(old.need("crop_size"))), kept=dict(cat_max_ratio=1.0),
    ),
    "RandomFlip": Counterpart(
        "RandomFlip", "images are mirrored left and right", fixed=dict(direction=("horizontal",)),
        others=lambda old: dict(prob=old.take("prob", old.take("flip_ratio"))),
    ),
    "PhotoMetricDistortion": Counterpart(
        "PhotoMetricDistortion",
        kept=dict.fromkeys(("brightness_delta", "contrast_range", "saturation_range", "hue_delta")),
    ),
    "Pad": Counterpart(
        "Pad", "a size is padded to, with the mean colour and without a class",
        fixed=dict(pad_val=(0,), seg_pad_val=(255,), size_divisor=(None,)),
        others=lambda old: dict(size=tuple(old.need("size"))),
    ),
    **dict.fromkeys(("DefaultFormatBundle", "ImageToTensor", "Collect"), PACKED),
}  # fmt: skip


def translate_step(kind: str, old: OldPart) -> list[dict[str, Any]]:
    """Today's transform for an old one; none where another part does its work.

    Raises:
        ConfigError: There is no counterpart.
    """
    if kind not in STEPS:
        raise ConfigError(
            f"old config: {old.place}: {kind} cannot be translated; expected one of Normalize, "
            f"MultiScaleFlipAug, {', '.join(STEPS)}"
        )
    step = STEPS[kind]
    for key, accepted in step.fixed.items():
        old.expect(key, *accepted, because=step.because)
    old.ignore(*step.ignored)
    entries = step.others(old)
    entries |= {key: v for key, default in step.kept.items() if (v := old.take(key, default)) != default}
    old.refuse_rest(f"{kind} has no such setting")
    never = step.type is None or not entries.get("prob", True)
    return [] if never else [dict(type=step.type) | entries]
