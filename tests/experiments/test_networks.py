"""Any decoder on any encoder that fits."""

import itertools

import pytest
import torch
from mmengine.config import Config

from mmseg import models  # noqa: F401  (fills the registry)
from mmseg.config.base import CONFIGS, base
from mmseg.errors import ConfigError
from mmseg.experiments.make_config import DETAIL_OPTIONS, make_config
from mmseg.experiments.names import Axes, Detail
from mmseg.experiments.networks import DECODERS, ENCODERS, network, split
from mmseg.registry import MODELS, check_part

OF_ONE_LEVEL = ("dlv2", "dlv2red", "dlv3", "dlv3p", "fcn", "psp", "da", "isa")
MIX_TRANSFORMERS = [name for name in ENCODERS if name.startswith("mit")]
LARGE = ("mitb3", "mitb4", "mitb5", "s200", "s101", "x101-32", "r101v1c")


@pytest.mark.parametrize("decoder", DECODERS)
def test_decoder_takes_the_channels_of_every_encoder(decoder):
    for name, encoder in ENCODERS.items():
        model = network(f"{decoder}_{name}")
        check_part(model, MODELS)
        check_part(model["decode_head"], MODELS)
        assert (model["backbone"], model["pretrained"]) == (encoder.backbone, encoder.pretrained)
        levels = model["decode_head"]["in_channels"]
        assert levels == (encoder.channels[-1] if decoder in OF_ONE_LEVEL else list(encoder.channels))
        assert model["decode_head"].get("c1_in_channels", encoder.channels[0]) == encoder.channels[0]
        assert network(f"{decoder}_{name}-del") == model


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in ENCODERS]
)
def test_encoder_has_these_channels_and_strides(name):
    encoder = ENCODERS[name]
    backbone = MODELS.build(dict(encoder.backbone)).eval()
    with torch.no_grad():
        levels = backbone(torch.zeros(1, 3, 64, 64))
    assert tuple(level.shape[1] for level in levels) == encoder.channels
    assert 64 // levels[-1].shape[-1] == encoder.stride and levels[0].shape[-1] == 16


@pytest.mark.parametrize("decoder", DECODERS)
def test_base_config_of_a_decoder_is_one_of_its_networks(decoder):
    model = base(f"models/{DECODERS[decoder]}")["model"]
    (encoder,) = [name for name in ENCODERS if ENCODERS[name].backbone == model["backbone"]]
    assert network(f"{decoder}_{encoder}") == model


def test_segformer_on_a_cnn_is_its_base_config():
    assert (
        network("segformer_r101v1c")
        == Config.fromfile(CONFIGS / "_base_/models/segformer_r101.py").model.to_dict()
    )


@pytest.mark.parametrize("decoder", OF_ONE_LEVEL)
def test_adapter_brings_mit_to_stride_8(decoder):
    model = network(f"sfa_{decoder}_mitb0-del")
    plain = network(f"{decoder}_mitb0")
    assert model.pop("neck") == dict(type="SegFormerAdapter") and "neck" not in plain
    assert model == plain and model["decode_head"]["in_channels"] == 256
    neck = MODELS.build(dict(type="SegFormerAdapter"))
    levels = [torch.zeros(1, 1, 64 // stride, 64 // stride) for stride in (4, 8, 16, 32)]
    assert [level.shape[-1] for level in neck(levels)] == [16, 8, 4, 8]


@pytest.mark.parametrize(("encoder", "factor"), [("mitb0", 8), ("r50v1c", 2)])
def test_bottleneck_brings_the_last_level_to_stride_4(encoder, factor):
    assert network(f"daformer_sepaspp_bottleneck_{encoder}")["neck"]["scales"] == [factor]


@pytest.mark.parametrize("decoder", [name for name in DECODERS if not name.startswith("dlv2")])
def test_decoder_without_norms(decoder):
    with_norms, without = (
        MODELS.build(network(name)["decode_head"]) for name in (f"{decoder}_mitb0", f"{decoder}_nodbn_mitb0")
    )
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in with_norms.modules())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in without.modules())


def hrda(name: str, *options: str) -> Axes:
    return Axes(network=name, detail=Detail(crop=256, options=options))


@pytest.mark.parametrize(
    "name", ["dlv2red_r50v1c", "sfa_dlv2_mitb0", "daformer_conv1_r50v1c", "daformer_isa_mitb1"]
)
def test_hrda_over_other_networks(name):
    cfg = make_config(hrda(name))
    assert cfg.name_decoder == f"hrda1-256-0.1_{split(name)[0]}"
    cfg.model.update(pretrained=None, hr_crop_size=(32, 32))
    segmentor = MODELS.build(cfg.model).eval()
    with torch.no_grad():
        assert segmentor.encode_decode(torch.zeros(1, 3, 64, 64)).shape == (1, 19, 64, 64)


@pytest.mark.parametrize("option", DETAIL_OPTIONS)
def test_options_of_hrda(option):
    cfg = make_config(hrda("daformer_sepaspp_mitb0", option))
    plain = make_config(hrda("daformer_sepaspp_mitb0"))
    assert cfg.model != plain.model and MODELS.build(dict(cfg.model, pretrained=None))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("segformer_vgg", "encoder 'vgg' is unknown; expected one of mitb0, mitb1, .* s200"),
        ("nothing_mitb5", "decoder 'nothing' is unknown; expected one of dlv2, .* daformer_sepaspp"),
        ("mitb5", "decoder '' is unknown"),
        ("sfa_dlv3p_r101v1c", "sfa_ brings .* expected a decoder of one level .* on mitb0 to mitb5"),
        ("sfa_daformer_sepaspp_mitb5", "sfa_ brings .* expected a decoder of one level"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_explained(name, message):
    with pytest.raises(ConfigError, match=f"^network {name}: {message}"):
        network(name)


def test_hrda_over_a_coarse_level_is_refused():
    for name, decoder in itertools.product(MIX_TRANSFORMERS, ("dlv2", "dlv2red")):
        with pytest.raises(ConfigError, match=f"expects {decoder} at stride 8, .* use sfa_{decoder}_{name}$"):
            make_config(hrda(f"{decoder}_{name}"))
