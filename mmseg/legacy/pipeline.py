"""Transforms of an old pipeline, and how images were normalised in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mmseg.errors import ConfigError
from mmseg.legacy.old_part import OldPart

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of red, green and blue."""


@dataclass
class Pipeline:
    """A translated pipeline.

    Attributes:
        transforms: Today's transforms.
        normalisation: What the data preprocessor has to do; None where the images were not normalised.
    """

    transforms: list[dict[str, Any]]
    normalisation: Normalisation | None = None


def translate_training_pipeline(steps: Sequence[dict], place: str, labelled: bool) -> Pipeline:
    """Transforms of a training set.

    Args:
        steps: The old pipeline.
        place: Where it stands, for messages.
        labelled: False for the target of an adaptation, whose labels are not read.

    Raises:
        ConfigError: A transform has no counterpart.
    """
    pipeline = Pipeline([])
    for index, step in enumerate(steps):
        old = OldPart(step, f"{place}.{index}")
        kind = old.need("type")
        if kind == "Normalize":
            pipeline.normalisation = take_normalisation(old)
        else:
            pipeline.transforms += translate_step(kind, old)
    if not labelled:
        pipeline.transforms = [without_labels(step) for step in pipeline.transforms if not_loading(step)]
    pipeline.transforms.append(dict(type="PackInputs"))
    return pipeline


def translate_test_pipeline(steps: Sequence[dict], place: str) -> Pipeline:
    """Transforms of a validation or test set: one size, not mirrored, scored at the size of the label.

    Raises:
        ConfigError: There are several sizes or mirrored images, or a transform has no counterpart.
    """
    pipeline = Pipeline([])
    for index, step in enumerate(steps):
        old = OldPart(step, f"{place}.{index}")
        kind = old.need("type")
        if kind == "MultiScaleFlipAug":
            inner = take_single_scale(old)
            for number, transform in enumerate(inner):
                part = OldPart(transform, f"{old.place}.transforms.{number}")
                translate_test_step(part, pipeline)
        else:
            translate_test_step(OldPart(step, old.place), pipeline)
    pipeline.transforms += [dict(type="LoadLabel"), dict(type="PackInputs")]
    return pipeline


def translate_test_step(old: OldPart, pipeline: Pipeline) -> None:
    """Append the counterpart of one transform."""
    kind = old.need("type")
    if kind == "Normalize":
        pipeline.normalisation = take_normalisation(old)
    elif kind in ("RandomCrop", "PhotoMetricDistortion"):
        raise ConfigError(f"old config: {old.place}: {kind} in a test pipeline; remove it")
    else:
        # mirrored only where MultiScaleFlipAug says so; labels are loaded behind Resize
        elsewhere = ("RandomFlip", "LoadLabel")
        pipeline.transforms += [step for step in translate_step(kind, old) if step["type"] not in elsewhere]


def take_single_scale(old: OldPart) -> list[dict]:
    """The transforms inside of ``MultiScaleFlipAug``, whose Resize knows its scale then."""
    averaged = "only one size is translated; set it here and average over sizes with --aug-test"
    old.expect("flip", False, None, because=averaged)
    old.expect("img_ratios", None, 1, [1], (1,), because=averaged)
    old.ignore("flip_direction")
    scale, transforms = old.take("img_scale"), old.take("transforms") or []
    old.refuse_rest("the transform has no such setting")
    if scale is None:
        return [step for step in transforms if step.get("type") != "Resize"]
    return [
        {"img_scale": scale, **step} if step.get("type") == "Resize" else dict(step) for step in transforms
    ]


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
    transforms = STEPS[kind](old)
    old.refuse_rest(f"{kind} has no such setting")
    return transforms


def load_image(old: OldPart) -> list[dict[str, Any]]:
    """``LoadImageFromFile``: 8-bit colour images."""
    old.expect("to_float32", False, because="images are read as bytes")
    old.expect("color_type", "color", because="images have three channels")
    old.ignore("imdecode_backend", "file_client_args")
    return [dict(type="LoadImage")]


def load_label(old: OldPart) -> list[dict[str, Any]]:
    """``LoadAnnotations``: label maps of classes."""
    old.expect("reduce_zero_label", False, because="label 0 is a class; use id_map of the data set")
    old.ignore("imdecode_backend", "file_client_args")
    return [dict(type="LoadLabel")]


def resize(old: OldPart) -> list[dict[str, Any]]:
    """``Resize`` to one size."""
    fixed = "images are resized to one size"
    old.expect("ratio_range", None, because=fixed)
    old.expect("multiscale_mode", "range", "value", because=fixed)
    scale = one_scale(old)
    keep_ratio = old.take("keep_ratio", True)
    return [dict(type="Resize", scale=scale) | ({} if keep_ratio else dict(keep_ratio=False))]


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


def random_crop(old: OldPart) -> list[dict[str, Any]]:
    """``RandomCrop``."""
    old.expect("ignore_index", 255, because="pixels without a class have label 255")
    crop = dict(type="RandomCrop", crop_size=tuple(old.need("crop_size")))
    ratio = old.take("cat_max_ratio", 1.0)
    return [crop if ratio >= 1 else crop | dict(cat_max_ratio=ratio)]


def random_flip(old: OldPart) -> list[dict[str, Any]]:
    """``RandomFlip``, whose probability was called ``flip_ratio`` once."""
    old.expect("direction", "horizontal", because="images are mirrored left and right")
    probability = old.take("prob", old.take("flip_ratio"))
    return [dict(type="RandomFlip", prob=probability)] if probability else []


def pad(old: OldPart) -> list[dict[str, Any]]:
    """``Pad`` to a size."""
    old.expect("pad_val", 0, because="padding has the mean colour")
    old.expect("seg_pad_val", 255, because="padding has no class")
    old.expect("size_divisor", None, because="give the size")
    return [dict(type="Pad", size=tuple(old.need("size")))]


def photometric(old: OldPart) -> list[dict[str, Any]]:
    """``PhotoMetricDistortion``, whose settings are the same."""
    names = ("brightness_delta", "contrast_range", "saturation_range", "hue_delta")
    return [dict(type="PhotoMetricDistortion") | {name: old.take(name) for name in names if name in old}]


def packed(old: OldPart) -> list[dict[str, Any]]:
    """What made tensors; ``PackInputs`` ends every pipeline now."""
    old.ignore("keys", "meta_keys")
    return []


STEPS: dict[str, Callable[[OldPart], list[dict[str, Any]]]] = {
    "LoadImageFromFile": load_image,
    "LoadAnnotations": load_label,
    "Resize": resize,
    "RandomCrop": random_crop,
    "RandomFlip": random_flip,
    "PhotoMetricDistortion": photometric,
    "Pad": pad,
    "DefaultFormatBundle": packed,
    "ImageToTensor": packed,
    "Collect": packed,
}


def take_normalisation(old: OldPart) -> Normalisation:
    """``Normalize`` of RGB images.

    Raises:
        ConfigError: The network takes BGR images.
    """
    old.expect("to_rgb", True, because="networks take RGB images")
    normalisation = tuple(old.need("mean")), tuple(old.need("std"))
    old.refuse_rest("Normalize has no such setting")
    return normalisation


def not_loading(step: dict[str, Any]) -> bool:
    """Whether a transform is something else than the loading of labels."""
    return step["type"] != "LoadLabel"


def without_labels(step: dict[str, Any]) -> dict[str, Any]:
    """A transform that needs no labels: crops are not chosen by them."""
    return {key: value for key, value in step.items() if key != "cat_max_ratio"}
