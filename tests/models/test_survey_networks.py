"""The networks of the first adaptation methods, narrow: they train like any other, and know foreign names."""

import copy
from typing import Any

import pytest
import torch
from golden_data import gen, listing
from networks import model_config, under_hrda
from torch import Tensor
from toy_run import ROOT
from uda_steps import NORMALISED, optim_wrapper, step_without_values, tiny_method

from mmseg.checkpoints.weights import compare
from mmseg.models.backbones import DRN, FCNVGG16, DilatedVGG16
from mmseg.models.backbones.vgg import CAFFE
from mmseg.models.decode_heads.fcn8s_head import BilinearUpsampling
from mmseg.models.decode_heads.segnet_head import unpooled
from mmseg.models.uda import DACS
from mmseg.registry import MODELS

STAGES = ((4,), (4, 8), (8,), (8, 8), (8,))
NARROW: dict[str, dict[str, Any]] = {
    "deeplabv2_adaptsegnet_r101": {"backbone.name": "resnet26"},
    "deeplabv2_adaptsegnet_single_r101": {"backbone.name": "resnet26"},
    "deeplabv2_advent_r101": {"backbone.name": "resnet26"},
    "deeplabv2_advent_single_r101": {"backbone.name": "resnet26"},
    "deeplabv2_clan_r101": {"backbone.name": "resnet26"},
    "deeplabv2_adaptsegnet_vgg16": {"backbone.channels": 8, "decode_head.in_channels": 8},
    "fcn8s_vgg16": {
        "backbone.channels": 8,
        "decode_head.in_channels": (3, 256, 512, 8),
        "decode_head.channels": 8,
    },
    "dilated_vgg16": {
        "backbone.channels": 8,
        "decode_head.in_channels": 8,
        "decode_head.channels": 8,
    },
    "segnet_vgg16": {
        "backbone.stages": STAGES,
        "decode_head.stages": STAGES,
        "decode_head.in_channels": (3, 4, 8, 8, 8, 8, 8),
        "published_names": {},
    },
    "drn26": {"backbone.depths": (1,) * 8},
}
NARROW["fcn8s_bdl_vgg16"] = NARROW["fcn8s_vgg16"]
UNDER_HRDA = ("drn26", "segnet_vgg16")
LIKE_OTHERS = (
    "deeplabv2_adaptsegnet_single_r101",
    "deeplabv2_advent_single_r101",
    "deeplabv2_advent_r101",
    "fcn8s_bdl_vgg16",
)


def narrow(name: str, **changes: Any) -> dict[str, Any]:
    changes = {"decode_head.num_classes": 4, **NARROW[name], **changes}
    cfg = model_config(name, changes=changes | NORMALISED)
    if cfg.get("auxiliary_head"):
        cfg["auxiliary_head"]["num_classes"] = 4
    return cfg


def batch() -> dict[str, Tensor]:
    images = torch.from_numpy(gen.image(0, (2, 3, 64, 64), 16))
    cells = torch.randint(4, (1, 2, 2), generator=torch.Generator().manual_seed(0))
    label = cells.repeat_interleave(32, 1).repeat_interleave(32, 2)
    return dict(img=images[:1], target_img=images[1:], gt_semantic_seg=label)


@pytest.mark.parametrize(
    ("name", "hrda"),
    [
        *(pytest.param(name, False, marks=[pytest.mark.slow] * (name in LIKE_OTHERS)) for name in NARROW),
        *((name, True) for name in UNDER_HRDA),
    ],
)
def test_a_step_of_self_training(name: str, hrda: bool) -> None:
    """As DAFormer's, with the feature distance; half precision where there is one scale."""
    torch.manual_seed(0)
    cfg = narrow(name)
    if hrda:
        cfg = under_hrda(cfg, hr_crop_size=(32, 32), test_cfg=dict(mode="whole"))
    method = tiny_method(DACS, cfg, imnet_feature_dist_lambda=0.005)
    before = {key: value.clone() for key, value in method.model.named_parameters()}
    wrapper = optim_wrapper(method, type="SGD", lr=1e-3)
    wrapper.dtype = None if hrda else torch.bfloat16
    log = method.train_step(batch(), wrapper)
    assert all(value.isfinite().all() for key, value in log.items() if key != "pictures"), log
    changed = {
        key.split(".")[0] for key, p in method.model.named_parameters() if not torch.equal(p, before[key])
    }
    assert changed == {"backbone", "decode_head"} | ({"auxiliary_head"} if "auxiliary_head" in cfg else set())
    with torch.no_grad():
        prediction = method.model.eval().predict(torch.from_numpy(gen.image(1, (1, 3, 72, 97), 16)))
    assert prediction.shape == (1, 4, 72, 97)
    assert prediction.isfinite().all() and prediction.std() > 0


@pytest.mark.parametrize(
    "name", ["deeplabv2_clan_r101", "deeplabv2_adaptsegnet_vgg16", "fcn8s_vgg16", "segnet_vgg16", "drn26"]
)
def test_a_step_waits_for_nothing(name: str) -> None:
    data = {key: value.to("meta") for key, value in batch().items()}
    step_without_values(tiny_method(DACS, narrow(name)), data)


def test_documented_numbers_of_parameters() -> None:
    rows = [line.split("|") for line in (ROOT / "docs" / "backbones.md").read_text().splitlines()]
    documented = {row[1].strip(" `"): row[3].strip() for row in rows if len(row) == 6}
    for name in NARROW:
        with torch.device("meta"):
            network = MODELS.build(model_config(name))
        assert documented[name] == f"{sum(p.numel() for p in network.parameters()):,}"


def test_dead_branches_never_change() -> None:
    cfg = narrow("deeplabv2_adaptsegnet_r101")
    method = tiny_method(DACS, cfg)
    dead = [method.model.decode_head.aspp_modules[2], method.model.auxiliary_head.aspp_modules[3]]
    before = copy.deepcopy([part.state_dict() for part in dead])
    for _ in range(2):
        method.train_step(batch(), optim_wrapper(method, type="SGD", lr=0.1, momentum=0.9, weight_decay=0.1))
    for part, old in zip(dead, before, strict=True):
        assert all(torch.equal(value, old[key]) for key, value in part.state_dict().items())


# ------------------------------------------------------------------------------------------------------ parts


def test_upsampling_interpolates_linearly() -> None:
    image = torch.arange(24.0).view(1, 1, 4, 6).repeat(1, 2, 1, 1) + torch.tensor([0, 5]).view(1, 2, 1, 1)
    for factor in (2, 8):
        found = BilinearUpsampling(2, factor)(image)
        assert found.shape[2:] == (5 * factor, 7 * factor)
        expected = torch.nn.functional.interpolate(image, scale_factor=factor, mode="bilinear")
        inner, margin = slice(factor, -factor), factor // 2
        found = found[:, :, margin:-margin, margin:-margin]
        torch.testing.assert_close(found[:, :, inner, inner], expected[:, :, inner, inner])


def test_unpooling_is_that_of_torch() -> None:
    image = torch.randn(2, 3, 9, 14).relu()
    pooled, places = torch.nn.functional.max_pool2d(image, 2, ceil_mode=True, return_indices=True)
    expected = torch.nn.functional.max_unpool2d(pooled, places, 2, output_size=(9, 14))
    assert torch.equal(unpooled(pooled, places, (9, 14)), expected)


def test_drn_has_the_published_size() -> None:
    """With the classifier of 1000 classes 21.1 million parameters; the gridding stages have no shortcut."""
    with torch.device("meta"):
        network = DRN()
        levels = network(torch.empty(1, 3, 97, 128))
    assert sum(p.numel() for p in network.parameters()) + 1000 * 513 == 21_126_584
    assert [tuple(level.shape[1:]) for level in levels] == [
        (64, 25, 32), (128, 13, 16), (256, 13, 16), (512, 13, 16),
    ]  # fmt: skip
    dilations = [network.get_submodule(f"layer{n}")[0].conv1.dilation[0] for n in range(1, 9)]
    assert dilations == [1, 1, 1, 1, 2, 4, 2, 1]
    assert not network.layer7[0].residual and not network.layer8[0].residual


# ------------------------------------------------------------------------------------------------------ names


def test_names_of_bdl() -> None:
    with torch.device("meta"):
        network = MODELS.build(model_config("fcn8s_bdl_vgg16"))
        state = {
            key: torch.empty([int(n) for n in shape.split("x")])
            for key, shape, _ in listing("alignment/statedict_net_bdl_fcn8s")
        }
    report = compare(network, state)
    assert not report.misfits()
    names = {id(value): key for key, value in report.loaded.items()}
    found = {key: names[id(value)] for key, value in state.items()}
    assert found["conv1_1.weight"] == "backbone.features.0.weight"
    assert found["conv4_1.bias"] == "backbone.features.17.bias"
    assert found["conv5_3.weight"] == "backbone.features.28.weight"
    assert found["score_fr.bias"] == "decode_head.conv_seg.bias"


NAMES_OF_FC = {
    "torchvision": ("classifier.0", "classifier.3"),
    "timm": ("pre_logits.fc1", "pre_logits.fc2"),
    "caffe": ("fc6", "fc7"),
}


def classifier(naming: str, fc: int) -> dict[str, Tensor]:
    """Weights of a VGG-16 with narrow fully connected layers, by the names of a library."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in FCNVGG16(channels=fc).state_dict().items()}
    convolutions = [key for key in shapes if key.startswith("features.")]
    names = {key: key for key in convolutions}
    if naming == "caffe":
        caffe = [f"{layer}.{entry}" for layer in CAFFE for entry in ("weight", "bias")]
        names = dict(zip(convolutions, caffe, strict=True))
    for layer, name in zip(("fc6", "fc7"), NAMES_OF_FC[naming], strict=True):
        names |= {f"{layer}.{entry}": f"{name}.{entry}" for entry in ("weight", "bias")}
    state = {name: torch.randn(shapes[key]) for key, name in names.items()}
    flat = naming == "torchvision"
    return {k: v.flatten(1) if flat and "classifier" in k and v.dim() > 1 else v for k, v in state.items()}


@pytest.mark.parametrize("naming", ["torchvision", "timm", "caffe"])
def test_weights_of_vgg16(naming: str) -> None:
    state = classifier(naming, 8)
    front_end = DilatedVGG16(channels=8)
    report = compare(front_end, front_end.adapt_weights(state))
    assert not report.misfits()
    last = list(state)[24]  # of the thirteenth convolution
    assert torch.equal(report.loaded["features.27.weight"], state[last])
    first = state[f"{NAMES_OF_FC[naming][0]}.weight"]
    assert torch.equal(report.loaded["fc6.weight"].flatten(), first.flatten())

    deeplab = DilatedVGG16(channels=16, fc6_kernel=3, fc7_kernel=3)
    report = compare(deeplab, deeplab.adapt_weights(state))
    assert not report.misfits()
    assert torch.equal(report.loaded["features.27.weight"], state[last])
    assert torch.equal(report.loaded["fc6.weight"], deeplab.fc6.weight), "of another size: as initialised"
