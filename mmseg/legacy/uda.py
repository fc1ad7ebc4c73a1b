"""The adaptation method of an old config: of 0.x, or with settings that have another place today."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from mmseg.errors import ConfigError
from mmseg.legacy.old_part import OldPart
from mmseg.registry import MODELS, accepted_arguments, check_part

COPIES = ("model", "max_iters", "work_dir", "log_config", "use_ddp_wrapper")
"""Of other sections, made by the training script."""

RENAMED = {"MinEnt": {"lambda_ent": "lambda_ent_target"}}
"""Method -> settings with another name today."""

AUGMENTATION = {"color_jitter_strength": 0.2, "color_jitter_probability": 0.2}
"""Default of the masking module."""

WITHOUT_TEACHER = {"AdvSeg", "MinEnt", "SourceOnly"}
TEACHER = {"alpha": 0.999, "pseudo_threshold": 0.968}
"""What labelled masked images for these methods, unless they said otherwise."""
SELF_TRAINING = {
    "alpha": 0.99, "pseudo_threshold": 0.968, "pseudo_weight_ignore_top": 0, "pseudo_weight_ignore_bottom": 0,
    "blur": True, **AUGMENTATION,
}  # fmt: skip
"""Settings of DACS that mean nothing when only source labels are trained on."""
MOVED = {"mix", "source_only", "alpha", "pseudo_threshold"}
"""Settings that some method had once, see :func:`todays_uda`."""


def todays_uda(old: Mapping[str, Any]) -> dict[str, Any]:
    """The section of a method with every setting in its place of today.

    - ``DACS(source_only=True)`` is a method of its own, ``SourceOnly``; ``mix='class'`` is how DACS mixes.
    - ``mask_alpha`` and ``mask_pseudo_threshold`` of masking, where ``'same'`` stands for the values of the
      method, are ``masking.teacher``, or nothing where the method's own teacher labels masked images.

    Raises:
        ConfigError: ``mix`` has another value.
    """
    uda = dict(old)
    if (mix := uda.pop("mix", "class")) != "class":
        raise ConfigError(f"uda: mix={mix!r} is unknown; expected 'class', which needs not be named")
    masking = dict(uda["masking"]) if isinstance(uda.get("masking"), Mapping) else None
    defaults = SELF_TRAINING
    if uda.pop("source_only", False):
        uda["type"] = "SourceOnly"
        if masking:
            masking = {key: uda[key] for key in AUGMENTATION if key in uda} | masking
        uda = {key: v for key, v in uda.items() if key not in SELF_TRAINING or key in TEACHER}
    given = {key: uda[key] for key in TEACHER if key in uda}
    teacherless = uda.get("type") in WITHOUT_TEACHER
    if teacherless:
        defaults = TEACHER
        uda = {key: value for key, value in uda.items() if key not in TEACHER}
    if masking is None:
        return uda
    for key in TEACHER:
        if (value := masking.pop(f"mask_{key}", "same")) != "same":
            masking.setdefault("teacher", {})[key] = value
        elif teacherless and key in given:
            masking.setdefault("teacher", {})[key] = given[key]
    if "teacher" in masking:
        of_method = {key: given.get(key, defaults[key]) for key in TEACHER}
        masking["teacher"] = of_method | masking["teacher"]
        if teacherless and masking["teacher"] == TEACHER:
            del masking["teacher"]  # masking makes this one by itself
    return uda | {"masking": masking}


def todays_networks(cfg: MutableMapping[str, Any]) -> dict[str, Any]:
    """Take the keys that optimizer and schedule of AdvSeg's discriminators had, as ``other_networks``."""
    parts = {key: cfg.pop(f"discriminator_{key}", None) for key in ("optim_wrapper", "param_scheduler")}
    parts = {key: part for key, part in parts.items() if part is not None}
    return dict(other_networks=dict(discriminator=parts)) if parts else {}


def translate_uda(old: OldPart) -> tuple[dict[str, Any], int | None]:
    """Today's sections of an adaptation method.

    Returns:
        Sections by name, ``uda`` and perhaps the optimizer and schedule of a discriminator, and the interval
        of debug pictures where the old section has one.

    Raises:
        ConfigError: The method is unknown, or one of its settings has no counterpart.
    """
    method: str = old.need("type")
    check_part(dict(type=method), MODELS, "uda")
    sections: dict[str, Any] = {}
    if method == "AdvSeg":
        sections |= translate_discriminator(old)
    pictures = old.take("debug_img_interval")
    old.ignore(*COPIES)
    old.ignore("imnet_feature_dist_scale_method")  # was never read
    if not old.values.get("print_grad_magnitude"):
        old.ignore("print_grad_magnitude")
    masking = translate_masking(old, dict(AUGMENTATION) if method == "DACS" else take_teacher(old))
    for before, now in RENAMED.get(method, {}).items():
        if before in old:
            old.values[now] = old.take(before)
    uda: dict[str, Any] = dict(type=method)
    if method == "AdvSeg":
        uda["published_double_update"] = True
    # the other settings have kept their names
    known = accepted_arguments(MODELS.get(method))[0] - {"model", "masking"} | MOVED
    uda |= {key: old.take(key) for key in list(old.values) if key in known}
    if masking:
        uda["masking"] = masking
    old.close()
    return {"uda": todays_uda(uda)} | sections, pictures


def take_teacher(old: OldPart) -> dict[str, Any]:
    """Settings of AdvSeg and MinEnt that only served masking; augmentation is returned."""
    old.ignore("blur")  # masked images were blurred whatever it said
    for margin in ("pseudo_weight_ignore_top", "pseudo_weight_ignore_bottom"):
        old.expect(margin, 0, because="use crop_pseudo_margins of the target data set")
    return {key: old.take(key, default) for key, default in AUGMENTATION.items()}


def translate_discriminator(old: OldPart) -> dict[str, Any]:
    """Optimizer and schedule of AdvSeg's discriminators, which were settings of the method."""
    rate, power, final = old.take("lr_D", 1e-4), old.take("lr_D_power", 0.9), old.take("lr_D_min", 0.0)
    schedule = dict(type="PolyWarmupLR", by_epoch=False, power=power, min_lr=final, warmup_iters=0)
    wrapper = dict(optimizer=dict(type="Adam", lr=rate, betas=(0.9, 0.99)))
    return dict(other_networks=dict(discriminator=dict(optim_wrapper=wrapper, param_scheduler=[schedule])))


def translate_masking(old: OldPart, augmentation: dict[str, Any]) -> dict[str, Any] | None:
    """The masking module (MIC), whose settings were those of the method.

    Args:
        old: The ``uda`` section.
        augmentation: Settings of the colour jitter; those that are not the default are named.
    """
    names = ("mask_mode", "mask_alpha", "mask_pseudo_threshold", "mask_lambda")
    masking = {key: old.take(key) for key in names if key in old}
    generator = old.part("mask_generator")
    if masking.get("mask_mode") is None:
        return None
    generator.expect("type", "block", because="masks consist of blocks")
    masking["mask_generator"] = {key: generator.need(key) for key in ("mask_ratio", "mask_block_size")}
    generator.refuse_rest("the mask generator has no such setting")
    if masking.get("mask_lambda", 1) != 1:
        masking["published_mask_lambda"] = True  # it weighed one of the losses only
    return masking | {key: value for key, value in augmentation.items() if value != AUGMENTATION[key]}
