"""Networks of the papers by their names: any decoder on any encoder that fits.

``dlv2red_r101v1c`` is the decoder dlv2red on the encoder r101v1c. Two changes of the decoder are part of its
name: ``sfa_…`` brings the last level of MiT from stride 32 to the stride 8 that decoders of dilated CNNs were
made for, ``…_nodbn`` leaves out the batch norms of the decoder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmseg.config.base import base
from mmseg.errors import ConfigError


@dataclass(frozen=True)
class Encoder:
    """An encoder with four levels.

    Attributes:
        backbone: Its config.
        pretrained: ImageNet weights.
        channels: Of the levels.
        stride: Of the last level in pixels.
    """

    backbone: Mapping[str, Any]
    pretrained: str
    channels: tuple[int, int, int, int]
    stride: int


def mix_transformer(size: int, channels: tuple[int, int, int, int] = (64, 128, 320, 512)) -> Encoder:
    """MiT-B0 to B5."""
    return Encoder(dict(type=f"mit_b{size}"), f"pretrained/mit_b{size}.pth", channels, stride=32)


def dilated_cnn(name: str, pretrained: str) -> Encoder:
    """A relative of ResNet with dilated last stages, by its name in timm and that of its weights."""
    backbone = dict(type="TimmBackbone", name=name, output_stride=8)
    return Encoder(backbone, f"open-mmlab://{pretrained}", (256, 512, 1024, 2048), stride=8)


ENCODERS = {
    "mitb0": mix_transformer(0, (32, 64, 160, 256)),
    **{f"mitb{size}": mix_transformer(size) for size in range(1, 6)},
    "r50v1c": dilated_cnn("resnet50c", "resnet50_v1c"),
    "r101v1c": dilated_cnn("resnet101c", "resnet101_v1c"),
    "x50-32": dilated_cnn("resnext50_32x4d", "resnext50_32x4d"),
    "x101-32": dilated_cnn("resnext101_32x4d", "resnext101_32x4d"),
    "s50": dilated_cnn("resnest50d", "resnest50"),
    "s101": dilated_cnn("resnest101e", "resnest101"),
    "s200": dilated_cnn("resnest200e", "resnest200"),
}

DECODERS = {
    "dlv2": "deeplabv2_r50-d8",
    "dlv2red": "deeplabv2red_r50-d8",
    "dlv3": "deeplabv3_r50-d8",
    "dlv3p": "deeplabv3plus_r50-d8",
    "fcn": "fcn_r50-d8",
    "psp": "pspnet_r50-d8",
    "da": "danet_r50-d8",
    "isa": "isanet_r50-d8",
    "segformer": "segformer_b5",
    "upernet": "upernet_mit",
    "upernet_ch256": "upernet_ch256_mit",
    "daformer_conv1": "daformer_conv1_mitb5",
    "daformer_isa": "daformer_isa_mitb5",
    "daformer_aspp": "daformer_aspp_mitb5",
    "daformer_sepaspp": "daformer_sepaspp_mitb5",
    "daformer_sepaspp_bottleneck": "daformer_sepaspp_bottleneck_mitb5",
}
"""Decoder -> a network in configs/_base_/models that has it."""


def split(name: str) -> tuple[str, str]:
    """Decoder and encoder of ``<decoder>_<encoder>``."""
    decoder, _, encoder = name.rpartition("_")
    return decoder, encoder


def network(name: str, multi_resolution: bool = False) -> dict[str, Any]:
    """Config of the model ``<decoder>_<encoder>``.

    Args:
        name: As published; the ending ``-del`` of an encoder has no meaning here.
        multi_resolution: HRDA is to be put over it.

    Raises:
        ConfigError: A part is unknown, or the parts do not fit; the message names what does.
    """
    full_decoder, full_encoder = split(name)
    adapted, without_norms = full_decoder.startswith("sfa_"), full_decoder.endswith("_nodbn")
    decoder = full_decoder.removeprefix("sfa_").removesuffix("_nodbn")
    encoder = _look_up(ENCODERS, full_encoder.removesuffix("-del"), f"network {name}: encoder")
    model = base(f"models/{_look_up(DECODERS, decoder, f'network {name}: decoder')}")["model"]
    head = model["decode_head"]
    uses_one_level = isinstance(head["in_channels"], int)
    if adapted and (encoder.stride != 32 or not uses_one_level):
        raise ConfigError(
            f"network {name}: sfa_ brings the last level of MiT to stride 8; expected a decoder of one level "
            "(such as dlv3p) on mitb0 to mitb5, or a name without sfa_"
        )
    if multi_resolution and uses_one_level and encoder.stride == 32 and not adapted:
        raise ConfigError(
            f"network {name}: HRDA expects {decoder} at stride 8, but {full_encoder} ends at stride 32; use "
            f"sfa_{name}"
        )
    head["in_channels"] = encoder.channels[-1] if uses_one_level else list(encoder.channels)
    if "c1_in_channels" in head:
        head["c1_in_channels"] = encoder.channels[0]
    if adapted:
        model["neck"] = dict(type="SegFormerAdapter")
    elif model.get("neck"):  # brings the last level to the stride of the first
        model["neck"]["scales"] = [encoder.stride // 4]
    if without_norms:
        model["decode_head"] = _without_norms(head)
    return {**model, "backbone": dict(encoder.backbone), "pretrained": encoder.pretrained}


def _look_up(table: Mapping[str, Any], name: str, place: str) -> Any:
    if name not in table:
        raise ConfigError(f"{place} {name!r} is unknown; expected one of {', '.join(table)}")
    return table[name]


def _without_norms(head: dict[str, Any]) -> dict[str, Any]:
    """A copy of a head's config that names no normalisation anywhere."""
    copied = {key: _without_norms(value) if isinstance(value, dict) else value for key, value in head.items()}
    return {**copied, "norm_cfg": None} if "norm_cfg" in head else copied
