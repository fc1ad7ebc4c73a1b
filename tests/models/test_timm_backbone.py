import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_data import gen, listing, load, norm
from mmengine.config import Config
from networks import (
    assert_digest,
    assert_values,
    filled_published,
    gradient_digests,
    host,
    model_config,
    published_names,
    tensor,
    train_without_randomness,
)
from torch import Tensor, nn

from mmseg.engine.optimizer_constructor import GroupedOptimWrapperConstructor
from mmseg.errors import ConfigError
from mmseg.models.backbones import TimmBackbone
from mmseg.models.necks import ViTPyramid
from mmseg.registry import MODELS

ROOT = Path(__file__).parents[2]
RESNET = (256, 512, 1024, 2048), (4, 8, 8, 8)
VIT = (384,) * 4
NETWORKS = {
    "resnet50c": RESNET,
    "resnext50_32x4d": RESNET,
    "resnest50d": RESNET,
    "swin_tiny_patch4_window7_224": ((96, 192, 384, 768), (4, 8, 16, 32)),
    "twins_svt_small": ((64, 128, 256, 512), (4, 8, 16, 32)),
    "convnext_tiny": ((96, 192, 384, 768), (4, 8, 16, 32)),
    "vit_small_patch14_dinov2": (VIT, (14,) * 4),
    "vit_small_patch16_dinov3": (VIT, (16,) * 4),
    "mobilenetv3_small_100": ((16, 24, 48, 576), (4, 8, 16, 32)),
    "efficientnet_b0": ((24, 40, 112, 320), (4, 8, 16, 32)),
}


def backbone(name: str, **options) -> TimmBackbone:
    if name.startswith("resne"):
        options.setdefault("output_stride", 8)
    return MODELS.build(dict(type="TimmBackbone", name=name, **options))


def outline(name: str, **options) -> TimmBackbone:
    """The network without its weights."""
    with torch.device("meta"):
        return backbone(name, **options)


# -------------------------------------------------------------------------------------------- any network


@pytest.mark.parametrize("name", NETWORKS)
def test_levels_and_gradients(name: str) -> None:
    torch.manual_seed(0)
    network = backbone(name).train()
    channels, strides = NETWORKS[name]
    assert network.channels == channels and network.strides == strides
    features = network(torch.randn(2, 3, 64, 96))
    for level, width, stride in zip(features, channels, strides, strict=True):
        assert level.shape == (2, width, -(-64 // stride), -(-96 // stride))
        assert level.dtype == torch.float32
    sum(level.square().mean() for level in features).backward()
    parameters = dict(network.named_parameters())
    without = {key for key, value in parameters.items() if value.grad is None}
    assert without <= {"network.model.mask_token"}, "every parameter is used, none is frozen"
    # multipliers of the optimizer are chosen by parts of names: these belong to heads and MiT
    assert not any(part in key for key in parameters for part in ("head", "neck"))
    assert not any("norm" in key for key in parameters) or "resn" not in name


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "vit_small_patch14_dinov2", "resnet50c"])
def test_sizes_that_are_no_multiple_of_the_stride(name: str) -> None:
    network = backbone(name).eval()
    first, last = network.strides[0], network.strides[-1]
    with torch.no_grad():
        features = network(torch.randn(1, 3, 71, 130))
    assert features[0].shape[2:] == (-(-71 // first), -(-130 // first))
    assert features[-1].shape[2:] == (-(-71 // last), -(-130 // last))


def test_a_transformer_sees_the_whole_image_and_nothing_else() -> None:
    """Enlarged, not padded: a constant image gives the same patches everywhere."""
    network = backbone("vit_small_patch14_dinov2").eval()
    seen = []
    network.network.model.patch_embed.register_forward_hook(lambda _, inputs, tokens: seen.append(tokens))
    with torch.no_grad():
        network(torch.ones(1, 3, 60, 75))
    tokens = seen[0].flatten(1, 2)  # (1, 5·6, C)
    assert tokens.shape[1] == 30
    torch.testing.assert_close(tokens, tokens[:, :1].expand_as(tokens), atol=1e-5, rtol=1e-5)


def test_maps_of_a_plain_transformer_are_its_patch_tokens() -> None:
    network = backbone("vit_small_patch14_dinov2").eval()
    blocks = network.network.model.blocks
    assert len(blocks) == 12
    seen = []
    for index in (2, 5, 8, 11):
        blocks[index].register_forward_hook(lambda _, inputs, tokens: seen.append(tokens))
    with torch.no_grad():
        features = network(torch.randn(1, 3, 28, 42))
    for tokens, level in zip(seen, features, strict=True):
        assert torch.equal(tokens[:, 1:].transpose(1, 2).reshape(1, 384, 2, 3), level)


def test_chosen_levels() -> None:
    assert backbone("convnext_tiny", out_indices=[1, -1]).channels == (192, 768)
    assert outline("resnet50c", out_indices=[0, 4]).strides == (2, 8)
    assert outline("vit_small_patch16_dinov3", out_indices=(11,)).channels == (384,)
    assert outline("levit_128s", img_size=None).channels == (128, 256, 384), "fewer than four"


def test_options_reach_the_network() -> None:
    network = backbone("convnext_tiny", drop_path_rate=0.4)
    rates = [part.drop_prob for part in network.modules() if type(part).__name__ == "DropPath"]
    assert max(rates) == pytest.approx(0.4)


@pytest.mark.parametrize(
    "options, parts",
    [
        (dict(name="resnet101_c"), ["no network 'resnet101_c'", "did you mean", "resnet101c"]),
        (dict(name="vit_small_patch14_dinov2.nowhere"), ["vit_small_patch14_dinov2.nowhere", "nowhere"]),
        (dict(name="resnet50c", out_indices=[1, 5]), ["out_indices=[1, 5]", "4: 2048 channels, stride 32"]),
        (dict(name="vit_small_patch14_dinov2", output_stride=8), ["output_stride=8", "output_stride"]),
        (dict(name="resnet50c", output_stride=5), ["output_stride=5"]),
        (dict(name="convnext_tiny", drop_path=0.1), ["drop_path=0.1", "unexpected keyword"]),
        (dict(name="convnext_tiny", pretrained=True), ["pretrained", "model.pretrained, 'timm'"]),
    ],
)
def test_what_timm_does_not_have(options: dict, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        MODELS.build(dict(type="TimmBackbone", **options))
    for part in ("TimmBackbone", *parts):
        assert part in str(error.value)


def test_a_missing_name_is_a_config_error() -> None:
    with pytest.raises((ConfigError, TypeError), match="name"):
        MODELS.build(dict(type="TimmBackbone", output_stride=8))


def test_timm_is_imported_when_it_is_needed() -> None:
    program = "import sys, mmseg.models; assert 'timm' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


# -------------------------------------------------------------------------------- published residual networks


@pytest.mark.parametrize("name", ["resnet50c", "resnet101c", "resnext50_32x4d", "resnest50d", "resnest101e"])
def test_strides_and_dilations_are_the_published_ones(name: str) -> None:
    """Strides 1, 2, 1, 1 and dilations 1, 1, 2, 4; the first block of a stage has half its dilation."""
    network = outline(name).network
    for stage, (stride, dilation) in enumerate(zip((1, 2, 1, 1), (1, 1, 2, 4), strict=True), start=1):
        blocks = list(network[f"layer{stage}"])
        for index, block in enumerate(blocks):
            conv = getattr(block.conv2, "conv", block.conv2)
            expected = max(dilation // 2, 1) if index == 0 else dilation
            assert conv.dilation == (expected, expected) and conv.kernel_size == (3, 3)
            assert block.conv1.stride == (1, 1)
            pooling = getattr(block, "avd_last", None)
            if name.startswith("resnest"):
                assert conv.stride == (1, 1)
                assert (pooling is not None) == (stage == 2 and index == 0), "only where the stride is 2"
            else:
                assert conv.stride == ((stride, stride) if index == 0 else (1, 1))
        shortcut = blocks[0].downsample
        if name.startswith("resnest"):
            assert type(shortcut[0]) is (nn.AvgPool2d if stride == 2 else nn.Identity)
            assert shortcut[1].stride == (1, 1)
        else:
            assert shortcut[0].stride == (stride, stride)
        assert all(block.downsample is None for block in blocks[1:])


def test_resnest_is_the_published_one() -> None:
    """Zhang et al., "ResNeSt: Split-Attention Networks", 2020: radix 2, bottleneck of attention a quarter."""
    for name, stem, depths, millions in (
        ("resnest50d", 64, (3, 4, 6, 3), 27.5),
        ("resnest101e", 128, (3, 4, 23, 3), 48.3),
        ("resnest200e", 128, (3, 24, 36, 3), 70.2),
    ):
        network = outline(name)
        classifier = 2048 * 1000 + 1000  # counted in the paper's table
        parameters = sum(parameter.numel() for parameter in network.parameters()) + classifier
        assert parameters / 1e6 == pytest.approx(millions, abs=0.05)
        stem_channels = [network.network["conv1"][index].out_channels for index in (0, 3, 6)]
        assert stem_channels == [stem // 2, stem // 2, stem]
        assert tuple(len(network.network[f"layer{stage}"]) for stage in range(1, 5)) == depths
        attention = network.network["layer4"][1].conv2
        assert attention.radix == 2 and attention.conv.groups == 2
        assert attention.fc1.out_channels == 512 * 2 // 4


@pytest.mark.parametrize("name, millions", [("resnext50_32x4d", 25.03), ("resnext101_32x4d", 44.18)])
def test_resnext_is_the_published_one(name: str, millions: float) -> None:
    network = outline(name)
    classifier = 2048 * 1000 + 1000
    parameters = sum(parameter.numel() for parameter in network.parameters()) + classifier
    assert parameters / 1e6 == pytest.approx(millions, abs=0.005)
    conv = network.network["layer1"][0].conv2
    assert conv.groups == 32 and conv.out_channels == 32 * 4


def test_features_equal_the_published_ones(device: str) -> None:
    golden = load("backbone_resnetv1c101")
    network = filled_published(backbone("resnet101c").to(device)).eval()
    with torch.no_grad():
        features = network(tensor(gen.image(11, (2, 3, 64, 96)), device))
    for stage, level in enumerate(features):
        assert_values(level[:, ::16], golden[f"feat{stage}_cs16"], atol=5e-4, rtol=0)
        assert_digest(level, golden[f"digest{stage}"])


def test_norms_are_trained() -> None:
    network = backbone("resnet50c").train()
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    assert len(norms) == 55
    assert all(part.training and part.weight.requires_grad and part.track_running_stats for part in norms)
    assert {(part.momentum, part.eps) for part in norms} == {(0.1, 1e-5)}
    before = norms[-1].running_mean.clone()
    network(torch.randn(2, 3, 32, 32))
    assert not torch.equal(norms[-1].running_mean, before)


# ----------------------------------------------------------------------------------------------------- names


def shapes(module: nn.Module) -> dict[str, str]:
    names, state = published_names(module), module.state_dict()
    return {names[key]: "x".join(map(str, state[key].shape)) or "scalar" for key in names}


def test_names_of_a_published_backbone() -> None:
    prefix = "backbone."
    rows = listing("statedict_seg_dlv3plus_r101")
    expected = {key.removeprefix(prefix): shape for key, shape, _ in rows if key.startswith(prefix)}
    assert shapes(outline("resnet101c")) == expected and len(expected) == 106 * 6


def test_names_of_a_whole_published_method() -> None:
    with torch.device("meta"):
        method = MODELS.build(dict(type="DACS", model=model_config("deeplabv2red_r50-d8", "resnet101c")))
    expected = {key: shape for key, shape, _ in listing("statedict_dlv2_r101_dacs")}
    assert shapes(method) == expected and "ema_model.backbone.stem.0.weight" in expected


def test_published_weights_load_wherever_the_backbone_is() -> None:
    wrapper = nn.ModuleDict({part: nn.ModuleDict({"backbone": backbone("resnet50c")}) for part in "ab"})
    names = published_names(wrapper)
    assert "b.backbone.stem.7.running_var" in names.values()
    assert names["a.backbone.network.conv1.3.weight"] == "a.backbone.stem.3.weight"
    assert names["a.backbone.network.layer1.0.downsample.1.bias"] == "a.backbone.layer1.0.downsample.1.bias"
    state = {
        names[key]: torch.randn_like(value) if value.is_floating_point() else value
        for key, value in wrapper.state_dict().items()
    }
    wrapper.load_state_dict(state)
    for key, value in wrapper.state_dict().items():
        assert torch.equal(value, state[names[key]]), key
    assert "a.backbone.stem.0.weight" in state, "the dict of the caller stays as it is"

    clone = copy.deepcopy(wrapper)
    clone.load_state_dict(state | {"a.backbone.stem.0.weight": torch.zeros(32, 3, 3, 3)})
    assert not clone["a"]["backbone"].network["conv1"][0].weight.any()
    assert wrapper["a"]["backbone"].network["conv1"][0].weight.any()
    with pytest.raises(RuntimeError, match=r"Unexpected key.*a\.backbone\.stem\.8\.weight"):
        wrapper.load_state_dict(state | {"a.backbone.stem.8.weight": torch.zeros(1)})


def test_own_checkpoints_load_as_well() -> None:
    first, second = backbone("resnet50c"), backbone("resnet50c")
    second.load_state_dict(first.state_dict())
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())


# ------------------------------------------------------------------------------------------ whole segmentors


def deeplabv2(device: str) -> nn.Module:
    return filled_published(MODELS.build(model_config("deeplabv2red_r50-d8")).to(device))


def test_deeplabv2_equals_the_published_one(device: str) -> None:
    model, golden = deeplabv2(device).eval(), load("seg_dlv2red_r50")
    image = tensor(gen.image(31, (2, 3, 64, 96)), device)
    with torch.no_grad():
        assert_values(model.encode_decode(image, False), golden["logits_raw"])
        logits = model.encode_decode(image)
    assert_values(logits[..., ::2, ::2], golden["logits_s2"])
    probabilities = model.predict_probabilities(image, (80, 120))
    assert_values(probabilities[..., ::4, ::4], golden["prob_rescaled_s4"])
    assert (host(probabilities.argmax(dim=1)) == golden["pred"]).mean() >= 0.999


def test_training_of_deeplabv2_equals_the_published_one(device: str) -> None:
    model, golden = train_without_randomness(deeplabv2(device)), load("seg_dlv2red_r50")
    image, label = gen.image(31, (2, 3, 64, 96)), gen.label(32, (2, 1, 64, 96), 16)[:, 0]
    weight = np.random.RandomState(33).random_sample((2, 64, 96)).astype(np.float32)
    losses, features = model.forward_train(
        *(tensor(array, device) for array in (image, label, weight)), return_feat=True
    )
    expected = dict(zip(golden["log_names"], golden["log_values_f64"], strict=True))
    assert losses["decode.loss_seg"].item() == pytest.approx(expected["decode.loss_seg"], rel=1e-4)
    assert losses["decode.acc_seg"].item() == pytest.approx(expected["decode.acc_seg"], rel=1e-4)
    # Batch statistics enlarge rounding: the stored values are 6e-4 off those in float64. With the instruction
    # set they were made with (ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2) all bits are equal.
    assert_values(features[3][:, ::32], golden["feat3_train"], atol=1.5e-3)

    losses["decode.loss_seg"].backward()
    own_names, digests = gradient_digests(model)
    names = published_names(model)
    assert [names[name] for name in own_names] == list(golden["grad_names"])
    np.testing.assert_allclose(norm(digests), norm(golden["grad_digest"]), rtol=2e-2, atol=1e-7)


# ------------------------------------------------------------------------------------- plain transformers


def test_pyramid_of_a_plain_transformer() -> None:
    neck = MODELS.build(dict(type="ViTPyramid", in_channels=[8, 8, 16, 16]))
    maps = [torch.randn(2, width, 5, 7) for width in (8, 8, 16, 16)]
    levels = neck(maps)
    assert [tuple(level.shape) for level in levels] == [
        (2, 8, 20, 28),
        (2, 8, 10, 14),
        (2, 16, 5, 7),
        (2, 16, 3, 4),
    ]
    normalised = (maps[2] - maps[2].mean(1, True)) / (maps[2].var(1, False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(levels[2], normalised)
    for scales in ((4, 2, 1), (3, 2, 1, 0.5), (4, 2, 1, 0)):
        with pytest.raises(ConfigError, match=r"ViTPyramid: .*power of two"):
            ViTPyramid([8, 8, 16, 16], scales)


def test_dinov2_trains_and_predicts() -> None:
    path = ROOT / "configs/daformer/gta2cs_daformer_dinov2_vits14.py"
    assert len(path.read_text().splitlines()) <= 25
    cfg = Config.fromfile(path)
    cfg.model.pretrained = None
    cfg.model.decode_head.update(channels=16)
    cfg.model.decode_head.decoder_params.update(embed_dims=16)
    torch.manual_seed(0)
    method = MODELS.build(dict(cfg.uda, model=cfg.model))
    method.init_weights()
    optim_wrapper = GroupedOptimWrapperConstructor(
        dict(type="SegmentationOptimWrapper", optimizer=dict(type="AdamW", lr=1e-4)),
        cfg.optim_wrapper.paramwise_cfg,
    )(method)
    before = {name: value.clone() for name, value in method.model.named_parameters()}
    batch: dict[str, Tensor] = dict(
        img=torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8),
        target_img=torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8),
        gt_semantic_seg=torch.full((2, 64, 64), 11),
    )
    log = method.train().train_step(batch, optim_wrapper)
    values = {name: float(value) for name, value in log.items() if name != "pictures"}
    assert {"decode.loss_seg", "mix.decode.loss_seg", "src.loss_imnet_feat_dist"} <= set(values)
    assert all(np.isfinite(value) for value in values.values())
    changed = [
        name for name, value in method.model.named_parameters() if not torch.equal(value, before[name])
    ]
    assert len(changed) > 0.95 * len(before)
    with torch.no_grad():
        logits = method.model.eval().predict(torch.randn(1, 3, 71, 90))
    assert logits.shape == (1, 19, 71, 90) and logits.isfinite().all()
