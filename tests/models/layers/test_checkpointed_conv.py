"""The separable convolution that makes its maps again, against the one that keeps them."""

import pytest
import torch
from mmcv.cnn import DepthwiseSeparableConvModule
from mmengine.config import Config
from torch import Tensor, nn
from toy_run import ROOT

from mmseg.models.decode_heads.aspp import ASPPWrapper
from mmseg.models.layers.checkpointed_conv import CheckpointedSeparableConv
from mmseg.models.layers.depthwise_conv import ShiftedSumConv2d
from mmseg.registry import MODELS

WIDE, NARROW = 6, 4
NORMS = [None, dict(type="BN"), dict(type="GN", num_groups=2)]


def built(kind: type[nn.Module], norm_cfg: dict | None = NORMS[1]) -> nn.Module:
    """Either convolution with the same weights."""
    torch.manual_seed(0)
    settings = dict(dilation=2, padding=2, conv_cfg=dict(type=ShiftedSumConv2d), norm_cfg=norm_cfg)
    return kind(WIDE, NARROW, 3, **settings).train()


def trained(conv: nn.Module) -> tuple[Tensor, dict[str, Tensor | None], dict[str, Tensor]]:
    """Output, gradients and buffers after two steps."""
    torch.manual_seed(1)
    for _ in range(2):
        leaf = torch.randn(2, WIDE, 9, 7, requires_grad=True)
        result = conv(leaf)
        (result.float() ** 2).sum().backward()
    gradients = {name: parameter.grad for name, parameter in conv.named_parameters()}
    return result, gradients | {"feature_map": leaf.grad}, dict(conv.named_buffers())


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("norm_cfg", NORMS)
def test_the_same_bits_as_with_kept_maps(norm_cfg, precision):
    with torch.autocast("cpu", precision, enabled=precision is torch.bfloat16):
        ours = trained(built(CheckpointedSeparableConv, norm_cfg))
        kept = trained(built(DepthwiseSeparableConvModule, norm_cfg))
    torch.testing.assert_close(ours, kept, rtol=0, atol=0)


def test_statistics_count_a_batch_once():
    conv = built(CheckpointedSeparableConv)
    before = dict(conv.named_buffers())
    trained(conv)
    after = dict(conv.named_buffers())
    assert int(after["depthwise_conv.bn.num_batches_tracked"]) == 2
    assert all(after[name] is buffer for name, buffer in before.items()), "buffers stay the same tensors"


def test_one_backward_pass_after_another():
    """Of two losses over one graph."""
    gradients = []
    for kind in (CheckpointedSeparableConv, DepthwiseSeparableConvModule):
        torch.manual_seed(1)
        conv, leaf = built(kind), torch.randn(2, WIDE, 9, 7, requires_grad=True)
        result = conv(leaf)
        result.mean().backward(retain_graph=True)
        result.square().mean().backward()
        gradients.append([leaf.grad, *(parameter.grad for parameter in conv.parameters())])
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


def test_the_pointwise_convolution_is_made_once():
    conv, finished = built(CheckpointedSeparableConv), []
    for name in ("depthwise_conv", "pointwise_conv"):
        part = getattr(conv, name).conv
        part.register_forward_hook(lambda *_, name=name: finished.append(name))
    conv(torch.randn(2, WIDE, 9, 7)).sum().backward()
    assert finished == ["depthwise_conv", "pointwise_conv", "depthwise_conv"]


def test_a_compiled_module_computes_the_same():
    conv, feature_map = built(CheckpointedSeparableConv), torch.randn(2, WIDE, 9, 7)
    compiled = torch.compile(built(CheckpointedSeparableConv), backend="aot_eager", fullgraph=True)
    for module in (conv, compiled):
        module(feature_map).square().mean().backward()
    for one, other in zip(conv.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("with_cp", [True, False])
@pytest.mark.parametrize(
    ("network", "key"),
    [
        ("daformer_sepaspp_mitb5", "decoder_params.fusion_cfg.with_cp"),
        ("hrda_daformer_sepaspp_mitb5", "decoder_params.fusion_cfg.with_cp"),
        ("daformer_sepaspp_bottleneck_mitb5", "decoder_params.embed_neck_cfg.with_cp"),
        ("deeplabv3plus_r50-d8", "with_cp"),
    ],
)
def test_the_switch_of_a_config(network, key, with_cp):
    cfg = Config.fromfile(ROOT / "configs" / "_base_" / "models" / f"{network}.py")
    if not with_cp:
        cfg.merge_from_dict({f"model.decode_head.{key}": False})
    head = MODELS.build(cfg.model.decode_head)
    assert any(isinstance(part, CheckpointedSeparableConv) for part in head.modules()) == with_cp


@pytest.mark.parametrize("with_cp", [True, False])
def test_no_wide_map_between_the_convolutions_is_kept(with_cp):
    norms = dict(norm_cfg=dict(type="BN"), act_cfg=dict(type="ReLU"))
    aspp = ASPPWrapper(WIDE, NARROW, sep=True, dilations=(1, 2, 3), pool=False, **norms, with_cp=with_cp)
    feature_map = torch.randn(2, WIDE, 9, 7, requires_grad=True)
    kept: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        aspp(feature_map)
    wide = [tensor for tensor in kept.values() if tensor.shape == feature_map.shape]
    assert len(wide) == (1 if with_cp else 5), "the input, and two maps of each dilated branch"


def test_predictions_are_made_as_usual(monkeypatch):
    conv = built(CheckpointedSeparableConv)
    monkeypatch.setattr("mmseg.models.layers.checkpointed_conv.checkpoint", None)
    feature_map = torch.randn(2, WIDE, 9, 7)
    with torch.no_grad():
        assert torch.equal(conv(feature_map), built(DepthwiseSeparableConvModule)(feature_map))
    conv.eval()(feature_map).sum().backward()


def test_weights_behind_a_frozen_encoder_are_trained():
    conv = built(CheckpointedSeparableConv)
    conv(torch.randn(2, WIDE, 9, 7)).sum().backward()
    assert all(parameter.grad is not None for parameter in conv.parameters())
