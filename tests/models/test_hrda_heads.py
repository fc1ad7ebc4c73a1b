"""Every registered decode head works under HRDA."""

import pytest
import torch
from networks import under_hrda

from mmseg.errors import ConfigError
from mmseg.models.decode_heads import BaseDecodeHead
from mmseg.registry import MODELS

LEVELS = dict(in_channels=[32, 64, 160, 256], in_index=[0, 1, 2, 3])
LAST = dict(in_channels=256, in_index=3)
NARROW = dict(channels=8, norm_cfg=dict(type="BN"))
EMBEDDED = dict(
    embed_dims=8,
    embed_cfg=dict(type="mlp"),
    fusion_cfg=dict(type="aspp", sep=True, dilations=(1, 6), pool=False, norm_cfg=None, act_cfg=None),
)
HEADS = {
    "ASPPHead": LAST | NARROW | dict(dilations=(1, 6)),
    "DAFormerHead": LEVELS | NARROW | dict(decoder_params=EMBEDDED),
    "DAHead": LAST | NARROW | dict(pam_channels=4),
    "DLV2Head": LAST | dict(dilations=(6, 12)),
    "DepthwiseSeparableASPPHead": LAST | NARROW | dict(c1_in_channels=32, c1_channels=4, dilations=(1, 6)),
    "FCNHead": LAST | NARROW,
    "ISAHead": LAST | NARROW | dict(isa_channels=4),
    "PSPHead": LAST | NARROW | dict(pool_scales=(1, 2)),
    "SegFormerHead": LEVELS | NARROW | dict(decoder_params=dict(embed_dim=8)),
    "UPerHead": LEVELS | NARROW | dict(pool_scales=(1, 2)),
}
OF_ONE_ENCODER = ("FCN8sHead", "SegNetHead")  # they take what their own encoder alone gives
STRIDES = {"DAFormerHead": 4, "DepthwiseSeparableASPPHead": 4, "SegFormerHead": 4, "UPerHead": 4}


def network(head: str, **decode_head) -> dict:
    sliding = dict(mode="slide", crop_size=(128, 128), stride=(64, 64))
    one_scale = dict(backbone=dict(type="mit_b0"), decode_head=dict(type=head, num_classes=5, **HEADS[head]))
    return under_hrda(one_scale, decode_head, crop_coord_divisible=32, test_cfg=sliding)


def single_scale_heads() -> list[str]:
    return sorted(
        name
        for name, part in MODELS.module_dict.items()
        if isinstance(part, type) and issubclass(part, BaseDecodeHead) and name not in OF_ONE_ENCODER
    )


@pytest.mark.parametrize("head", single_scale_heads())
def test_every_registered_head_trains_and_predicts(head):
    torch.manual_seed(0)
    model = MODELS.build(network(head))
    assert model.output_stride == STRIDES.get(head, 32)
    img, label = torch.randn(2, 3, 128, 128), torch.randint(5, (2, 128, 128))
    losses = model.forward_train(img, label)[0]
    assert {"decode.loss_seg", "decode.hr.loss_seg"} == {name for name in losses if "loss" in name}
    sum(value for name, value in losses.items() if "loss" in name).backward()
    unused = {name.split(".")[-2] for name, part in model.named_parameters() if part.grad is None}
    assert unused <= {"conv_seg", "pam_conv_seg", "cam_conv_seg"}
    assert model.decode_head.scale_attention is not None
    prediction = model.eval().predict(torch.randn(1, 3, 128, 200))
    assert prediction.shape == (1, 5, 128, 200) and torch.isfinite(prediction).all()


def test_the_attention_may_come_from_another_head():
    """Its stride may differ from that of the head that predicts."""
    attention = dict(type="FCNHead", num_convs=1, **LAST, **NARROW)
    model = MODELS.build(network("SegFormerHead", attention_head=attention, attention_classwise=False))
    assert type(model.decode_head.scale_attention).__name__ == "FCNHead"
    assert model.decode_head.scale_attention.num_classes == 1
    img = torch.randn(2, 3, 128, 128)
    outputs, losses = model.forward_outputs(img, torch.randint(5, (2, 128, 128)))
    assert outputs["main"].shape == (2, 5, 64, 64)
    losses["decode.loss_seg"].backward()
    assert model.decode_head.scale_attention.conv_seg.weight.grad.abs().sum() > 0


def test_cells_without_a_whole_number_of_pixels_are_explained():
    cfg = network("FCNHead", in_channels=192)
    cfg["backbone"] = dict(type="TimmBackbone", name="vit_tiny_patch16_224", out_indices=(2, 5, 8, 11))
    assert MODELS.build(cfg).output_stride == 16
    cfg = network("FCNHead", in_channels=384)
    cfg["backbone"] = dict(type="TimmBackbone", name="vit_small_patch14_dinov2")
    with pytest.raises(ConfigError, match="FCNHead gives 5 cells for 64 pixels"):
        MODELS.build(cfg)


def test_nothing_is_computed_to_build_it():
    """The stride comes from shapes; random numbers, modes and statistics stay as they are."""
    devices = set()
    handle = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda _, inputs: devices.update(x.device.type for x in inputs if isinstance(x, torch.Tensor))
    )
    model = MODELS.build(network("DepthwiseSeparableASPPHead"))
    handle.remove()
    assert model.output_stride == 4 and devices == {"meta"}
    assert all(part.training for part in model.modules())
    assert all(value.device.type == "cpu" for value in model.state_dict().values())
