"""Heads that were written for dilated CNNs: names, sizes, definitions, and what they do with bad input."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from golden_data import listing
from networks import model_config, published_names

from mmseg.errors import ConfigError
from mmseg.models.decode_heads.da_head import ChannelAttention, PositionAttention
from mmseg.models.decode_heads.pyramid_pooling import PooledConv, PyramidPooling
from mmseg.registry import MODELS

BATCH_NORM = dict(type="BN")


def on_mit(head: dict) -> dict:
    """The head of a dilated ResNet after MiT-B5 and SegFormerAdapter (``sfa_``)."""
    first_level = dict(c1_in_channels=64) if "c1_in_channels" in head else {}
    return head | dict(in_channels=512) | first_level


def without_norm(head: dict) -> dict:
    """``_nodbn``."""
    return head | dict(norm_cfg=None)


@pytest.mark.parametrize(
    "config, encoder, stored",
    [
        ("danet_r50-d8", "resnet50c", "danet_r50"),
        ("isanet_r50-d8", "resnet50c", "isanet_r50"),
        ("deeplabv3plus_r50-d8", "resnet101c", "dlv3plus_r101"),
    ],
)
def test_names_shapes_and_order_of_the_state_dict(config: str, encoder: str, stored: str) -> None:
    with torch.device("meta"):
        network = MODELS.build(model_config(config, encoder))
    names = published_names(network)
    rows = [
        [
            names[name],
            "x".join(map(str, value.shape)) or "scalar",
            str(value.dtype).removeprefix("torch."),
        ]
        for name, value in network.state_dict().items()
    ]
    assert rows == listing(f"statedict_seg_{stored}")


@pytest.mark.parametrize(
    "config, changes, parameters",
    [
        ("segformer_r101", [], 5_330_086),
        ("deeplabv2_r50-d8", [], 1_400_908),
        ("deeplabv2red_r50-d8", [], 700_454),
        ("deeplabv3plus_r50-d8", [without_norm], 17_686_563),
        ("deeplabv3plus_r50-d8", [without_norm, on_mit], 13_699_107),
        ("danet_r50-d8", [without_norm], 23_952_571),
        ("isanet_r50-d8", [without_norm], 11_811_347),
    ],
)
def test_number_of_parameters(config: str, changes: list, parameters: int) -> None:
    head = model_config(config).decode_head
    for change in changes:
        head = change(head)
    with torch.device("meta"):
        assert sum(p.numel() for p in MODELS.build(head).parameters()) == parameters


def head_config(type: str, **changes: Any) -> dict:
    head = dict(type=type, in_channels=6, in_index=-1, channels=8, num_classes=5, norm_cfg=BATCH_NORM)
    return head | changes


SMALL = {
    "ASPPHead": head_config("ASPPHead", dilations=(1, 2, 3)),
    "DepthwiseSeparableASPPHead": head_config(
        "DepthwiseSeparableASPPHead", dilations=(1, 2, 3), c1_in_channels=4, c1_channels=3
    ),
    "DAHead": head_config("DAHead", pam_channels=4),
    "DLV2Head": dict(type="DLV2Head", in_channels=6, in_index=-1, num_classes=5, dilations=(1, 2)),
    "FCNHead": head_config("FCNHead"),
    "ISAHead": head_config("ISAHead", isa_channels=4, down_factor=(2, 2)),
    "PSPHead": head_config("PSPHead"),
    "UPerHead": head_config("UPerHead", in_channels=[4, 6], in_index=[0, 1]),
}
POOLING = ("ASPPHead", "DepthwiseSeparableASPPHead", "PSPHead", "UPerHead")


def levels(batch_size: int = 2) -> list[torch.Tensor]:
    """Two levels of an encoder at strides 4 and 8 of a 32×48 image."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(batch_size, 4, 8, 12), (batch_size, 6, 4, 6)]
    return [torch.randn(shape, generator=generator) for shape in shapes]


@pytest.mark.parametrize("name", SMALL)
def test_training_reaches_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    head, inputs = MODELS.build(SMALL[name]), levels()
    for part in head.modules():
        if type(part).__name__ == "Scale":
            part.scale.data.fill_(0.5)  # from 0 on, attention gets no gradient in the first step
    losses, _ = head.forward_with_logits(inputs, torch.randint(0, 5, (2, 32, 48)))
    sum(value for key, value in losses.items() if "loss" in key).backward()
    without = [key for key, p in head.named_parameters() if p.grad is None or not p.grad.any()]
    # Keys' bias adds the same to all scores of a query, which the softmax takes away again.
    assert without in ([], ["pam.key_project.bias"])
    stride = 4 if name in ("DepthwiseSeparableASPPHead", "UPerHead") else 8
    assert head.eval()(inputs).shape == (2, 5, 32 // stride, 48 // stride)


@pytest.mark.parametrize("name", [name for name in SMALL if name != "DLV2Head"])
def test_without_norm_every_convolution_has_a_bias(name: str) -> None:
    head = MODELS.build(without_norm(SMALL[name]))
    convs = [part for part in head.modules() if isinstance(part, torch.nn.Conv2d)]
    assert convs and all(conv.bias is not None for conv in convs)
    assert not [part for part in head.modules() if isinstance(part, torch.nn.BatchNorm2d)]


def test_deeplab_v2_starts_small_and_has_no_other_classifier() -> None:
    torch.manual_seed(0)
    head = MODELS.build(dict(SMALL["DLV2Head"], in_channels=200))
    assert list(head.state_dict()) == [
        f"aspp_modules.{branch}.conv.{part}" for branch in (0, 1) for part in ("weight", "bias")
    ]
    for branch in head.aspp_modules:
        assert branch.conv.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert not branch.conv.bias.any()
    assert not [part for part in head.modules() if isinstance(part, torch.nn.Dropout2d)]


def test_pyramid_pooling_by_hand() -> None:
    torch.manual_seed(0)
    pyramid = PyramidPooling(3, 4, (1, 2), norm_cfg=None, act_cfg=None)
    feature_map = torch.randn(2, 3, 6, 8)
    whole, quarters = pyramid(feature_map)
    mean = pyramid[0][1](feature_map.mean(dim=(2, 3), keepdim=True))
    torch.testing.assert_close(whole, mean.expand(-1, -1, 6, 8))
    means = feature_map.unflatten(3, (2, 4)).unflatten(2, (2, 3)).mean(dim=(3, 5))
    torch.testing.assert_close(
        quarters, F.interpolate(pyramid[1][1](means), (6, 8), mode="bilinear", align_corners=False)
    )


def test_heads_of_deeplab_v3_and_pspnet_merge_context_by_one_convolution() -> None:
    torch.manual_seed(0)
    _, level = levels()
    head = MODELS.build(SMALL["ASPPHead"]).eval()
    mean = head.image_pool(level).expand(-1, -1, 4, 6)
    maps = torch.cat([mean, *(branch(level) for branch in head.aspp_modules)], dim=1)
    torch.testing.assert_close(head([level]), head.conv_seg(head.bottleneck(maps)))
    assert [branch.conv.dilation for branch in head.aspp_modules] == [(1, 1), (2, 2), (3, 3)]
    assert [branch.conv.kernel_size for branch in head.aspp_modules] == [(1, 1), (3, 3), (3, 3)]

    head = MODELS.build(SMALL["PSPHead"]).eval()
    maps = torch.cat([level, *head.psp_modules(level)], dim=1)
    torch.testing.assert_close(head([level]), head.conv_seg(head.bottleneck(maps)))


def test_deeplab_v3plus_without_first_level_stays_at_its_stride() -> None:
    head = MODELS.build(dict(SMALL["DepthwiseSeparableASPPHead"], c1_in_channels=0)).eval()
    assert head(levels()).shape == (2, 5, 4, 6)
    assert head.sep_bottleneck[0].depthwise_conv.in_channels == 8


def test_fcn_head_with_and_without_its_input() -> None:
    torch.manual_seed(0)
    _, level = levels()
    head = MODELS.build(SMALL["FCNHead"]).eval()
    convolved = head.convs[1](head.convs[0](level))
    merged = head.conv_cat(torch.cat([level, convolved], dim=1))
    torch.testing.assert_close(head([level]), head.conv_seg(merged))

    head = MODELS.build(head_config("FCNHead", num_convs=1, kernel_size=1, concat_input=False)).eval()
    torch.testing.assert_close(head([level]), head.conv_seg(head.convs[0](level)))
    assert list(head.state_dict())[2] == "convs.0.conv.weight" and head.conv_cat is None

    head = MODELS.build(head_config("FCNHead", num_convs=0, channels=6, concat_input=False)).eval()
    torch.testing.assert_close(head([level]), head.conv_seg(level))


def test_position_attention_by_hand() -> None:
    torch.manual_seed(0)
    attention = PositionAttention(5, 3).double()
    features = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(attention(features), features)  # the factor starts at 0
    attention.gamma.scale.data.fill_(0.7)
    pixels = [(row, column) for row in range(3) for column in range(4)]
    query, key = attention.query_project(features), attention.key_project(features)
    value = attention.value_project(features)
    expected = features.clone()
    for image in range(2):
        for row, column in pixels:
            scores = torch.stack([query[image, :, row, column] @ key[image, :, r, c] for r, c in pixels])
            for weight, (r, c) in zip(scores.softmax(dim=0), pixels, strict=True):
                expected[image, :, row, column] += 0.7 * weight * value[image, :, r, c]
    torch.testing.assert_close(attention(features), expected)


def test_channel_attention_by_hand() -> None:
    torch.manual_seed(0)
    attention = ChannelAttention().double()
    features = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(attention(features), features)
    attention.gamma.scale.data.fill_(0.7)
    expected = features.clone()
    for image in range(2):
        for channel in range(5):
            similarity = torch.stack([(features[image, channel] * other).sum() for other in features[image]])
            weights = (similarity.max() - similarity).softmax(dim=0)
            expected[image, channel] += 0.7 * (weights[:, None, None] * features[image]).sum(dim=0)
    torch.testing.assert_close(attention(features), expected)


def test_channel_attention_keeps_its_precision_under_autocast() -> None:
    torch.manual_seed(0)
    attention = ChannelAttention()
    attention.gamma.scale.data.fill_(1.0)
    # Similar channels of a large map: similarities of 4096 that differ by a few units.
    features = (torch.ones(1, 6, 64, 64) + 0.05 * torch.randn(1, 6, 64, 64)).bfloat16().float()
    exact = attention(features)
    with torch.autocast("cpu", torch.bfloat16):
        low = attention(features)
    torch.testing.assert_close(low.float(), exact, rtol=0, atol=0.02)


def test_danet_predicts_by_the_sum_of_both_attentions() -> None:
    torch.manual_seed(0)
    head, inputs = MODELS.build(SMALL["DAHead"]).eval(), levels()
    logits = head.training_logits(inputs)
    torch.testing.assert_close(head(inputs), logits["pam_cam"])
    assert list(logits) == ["pam_cam", "pam", "cam"]
    label, weight = torch.randint(0, 5, (2, 32, 48)), torch.rand(2, 32, 48)
    losses, _ = head.forward_with_logits(inputs, label, weight)
    for branch in logits:
        expected = head.loss(logits[branch], label, weight)
        assert losses[f"{branch}.loss_seg"].item() == pytest.approx(expected["loss_seg"].item())


@pytest.mark.parametrize("name", POOLING)
def test_mean_of_a_single_image_cannot_be_batch_normalised(name: str) -> None:
    head, label = MODELS.build(SMALL[name]), torch.randint(0, 5, (1, 32, 48))
    with pytest.raises(ConfigError, match=r"batch of one image.*at least two images.*norm_cfg=None"):
        head.forward_with_logits(levels(batch_size=1), label)
    assert head.eval()(levels(batch_size=1)).isfinite().all()
    for norm_cfg in (None, dict(type="GN", num_groups=1)):  # the remedies that the message names
        head = MODELS.build(SMALL[name] | dict(norm_cfg=norm_cfg))
        assert head.forward_with_logits(levels(batch_size=1), label)[0]["loss_seg"].isfinite()


def test_frozen_norm_takes_the_mean_of_a_single_image() -> None:
    pooled = PooledConv(3, 4, 1, norm_cfg=BATCH_NORM, act_cfg=None).train()
    pooled[1].norm.eval()
    assert pooled(torch.randn(1, 3, 4, 4)).shape == (1, 4, 1, 1)
    assert PooledConv(3, 4, 2, norm_cfg=BATCH_NORM, act_cfg=None)(torch.randn(1, 3, 4, 4)).isfinite().all()


@pytest.mark.parametrize("several", [False, True])
def test_auxiliary_head_adds_losses_in_training(several: bool) -> None:
    torch.manual_seed(0)
    auxiliary = head_config("FCNHead", in_channels=160, in_index=2, num_convs=1, concat_input=False)
    auxiliary["dropout_ratio"] = 0.0
    auxiliary["loss_decode"] = dict(type="CrossEntropyLoss", loss_weight=0.4)
    widths = [32, 64, 160, 256]
    model = MODELS.build(
        dict(
            type="EncoderDecoder",
            backbone=dict(type="mit_b0"),
            decode_head=SMALL["UPerHead"] | dict(in_channels=widths, in_index=[0, 1, 2, 3]),
            auxiliary_head=[auxiliary, auxiliary | dict(in_channels=64, in_index=1)]
            if several
            else auxiliary,
        )
    )
    path, prefixes = ("auxiliary_head.0", ["aux_0", "aux_1"]) if several else ("auxiliary_head", ["aux"])
    names = [name for name in model.state_dict() if name.startswith(f"{path}.")]
    assert names == [f"{path}.conv_seg.weight", f"{path}.conv_seg.bias", f"{path}.convs.0.conv.weight"] + [
        f"{path}.convs.0.bn.{part}"
        for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    ]
    image, label = torch.randn(2, 3, 64, 64), torch.randint(0, 5, (2, 64, 64))
    losses, features = model.forward_train(image, label, return_feat=True)
    assert list(losses) == [
        f"{prefix}.{name}" for prefix in ["decode", *prefixes] for name in ("loss_seg", "acc_seg")
    ]
    head = model.get_submodule(path)
    logits = F.interpolate(head(features), (64, 64), mode="bilinear", align_corners=False)
    expected = 0.4 * F.cross_entropy(logits, label)
    assert losses[f"{prefixes[0]}.loss_seg"].item() == pytest.approx(expected.item(), rel=1e-5)
    losses[f"{prefixes[0]}.loss_seg"].backward()
    assert model.backbone.patch_embed1.proj.weight.grad.any()
    assert model.decode_head.conv_seg.weight.grad is None
    assert model.eval().encode_decode(image).shape == (2, 5, 64, 64)


@pytest.mark.parametrize(
    "cfg, message",
    [
        *((dict(SMALL[name], in_channels=[4, 6], in_index=[0, 1]), f"{name}.*(one level|a whole number)")
          for name in SMALL if name != "UPerHead"),
        (dict(SMALL["UPerHead"], in_channels=6, in_index=1), "UPerHead: .*one number per level"),
        (head_config("FCNHead", num_convs=0), "num_convs=0 with in_channels=6 and channels=8"),
        (dict(SMALL["DLV2Head"], dilations=()), "dilations is empty"),
        (dict(SMALL["DLV2Head"], channels=8), "DLV2Head has no argument 'channels'"),
        (head_config("ISAHead", isa_channel=4), "did you mean 'isa_channels'"),
    ],
)  # fmt: skip
def test_wrong_head_configs_are_explained(cfg: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MODELS.build(cfg)


def test_dual_attention_has_shapes_on_the_meta_device() -> None:
    """Where networks are counted, and where there is no autocast."""
    with torch.device("meta"):
        assert ChannelAttention()(torch.empty(1, 4, 3, 5)).shape == (1, 4, 3, 5)
