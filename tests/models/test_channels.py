"""``in_channels`` of necks and heads, from what the encoder says about its levels."""

import pytest
import torch
from torch import nn

import mmseg.models  # noqa: F401  (fills the registry)
from mmseg.errors import ConfigError
from mmseg.registry import MODELS

FCN = dict(type="FCNHead", channels=4, num_classes=3, num_convs=1, concat_input=False)
DAFORMER = dict(
    type="DAFormerHead",
    in_index=[0, 1, 2, 3],
    channels=4,
    num_classes=3,
    decoder_params=dict(
        embed_dims=4,
        embed_cfg=dict(type="mlp", act_cfg=None, norm_cfg=None),
        embed_neck_cfg=dict(type="mlp", act_cfg=None, norm_cfg=None),
        fusion_cfg=dict(type="conv", kernel_size=1, act_cfg=dict(type="ReLU"), norm_cfg=None),
    ),
)
SEP_ASPP = dict(type="DepthwiseSeparableASPPHead", channels=4, num_classes=3, c1_channels=2, dilations=(1, 2))
LEVELS = (32, 64, 160, 256)


def segmentor(head, **changes):
    return MODELS.build(
        dict(dict(type="EncoderDecoder", backbone=dict(type="mit_b0"), decode_head=head), **changes)
    )


@pytest.mark.parametrize(
    "head", [FCN, dict(FCN, in_index=1), DAFORMER, SEP_ASPP], ids=lambda head: head["type"]
)
def test_left_out_channels_are_filled_in(head):
    network = segmentor(dict(head, in_channels=None), auxiliary_head=[dict(FCN, in_index=2)]).eval()
    with torch.no_grad():
        assert network.encode_decode(torch.zeros(1, 3, 64, 64)).shape == (1, 3, 64, 64)
    index = head.get("in_index", -1)
    expected = list(LEVELS) if isinstance(index, list) else LEVELS[index]
    assert network.decode_head.in_channels == expected
    assert network.auxiliary_head[0].in_channels == 160


def test_heads_of_hrda():
    head = dict(FCN, type="HRDAHead", single_scale_head="FCNHead", in_index=3)
    attention = dict(type="FCNHead", channels=4, in_index=2, num_convs=1)
    network = segmentor(
        dict(head, attention_head=attention),
        type="HRDAEncoderDecoder",
        hr_crop_size=(64, 64),
        crop_coord_divisible=32,
    )
    assert network.decode_head.head.in_channels == 256
    assert network.decode_head.scale_attention.in_channels == 160
    with pytest.raises(
        ConfigError, match=r"in_channels=7 of FCNHead, but the encoder's levels have \[32, 64"
    ):
        segmentor(dict(head, in_channels=7), type="HRDAEncoderDecoder", hr_crop_size=(64, 64))


def test_neck_of_a_vision_transformer():
    backbone = dict(type="TimmBackbone", name="vit_tiny_patch16_224")
    network = segmentor(DAFORMER, backbone=backbone, neck=dict(type="ViTPyramid"))
    assert list(network.decode_head.in_channels) == [192] * 4
    with pytest.raises(ConfigError, match=r"in_channels=\[8, 8, 8, 8\] of ViTPyramid"):
        segmentor(DAFORMER, backbone=backbone, neck=dict(type="ViTPyramid", in_channels=[8] * 4))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            dict(FCN, in_channels=512),
            r"in_channels=512 of FCNHead, .* \[32, 64, 160, 256\] .* set in_channels=256",
        ),
        (dict(DAFORMER, in_channels=[64, 128, 320, 512]), r"set in_channels=\[32, 64, 160, 256\]"),
        (dict(SEP_ASPP, c1_in_channels=64), "c1_in_channels=64 .* set c1_in_channels=32"),
        (dict(FCN, in_index=4), r"FCNHead takes in_index=4, but the encoder gives 4 levels; .* 0 to 3"),
        (dict(DAFORMER, in_channels=256), "must name the same levels"),
    ],
)
def test_wrong_channels_are_named(head, message):
    with pytest.raises(ConfigError, match=message):
        segmentor(head)


class Silent(nn.Conv2d):
    """A backbone that does not tell its channels."""

    def __init__(self):
        super().__init__(3, 5, 3, 4)

    def forward(self, image):
        return [super().forward(image)]


def test_a_backbone_that_does_not_tell():
    MODELS.register_module(name="Silent", module=Silent, force=True)
    backbone = dict(type="Silent")
    assert segmentor(dict(FCN, in_channels=5), backbone=backbone).decode_head.in_channels == 5
    with pytest.raises(ConfigError, match="FCNHead: in_channels are missing, and the encoder does not tell"):
        segmentor(FCN, backbone=backbone)
