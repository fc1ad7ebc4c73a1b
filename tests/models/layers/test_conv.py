"""The convolution blocks of decode heads against what they are short for."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmengine.config import Config
from torch import Tensor, nn
from toy_run import ROOT

from mmseg.models.decode_heads.aspp import ASPPWrapper
from mmseg.models.layers.conv import RELU, ConvBlock, FusionConv, SeparableConv
from mmseg.models.layers.depthwise_conv import ShiftedSumConv2d
from mmseg.models.layers.resize import resize
from mmseg.registry import MODELS

WIDE, NARROW = 6, 4
BATCH_NORM = dict(type="BN")
NORMS = [None, BATCH_NORM, dict(type="GN", num_groups=2)]


# ------------------------------------------------------------------------------ batch norms in predictions


def blocks(norm_cfg: dict | None = BATCH_NORM, act_cfg: dict | None = RELU) -> nn.Sequential:
    """Two blocks with statistics of their own."""
    torch.manual_seed(0)
    arguments = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
    network = nn.Sequential(ConvBlock(3, 8, 3, **arguments), ConvBlock(8, 4, 3, dilation=2, **arguments))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return network


def plain(network: nn.Sequential) -> nn.Sequential:
    """mmcv's own blocks with the same weights, none of which is folded."""
    result = nn.Sequential()
    for block in network:
        arguments = dict(norm_cfg=block.norm_cfg, act_cfg=block.act_cfg)
        sizes = dict(padding=block.padding, dilation=block.dilation)
        twin = ConvModule(block.in_channels, block.out_channels, block.kernel_size, **sizes, **arguments)
        twin.load_state_dict(block.state_dict())
        result.append(twin)
    return result.train(network.training)


@pytest.mark.parametrize("norm_cfg", [*NORMS, dict(type="BN", track_running_stats=False)])
@pytest.mark.parametrize("act_cfg", [RELU, None])
def test_predictions_are_the_same(norm_cfg, act_cfg):
    network, image = blocks(norm_cfg, act_cfg).eval(), torch.randn(2, 3, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(network(image), plain(network)(image), rtol=1e-5, atol=1e-5)
        first = network[0].conv(image)  # the convolution itself is not changed
    torch.testing.assert_close(first, plain(network)[0].conv(image))


def test_a_prediction_takes_no_pass_for_the_batch_norm(monkeypatch):
    network = blocks().eval()
    monkeypatch.setattr(nn.BatchNorm2d, "forward", None)
    with torch.no_grad():
        network(torch.randn(1, 3, 9, 9))


@pytest.mark.parametrize("train", [True, False])
def test_gradients_are_the_same(train):
    network, image = blocks().train(train), torch.randn(2, 3, 9, 9)
    gradients = []
    for each in (network, plain(network)):
        gradients.append(torch.autograd.grad(each(image).square().sum(), list(each.parameters())))
    torch.testing.assert_close(*gradients)


def test_several_threads_predict_with_one_network():
    network, image = blocks().eval(), torch.randn(1, 3, 33, 33)

    def predict(_: int) -> torch.Tensor:
        with torch.no_grad():
            return network(image)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(predict, range(200)))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0])


# -------------------------------------------------------------------------------- maps that are made again


def built(with_cp: bool, norm_cfg: dict | None = BATCH_NORM) -> SeparableConv:
    """Either kind with the same weights."""
    torch.manual_seed(0)
    return SeparableConv(
        WIDE, NARROW, 3, dilation=2, with_cp=with_cp, norm_cfg=norm_cfg, act_cfg=RELU
    ).train()


def trained(conv: nn.Module) -> tuple[Tensor, dict[str, Tensor | None], dict[str, Tensor]]:
    """Output, gradients and buffers after two steps."""
    torch.manual_seed(1)
    for _ in range(2):
        leaf = torch.randn(2, WIDE, 9, 7, requires_grad=True)
        result = conv(leaf)
        (result.float() ** 2).sum().backward()
    gradients = {name: parameter.grad for name, parameter in conv.named_parameters()}
    return result, gradients | {"feature_map": leaf.grad}, dict(conv.named_buffers())


@pytest.mark.parametrize("norm_cfg", NORMS)
def test_a_separable_convolution_is_that_of_mmcv(norm_cfg):
    torch.manual_seed(0)
    conv = dict(type=ShiftedSumConv2d)
    settings = dict(dilation=2, padding=2, conv_cfg=conv, norm_cfg=norm_cfg, act_cfg=RELU)
    theirs = DepthwiseSeparableConvModule(WIDE, NARROW, 3, **settings)
    ours = built(with_cp=False, norm_cfg=norm_cfg)
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    torch.testing.assert_close(trained(ours), trained(theirs), rtol=0, atol=0)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("norm_cfg", [*NORMS, dict(type="IN", track_running_stats=True)])
def test_the_same_bits_as_with_kept_maps(norm_cfg, precision):
    with torch.autocast("cpu", precision, enabled=precision is torch.bfloat16):
        again, kept = (trained(built(with_cp, norm_cfg)) for with_cp in (True, False))
    torch.testing.assert_close(again, kept, rtol=0, atol=0)


def test_statistics_count_a_batch_once():
    conv = built(with_cp=True)
    before = dict(conv.named_buffers())
    trained(conv)
    after = dict(conv.named_buffers())
    assert int(after["depthwise_conv.bn.num_batches_tracked"]) == 2
    assert all(after[name] is buffer for name, buffer in before.items()), "buffers stay the same tensors"


def test_one_backward_pass_after_another():
    """Of two losses over one graph."""
    gradients = []
    for with_cp in (True, False):
        torch.manual_seed(1)
        conv, leaf = built(with_cp), torch.randn(2, WIDE, 9, 7, requires_grad=True)
        result = conv(leaf)
        result.mean().backward(retain_graph=True)
        result.square().mean().backward()
        gradients.append([leaf.grad, *(parameter.grad for parameter in conv.parameters())])
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


def test_the_pointwise_convolution_is_made_once():
    conv, finished = built(with_cp=True), []
    for name in ("depthwise_conv", "pointwise_conv"):
        part = getattr(conv, name).conv
        part.register_forward_hook(lambda *_, name=name: finished.append(name))
    conv(torch.randn(2, WIDE, 9, 7)).sum().backward()
    assert finished == ["depthwise_conv", "pointwise_conv", "depthwise_conv"]


def test_a_compiled_module_computes_the_same():
    conv, feature_map = built(with_cp=True), torch.randn(2, WIDE, 9, 7)
    compiled = torch.compile(copy.deepcopy(conv), backend="aot_eager", fullgraph=True)
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
    assert any(isinstance(part, SeparableConv) and part.with_cp for part in head.modules()) == with_cp


@pytest.mark.parametrize("with_cp", [True, False])
def test_no_wide_map_between_the_convolutions_is_kept(with_cp):
    norms = dict(norm_cfg=BATCH_NORM, act_cfg=RELU)
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
    conv = built(with_cp=True)
    monkeypatch.setattr("mmseg.models.layers.conv.checkpoint", None)
    feature_map = torch.randn(2, WIDE, 9, 7)
    with torch.no_grad():
        assert torch.equal(conv(feature_map), built(with_cp=False)(feature_map))
    conv.eval()(feature_map).sum().backward()


def test_weights_behind_a_frozen_encoder_are_trained():
    conv = built(with_cp=True)
    conv(torch.randn(2, WIDE, 9, 7)).sum().backward()
    assert all(parameter.grad is not None for parameter in conv.parameters())


# --------------------------------------------------------------------------------- maps of several sizes


@pytest.mark.parametrize("norm_cfg", [None, BATCH_NORM])
def test_fusing_before_resizing_is_the_convolution_of_the_concatenation(norm_cfg):
    torch.manual_seed(0)
    maps = [torch.randn(2, 3, 8, 12), torch.randn(2, 4, 3, 5)]
    fusion, conv = FusionConv(7, 6, norm_cfg=norm_cfg), ConvBlock(7, 6, norm_cfg=norm_cfg)
    conv.load_state_dict(fusion.state_dict())
    concatenated = torch.cat([resize(level, (8, 12)) for level in maps], dim=1)
    torch.testing.assert_close(fusion(maps), conv(concatenated))
