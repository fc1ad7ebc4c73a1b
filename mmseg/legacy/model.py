"""The network of an old config: segmentor, backbone, neck and heads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmseg.errors import ConfigError
from mmseg.legacy.old_part import OldPart
from mmseg.registry import MODELS, check_part

SEGMENTORS = {"MultiResEncoderDecoder": "HRDAEncoderDecoder"}
HEADS = {"UniHead": "DAFormerHead", "MultiResAttentionWrapper": "HRDAHead"}
"""Names of classes before the papers were published."""

CNNS: dict[str, dict[int, tuple[str, dict[str, Any]]]] = {
    "ResNetV1c": {50: ("resnet50c", {}), 101: ("resnet101c", {})},
    "ResNeXt": {
        50: ("resnext50_32x4d", dict(groups=32, base_width=4)),
        101: ("resnext101_32x4d", dict(groups=32, base_width=4)),
    },
    "ResNeSt": {
        50: ("resnest50d", dict(stem_channels=64)),
        101: ("resnest101e", dict(stem_channels=128)),
        200: ("resnest200e", dict(stem_channels=128)),
    },
}
"""Type and depth of a CNN -> its name in timm, and the settings it has to have for that."""

DILATIONS = {8: (1, 1, 2, 4), 16: (1, 1, 1, 2), 32: (1, 1, 1, 1)}
"""Output stride -> dilations of the four stages."""

TUPLES = {"dilations", "down_factor", "crop_size", "stride", "hr_crop_size", "pool_scales"}
"""Entries that are tuples in Python configs; JSON has lists only."""


def translate_model(old: OldPart) -> dict[str, Any]:
    """Today's ``model`` section.

    Raises:
        ConfigError: A part has no counterpart.
    """
    kind = old.need("type")
    backbone, backbone_weights = translate_backbone(old.part("backbone"))
    model: dict[str, Any] = dict(
        type=SEGMENTORS.get(kind, kind),
        pretrained=old.take("pretrained") or backbone_weights,
        backbone=backbone,
        decode_head=translate_head(old.part("decode_head")),
        test_cfg=old.take("test_cfg") or dict(mode="whole"),
    )
    if model["type"] == "HRDAEncoderDecoder" and "crop_coord_divisible" not in old:
        model["crop_coord_divisible"] = 1  # the default of that time
    if neck := old.take("neck"):
        model["neck"] = neck
    if auxiliary := old.take("auxiliary_head"):
        heads = auxiliary if isinstance(auxiliary, Sequence) else [auxiliary]
        translated = [translate_head(old.inner(head, "auxiliary_head")) for head in heads]
        model["auxiliary_head"] = translated if isinstance(auxiliary, Sequence) else translated[0]
    train_cfg = old.part("train_cfg")
    train_cfg.ignore("work_dir", "log_config")  # copies that the training script made
    train_cfg.close()
    old.ignore("init_cfg")
    model = with_tuples(model | old.values)
    for part in ("backbone", "neck", "decode_head"):
        if part in model:
            check_part(model[part], MODELS, f"model.{part}")
    check_part(model, MODELS, "model")
    return model


def translate_backbone(old: OldPart) -> tuple[dict[str, Any], str | None]:
    """Today's backbone, and the ImageNet weights where the old config names them there.

    Raises:
        ConfigError: It is a CNN in a form that was never published.
    """
    kind = old.need("type")
    init_cfg = old.take("init_cfg") or {}
    weights = old.take("pretrained") or init_cfg.get("checkpoint")
    if kind in CNNS:
        return translate_cnn(kind, old), weights
    # style belongs to ResNets; the other two never had an effect
    old.ignore("style", "ema_drop_path_rate", "freeze_patch_embed")
    return dict(type=kind, **old.values), weights


def translate_cnn(kind: str, old: OldPart) -> dict[str, Any]:
    """A ResNet or relative as timm has it.

    Raises:
        ConfigError: timm has no such network.
    """
    depth = old.need("depth")
    if depth not in CNNS[kind]:
        known = ", ".join(map(str, CNNS[kind]))
        raise ConfigError(f"old config: {old.name('depth')}={depth} of {kind}; expected one of {known}")
    name, settings = CNNS[kind][depth]
    for key, value in settings.items():
        old.values.setdefault(key, None)
        old.expect(key, value, because=f"this is the {kind} that was published")
    strides = tuple(old.take("strides") or (1, 2, 2, 2))
    dilations = tuple(old.take("dilations") or (1, 1, 1, 1))
    output_stride = 4 * math.prod(strides)
    if DILATIONS.get(output_stride) != dilations:
        raise ConfigError(
            f"old config: {old.place}: strides={strides} and dilations={dilations} cannot be translated; "
            "expected a stage to have its stride or to be dilated instead, e.g. (1, 2, 1, 1) and (1, 1, 2, 4)"
        )
    if output_stride < 32:
        old.values.setdefault("contract_dilation", False)
        old.expect("contract_dilation", True, because="the first block of a stage has half the dilation")
    old.expect("num_stages", 4, because="all stages are used")
    old.expect("out_indices", (0, 1, 2, 3), [0, 1, 2, 3], because="heads choose their levels by in_index")
    old.expect("norm_eval", False, because="norms of the backbone are trained")
    old.expect("frozen_stages", -1, because="all stages are trained")
    old.expect("style", "pytorch", because="the stride lies in the 3x3 convolution")
    old.expect("radix", 2, because="as published")
    old.expect("reduction_factor", 4, because="as published")
    old.expect("avg_down_stride", True, because="as published")
    norm = old.part("norm_cfg")
    norm.expect("type", "BN", "SyncBN", because="timm's networks have batch norms")
    norm.ignore("requires_grad")
    norm.close()
    old.ignore("contract_dilation", "pretrained")
    old.refuse_rest("timm's network has no such setting; remove it if it does not matter")
    return dict(type="TimmBackbone", name=name, output_stride=output_stride)


def translate_head(old: OldPart) -> dict[str, Any]:
    """Today's decode head."""
    kind = old.need("type")
    head = dict(type=HEADS.get(kind, kind))
    shared = old.take("single_scale_head")
    if shared is not None:
        head["single_scale_head"] = HEADS.get(shared, shared)
    # written there by the segmentor, which has them too
    old.ignore("scales", "enable_hr_crop", "hr_slide_inference", "debug_output_attention", "init_cfg")
    old.expect("attention_embed_dim", 256, because="the scale attention has 256 channels")
    old.expect("align_corners", False, because="as in all published networks")
    old.expect("input_transform", None, "multiple_select", because="heads take the levels of in_index")
    old.expect("sampler", None, because="all pixels count in the loss")
    old.expect("conv_cfg", None, because="heads have ordinary convolutions")
    if "decoder_params" in old:
        head["decoder_params"] = translate_decoder(old.part("decoder_params"), "UniHead" in (kind, shared))
    losses = old.take("loss_decode")
    if losses is not None:
        several = isinstance(losses, Sequence) and len(losses) > 1
        found = [
            translate_loss(old.inner(loss, "loss_decode"), named=several)
            for loss in (losses if isinstance(losses, Sequence) else [losses])
        ]
        head["loss_decode"] = found if several else found[0]
    return head | old.values


def translate_decoder(old: OldPart, early: bool) -> dict[str, Any]:
    """Layers of the DAFormer or SegFormer decoder.

    Args:
        old: ``decoder_params``.
        early: The head is of the time before ASPP could have an image pool.
    """
    layers = {}
    for name in ("embed_cfg", "embed_neck_cfg", "fusion_cfg"):
        if name not in old:
            continue
        layer = old.part(name)
        if layer.values.get("type") in ("mlp", "id"):
            layer.ignore("act_cfg", "norm_cfg")  # linear layers have neither
            kind = layer.take("type")
            layer.refuse_rest("a linear layer has no settings")
            layer.values["type"] = kind
        layer.expect("align_corners", False, because="as in all published networks")
        layer.expect("context_cfg", None, because="there is no further branch")
        if early and name == "fusion_cfg":
            layer.values["pool"] = False
        layers[name] = layer.values
    old.expect("conv_kernel_size", 1, because="SegFormer fuses its levels by a 1x1 convolution")
    return layers | old.values


def translate_loss(loss: OldPart, named: bool) -> dict[str, Any]:
    """A loss of a head.

    Args:
        loss: Its config.
        named: It is one of several, whose names in the log stay.

    Raises:
        ConfigError: It is of a kind that was never published.
    """
    loss.expect("use_sigmoid", False, because="classes exclude each other")
    loss.expect("use_mask", False, because="labels are maps of classes")
    loss.expect("avg_non_ignore", False, because="the mean is over all pixels")
    name = loss.take("loss_name")
    check_part(loss.values, MODELS, loss.place)
    return loss.values | (dict(loss_name=name) if named and name else {})


def with_tuples(value: Any, key: str = "") -> Any:
    """A copy with tuples where Python configs have them."""
    if isinstance(value, Mapping):
        return {name: with_tuples(entry, name) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        entries = [with_tuples(entry) for entry in value]
        return tuple(entries) if key in TUPLES else entries if isinstance(value, list) else tuple(entries)
    return value
