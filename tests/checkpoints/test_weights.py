import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from networks import filled, published_names, tiny, under_hrda
from safetensors.torch import save_file
from torch import nn

from mmseg.checkpoints import weights as pretrained
from mmseg.checkpoints.weights import (
    class_layers,
    compare,
    fit_classes,
    load_checkpoint,
    load_pretrained_backbone,
    read_checkpoint,
    reorder_classes,
    require_file,
)
from mmseg.errors import CheckpointError, ConfigError
from mmseg.registry import MODELS

CLASSES = 16


def network() -> nn.Module:
    """Twelve entries: 4 linear layers with bias and a batch norm (its counter is optional)."""
    layers = {f"layer{index}": nn.Linear(2, 3) for index in range(4)}
    return nn.ModuleDict(layers | {"bn": nn.BatchNorm1d(3)})


def save(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


def equal(module: nn.Module, state: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}]
)
def test_backbone_weights_bare_or_under_a_key(tmp_path: Path, wrap) -> None:
    state = network().state_dict()
    classifier = {"head.weight": torch.zeros(1000, 3), "head.bias": torch.zeros(1000)}
    path = save(
        wrap({f"module.{name}": value for name, value in (state | classifier).items()}), tmp_path / "w.pth"
    )
    backbone = network()
    assert not equal(backbone, state)
    report = load_pretrained_backbone(backbone, path)
    assert equal(backbone, state)
    assert len(report.loaded) == 13
    assert not report.missing and not report.unexpected and not report.mismatched


def test_files_of_old_torch_versions(tmp_path: Path) -> None:
    state, path = network().state_dict(), tmp_path / "old.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    backbone = network()
    load_pretrained_backbone(backbone, path)
    assert equal(backbone, state)


@pytest.mark.parametrize("change", ["missing", "shape", "unknown"])
def test_a_backbone_needs_all_of_its_weights(tmp_path: Path, change: str) -> None:
    backbone = nn.ModuleDict({f"layer{index}": nn.Linear(2, 3, bias=False) for index in range(40)})
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    state = {name: value + 1 for name, value in before.items()} | {"other.weight": torch.zeros(1)}
    report = load_pretrained_backbone(backbone, save(state, tmp_path / "with_other.pth"))
    assert report.unexpected == ["other.weight"] and len(report.loaded) == 40
    assert torch.equal(backbone["layer2"].weight, before["layer2.weight"] + 1)

    backbone.load_state_dict(before)
    if change == "missing":
        del state["layer0.weight"]
    elif change == "shape":
        state["layer0.weight"] = torch.zeros(4, 2)
    else:
        state |= {f"other{index}.weight": torch.zeros(1) for index in range(5)}
    path = save(state, tmp_path / "wrong.pth")
    with pytest.raises(CheckpointError) as error:
        load_pretrained_backbone(backbone, path)
    reason = {"missing": "missing in the file (1): layer0.weight", "shape": "(4, 2) in the file",
              "unknown": "unknown to the network (6): other.weight"}  # fmt: skip
    for part in (str(path), "% of the weights fit", reason[change]):
        assert part in str(error.value)
    assert equal(backbone, before), "nothing is loaded"


def test_deep_stem_is_not_left_random(tmp_path: Path) -> None:
    """More than 90 % of a plain ResNet-101 fit one with a deep stem."""
    import timm

    backbone = MODELS.build(dict(type="TimmBackbone", name="resnet101c", output_stride=8))
    with torch.device("meta"):
        plain = timm.create_model("resnet101").state_dict()
    state = {name: torch.zeros(()).expand(value.shape) for name, value in plain.items()}
    path = save(state, tmp_path / "r.pth")
    with pytest.raises(CheckpointError, match=r"9\d% of the weights fit.*network\.conv1\.0\.weight"):
        load_pretrained_backbone(backbone, path)


def test_weights_of_a_deeper_mit_do_not_fit(tmp_path: Path) -> None:
    state = MODELS.build(dict(type="mit_b0")).state_dict()
    deeper = {
        name.replace("block3.1", f"block3.{i}"): value for i in range(1, 9) for name, value in state.items()
    }
    assert deeper.keys() > state.keys()
    with pytest.raises(CheckpointError, match="unknown to the network"):
        load_pretrained_backbone(MODELS.build(dict(type="mit_b0")), save(deeper, tmp_path / "mit_b0.pth"))


def test_segmentor_loads_its_backbone_in_init_weights(tmp_path: Path) -> None:
    state = MODELS.build(dict(type="mit_b0")).state_dict()
    path = save(state, tmp_path / "mit_b0.pth")
    cfg = tiny(pretrained=str(path))
    model = MODELS.build(cfg)
    assert not equal(model.backbone, state)
    model.init_weights()
    assert equal(model.backbone, state)
    with pytest.raises(CheckpointError, match=r"nowhere\.pth: weight file not found"):
        MODELS.build(cfg | dict(pretrained="nowhere.pth")).init_weights()


def test_weights_go_from_any_device_to_any(tmp_path: Path, device: str) -> None:
    trained = filled(tiny(), device)
    path = save({f"model.{name}": value for name, value in trained.state_dict().items()}, tmp_path / "a.pth")
    for place in ("cpu", device):
        model = MODELS.build(tiny()).to(place)
        content = load_checkpoint(model, path)
        assert {value.device.type for value in content.values()} == {"cpu"}
        for name, value in trained.state_dict().items():
            found = model.state_dict()[name]
            assert found.device.type == place and torch.equal(found.cpu(), value.cpu())


def test_missing_file_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as error:
        require_file("pretrained/mit_b5.pth.missing")
    for part in ("pretrained/mit_b5.pth", "not found", "github.com/NVlabs/SegFormer", "pretrained=None"):
        assert part in str(error.value)
    with pytest.raises(CheckpointError, match="check the path"):
        require_file(tmp_path)
    path = save({}, tmp_path / "there.pth")
    assert require_file(str(path)) == path


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"PK\x03\x04 a truncated archive"])
def test_unreadable_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged\.pth: not a readable PyTorch checkpoint"):
        read_checkpoint(path)


def test_truncated_file(tmp_path: Path) -> None:
    path = save(network().state_dict(), tmp_path / "w.pth")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="not a readable PyTorch checkpoint"):
        read_checkpoint(path)


class Call:
    """Is a function call where it is unpickled."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "call, name", [(Call(os.mkdir, "ran"), "mkdir"), (Call(getattr, 3, "real"), "getattr")]
)
def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch, call: Call, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = save({"state_dict": network().state_dict(), "meta": call}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=f"not a readable PyTorch checkpoint: it holds a .*{name}"):
        load_checkpoint(network(), path)
    assert not (tmp_path / "ran").exists()


def test_a_history_may_name_its_own_methods_only(tmp_path: Path) -> None:
    path = save({"harmful": Call(getattr, HistoryBuffer, "__init__")}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="it holds a getattr"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {}}, {"epoch": 3}])
def test_files_without_weights(tmp_path: Path, content: object) -> None:
    with pytest.raises(CheckpointError, match=r"expected a (state dict|dict of weights)"):
        load_checkpoint(network(), save(content, tmp_path / "w.pth"))


@pytest.mark.parametrize("wrapper", ["", "module."])
def test_student_or_teacher_of_a_checkpoint(tmp_path: Path, wrapper: str) -> None:
    student, teacher, imnet = (network().state_dict() for _ in range(3))
    prefixed = {"model.": student, "ema_model.": teacher, "imnet_model.": imnet}
    state = {f"{wrapper}{p}{n}": value for p, part in prefixed.items() for n, value in part.items()}
    path = save({"meta": {"iter": 40000, "CLASSES": ("road",)}, "state_dict": state}, tmp_path / "latest.pth")
    model = network()
    load_checkpoint(model, path)
    assert equal(model, student)
    load_checkpoint(model, path, network="teacher")
    assert equal(model, teacher)
    with pytest.raises(
        CheckpointError, match=r"no entry starts with 'model_D\.'.*it has student, teacher, ima"
    ):
        load_checkpoint(model, path, network="discriminators")


def test_checkpoint_of_a_plain_run(tmp_path: Path) -> None:
    state = network().state_dict()
    without_counter = {name: value for name, value in state.items() if "num_batches" not in name}
    model = network()
    path = save({"state_dict": without_counter}, tmp_path / "w.pth")
    load_checkpoint(model, path)
    assert equal(model, state)
    with pytest.raises(CheckpointError, match=r"no entry starts with 'ema_model\.'"):
        load_checkpoint(model, path, network="teacher")


def test_student_without_prefix_beside_other_networks(tmp_path: Path) -> None:
    student, teacher = network().state_dict(), network().state_dict()
    state = student | {f"ema_model.{name}": value for name, value in teacher.items()}
    model, path = network(), save({"state_dict": state}, tmp_path / "w.pth")
    load_checkpoint(model, path)
    assert equal(model, student)
    load_checkpoint(model, path, network="teacher")
    assert equal(model, teacher)


@pytest.mark.parametrize(("prefix", "held"), [("ema_model", "teacher"), ("imnet_model", "imagenet")])
def test_checkpoint_without_student(tmp_path: Path, prefix: str, held: str) -> None:
    state = {f"{prefix}.{name}": value for name, value in network().state_dict().items()}
    path = save({"state_dict": state}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=f"no student.*'model.'.*it has {held}; .*--which.*whole run"):
        load_checkpoint(network(), path)


def test_account_names_all_that_is_missing_and_left_over(tmp_path: Path, monkeypatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(pretrained, "print_log", lambda line, *_: lines.append(line))
    own = {name: value for name, value in network().state_dict().items() if "num_batches" not in name}
    plain = save({"state_dict": own | {3: torch.zeros(1), b"layer": torch.zeros(1)}}, tmp_path / "plain.pth")
    load_checkpoint(network(), plain)
    missing = "loaded 12 weights{}; missing: 1 (bn.num_batches_tracked); left over: "
    assert lines.pop().endswith(missing.format("") + "none")

    state = {f"model.{name}": value for name, value in own.items()} | {"ema_model.w": torch.zeros(1)}
    state |= {f"foo.{index}": torch.zeros(1) for index in range(4)}
    load_checkpoint(network(), save({"state_dict": state}, tmp_path / "more.pth"))
    left_over = "ema_model.* 1, other 4 (foo.0, foo.1, foo.2, …)"
    assert lines.pop().endswith(missing.format(" of model.*") + left_over)


def test_checkpoint_written_during_training_by_mmengine(tmp_path: Path) -> None:
    hub = MessageHub.get_instance("test_pretrained")
    hub.update_scalar("train/loss", torch.tensor(0.5))
    hub.update_scalar("train/lr", np.float64(1e-3))
    hub.update_info("iter", 7)
    state = network().state_dict()
    optimizer = torch.optim.AdamW(network().parameters()).state_dict()
    content = {
        "state_dict": state,
        "message_hub": hub.state_dict(),
        "optimizer": optimizer,
        "meta": {"iter": 7},
    }
    content["extra"] = {"array": np.arange(3), "flags": np.array([True]), "number": np.float32(2)}
    path = save(content, tmp_path / "iter_7.pth")
    model = network()
    load_checkpoint(model, path)
    assert equal(model, state)
    read = read_checkpoint(path)
    assert read["message_hub"]["log_scalars"]["train/loss"].current() == 0.5
    assert read["extra"]["array"].tolist() == [0, 1, 2] and read["extra"]["number"] == 2


@pytest.mark.parametrize("change", ["missing", "shape", "unexpected"])
def test_checkpoint_of_another_network(tmp_path: Path, change: str) -> None:
    state = network().state_dict()
    if change == "missing":
        del state["layer2.bias"]
    elif change == "shape":
        state["layer2.bias"] = torch.zeros(7)
    else:
        state["layer4.bias"] = torch.zeros(7)
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(model, save({"state_dict": state}, tmp_path / "other.pth"))
    expected = {
        "missing": "missing in the file (1): layer2.bias",
        "shape": "other shape (1): layer2.bias ((7,) in the file, (3,) in the network)",
        "unexpected": "unknown to the network (1): layer4.bias",
    }
    assert "other.pth: the checkpoint is of another network" in str(error.value)
    assert expected[change] in str(error.value)
    assert equal(model, before), "nothing is loaded"


# -------------------------------------------------------------------------------- namings of other libraries


def resnet() -> nn.Module:
    return MODELS.build(dict(type="TimmBackbone", name="resnet50c", output_stride=8))


def published_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Random weights of a network by the names of the published code."""
    names = published_names(model)
    state = {names[name]: torch.rand_like(value.float()) for name, value in model.state_dict().items()}
    return {name: value.long() if "num_batches" in name else value for name, value in state.items()}


def equal_published(model: nn.Module, state: dict[str, torch.Tensor]) -> bool:
    names = published_names(model)
    return all(torch.equal(value, state[names[name]]) for name, value in model.state_dict().items())


def test_resnet_weights_of_openmmlab(tmp_path: Path) -> None:
    backbone = resnet()
    state = published_state(backbone)
    classifier = {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    report = load_pretrained_backbone(backbone, save({"state_dict": state | classifier}, tmp_path / "r.pth"))
    assert equal_published(backbone, state)
    assert not (report.missing or report.unexpected or report.mismatched)
    assert "network.conv1.0.weight" in report.loaded

    with_prefix = {f"model.backbone.{name}": value for name, value in published_state(backbone).items()}
    load_pretrained_backbone(backbone, save(with_prefix, tmp_path / "run.pth"))
    assert torch.equal(backbone.network["bn1"].bias, with_prefix["model.backbone.stem.7.bias"])

    plain_stem = {name: value for name, value in state.items() if not name.startswith("stem")}
    shallow = {name: value for name, value in plain_stem.items() if not name.startswith("layer3")}
    with pytest.raises(CheckpointError, match=r"missing in the file.*network\.conv1\.0\.weight"):
        load_pretrained_backbone(backbone, save(shallow, tmp_path / "other.pth"))


def small_mit() -> nn.Module:
    return MODELS.build(dict(type="MixVisionTransformer", embed_dims=(4, 8, 12, 16), depths=(1, 1, 1, 1),
                             num_heads=(1, 1, 1, 1)))  # fmt: skip


def test_names_of_other_code(tmp_path: Path) -> None:
    """A prefix, a place in the file and other names; the message shows the way to the first two."""
    backbone, trained = small_mit(), small_mit()
    state = trained.state_dict()
    prefixed = {f"net.encoder.{name}": value for name, value in state.items()} | {
        "net.head.weight": torch.ones(2)
    }

    def holds_the_weights() -> bool:
        return all(torch.equal(value, state[name]) for name, value in backbone.state_dict().items())

    path = save(prefixed, tmp_path / "prefixed.pth")
    with pytest.raises(CheckpointError, match=r"set model\.pretrained_names=dict\(prefix='net\.encoder\.'\)"):
        load_pretrained_backbone(backbone, path)
    assert not holds_the_weights()
    load_pretrained_backbone(backbone, path, dict(prefix="net.encoder."))
    assert holds_the_weights()

    backbone = small_mit()
    path = save({"ema": {"encoder": state}, "optimizer": {"lr": 1}}, tmp_path / "nested.pth")
    with pytest.raises(
        CheckpointError, match=r"holds the dicts \['ema', 'optimizer'\], .*pretrained_names\.key"
    ):
        load_pretrained_backbone(backbone, path)
    load_pretrained_backbone(backbone, path, dict(key="ema.encoder"))
    assert holds_the_weights()

    backbone = small_mit()
    renamed = {
        name.replace("block", "stage_").replace(".attn.", ".attention."): v for name, v in state.items()
    }
    path = save(renamed, tmp_path / "renamed.pth")
    with pytest.raises(CheckpointError, match=r"translated by model\.pretrained_names"):
        load_pretrained_backbone(backbone, path)
    load_pretrained_backbone(backbone, path, dict(rename={r"stage_(\d)": r"block\1", "attention": "attn"}))
    assert holds_the_weights()

    for names, message in [
        (dict(prefix="backbone."), r"prefix='backbone\.': no entry begins so; found names as block1"),
        (dict(key="ema.student"), r"there is no dict 'ema'; expected one of none"),
    ]:
        with pytest.raises(CheckpointError, match=message):
            load_pretrained_backbone(backbone, save(state, tmp_path / "plain.pth"), names)
    with pytest.raises(ConfigError, match=r"pretrained_names\.rename: '\('"):
        load_pretrained_backbone(backbone, tmp_path / "plain.pth", dict(rename={"(": ""}))
    cfg = dict(type="EncoderDecoder", backbone=dict(type="mit_b0"), pretrained_names=dict(prefiks=""))
    head = dict(type="FCNHead", channels=4, num_classes=2, num_convs=1)
    with pytest.raises(ConfigError, match=r"pretrained_names has no \['prefiks'\]; known: key, prefix"):
        MODELS.build(dict(cfg, decode_head=head))


def test_open_mmlab_names_are_files(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError) as error:
        require_file("open-mmlab://resnet101_v1c")
    for part in (
        "resnet101_v1c-e67eebb6.pth",
        "save it as pretrained/resnet101_v1c-e67eebb6.pth",
        "https://",
    ):
        assert part in str(error.value)
    with pytest.raises(CheckpointError, match=r"did you mean .*open-mmlab://resnet101_v1c"):
        require_file("open-mmlab://resnet101v1c")

    Path("pretrained").mkdir()
    backbone = resnet()
    state = published_state(backbone)
    for name in ("resnet50_v1c.pth", "resnet50_v1c-2cccc1ad.pth"):  # the full name is preferred
        save(state, Path("pretrained") / name)
        assert require_file("open-mmlab://resnet50_v1c") == Path("pretrained") / name
    load_pretrained_backbone(backbone, "open-mmlab://resnet50_v1c")
    assert equal_published(backbone, state)
    renamed = save({}, Path("pretrained/resnext50-32x4d-0ab1a123.pth"))
    assert require_file("open-mmlab://resnext50_32x4d") == renamed


@pytest.mark.parametrize(("network", "prefix"), [("student", "model"), ("teacher", "ema_model")])
def test_published_checkpoint_of_a_cnn(tmp_path: Path, network: str, prefix: str) -> None:
    head = dict(type="SegFormerHead", in_channels=[2048], in_index=[3], channels=8, num_classes=2)
    head["decoder_params"] = dict(embed_dim=8, conv_kernel_size=1)
    backbone = dict(type="TimmBackbone", name="resnet50c", output_stride=8)
    model = MODELS.build(dict(type="EncoderDecoder", backbone=backbone, decode_head=head))
    states = {name: published_state(model) for name in ("model", "ema_model")}
    path = save(
        {"state_dict": {f"{name}.{key}": v for name, state in states.items() for key, v in state.items()}},
        tmp_path / "latest.pth",
    )
    load_checkpoint(model, path, network)
    assert equal_published(model, states[prefix])
    report = compare(nn.ModuleDict({"model": model}), {f"model.{k}": v for k, v in states["model"].items()})
    assert not (report.missing or report.unexpected or report.mismatched)

    del states["model"]["backbone.stem.3.weight"]
    with pytest.raises(
        CheckpointError, match=r"missing in the file \(1\): backbone\.network\.conv1\.3\.weight"
    ):
        load_checkpoint(model, save({"state_dict": states["model"]}, tmp_path / "less.pth"))


@pytest.mark.parametrize(
    "name",
    [
        "resnet50c",
        "swin_tiny_patch4_window7_224",
        "convnext_tiny",
        "vit_small_patch14_dinov2",
        "efficientnet_b0",
    ],
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_classifiers_of_timm(tmp_path: Path, name: str, suffix: str) -> None:
    import timm

    torch.manual_seed(0)
    classifier = timm.create_model(name)
    path = tmp_path / f"model{suffix}"
    if suffix == ".pth":
        save(classifier.state_dict(), path)
    else:
        save_file(classifier.state_dict(), path)
    backbone = MODELS.build(dict(type="TimmBackbone", name=name))
    report = load_pretrained_backbone(backbone, path)
    assert not (report.missing or report.unexpected or report.mismatched)
    own = {
        backbone.own_name(key): value
        for key, value in classifier.state_dict().items()
        if backbone.own_name(key) in backbone.state_dict()
    }
    assert equal(backbone, own)


def test_transformer_weights_for_another_image_size(tmp_path: Path) -> None:
    """As the authors of DINOv2 released them: for 518 pixels, with a token that only its training needs."""
    import timm

    classifier = timm.create_model("vit_small_patch14_dinov2", num_classes=0)
    state = classifier.state_dict() | {"mask_token": torch.zeros(1, 384)}
    path = save(state, tmp_path / "dinov2_vits14_pretrain.pth")
    backbone = MODELS.build(dict(type="TimmBackbone", name="vit_small_patch14_dinov2", img_size=224))
    report = load_pretrained_backbone(backbone, path)
    assert not (report.missing or report.unexpected or report.mismatched)
    assert backbone.network.model.pos_embed.shape == (1, 1 + 16 * 16, 384)
    assert torch.equal(backbone.network.model.blocks[3].attn.qkv.weight, classifier.blocks[3].attn.qkv.weight)


@pytest.mark.parametrize("other", ["convnext_tiny", "vit_small_patch16_dinov3", "resnet50"])
def test_classifier_of_another_network(tmp_path: Path, other: str) -> None:
    import timm

    path = save(timm.create_model(other).state_dict(), tmp_path / "other.pth")
    for name in ("vit_small_patch14_dinov2", "swin_tiny_patch4_window7_224"):
        backbone = MODELS.build(dict(type="TimmBackbone", name=name))
        with pytest.raises(CheckpointError, match=r"other\.pth: \d+% of the weights fit the backbone"):
            load_pretrained_backbone(backbone, path)


def test_weights_that_timm_fetches(tmp_path: Path, monkeypatch) -> None:
    import timm

    classifier = timm.create_model("mobilenetv3_small_100")
    path = save(classifier.state_dict(), tmp_path / "cached.pth")
    cfg = dict(type="TimmBackbone", name="mobilenetv3_small_100", pretrained_cfg_overlay=dict(file=str(path)))
    backbone = MODELS.build(cfg)
    report = load_pretrained_backbone(backbone, "timm")
    assert torch.equal(backbone.network.conv_stem.weight, classifier.conv_stem.weight)
    assert len(report.loaded) == len(backbone.state_dict())

    cfg["pretrained_cfg_overlay"] = dict(file=str(tmp_path / "nowhere.pth"))
    with pytest.raises(CheckpointError, match=r"mobilenetv3_small_100 cannot be fetched.*without network"):
        load_pretrained_backbone(MODELS.build(cfg), "timm")
    with pytest.raises(CheckpointError, match=r"timm has no weights for vit_small_patch16_18x2_224"):
        nameless = MODELS.build(cfg | dict(name="vit_small_patch16_18x2_224", pretrained_cfg_overlay=None))
        load_pretrained_backbone(nameless, "timm")
    with pytest.raises(CheckpointError, match="MixVisionTransformer is not in timm"):
        load_pretrained_backbone(MODELS.build(dict(type="mit_b0")), "timm")


def hugging_face_state(backbone: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a MiT as files of Hugging Face name them."""
    state = {}
    for name, value in backbone.state_dict().items():
        part, *rest = name.split(".")
        stage, kind = int(part[-1]) - 1, part[:-1]
        rest_name = ".".join(rest)
        if kind == "patch_embed":
            state[f"patch_embeddings.{stage}.{rest_name.replace('norm', 'layer_norm')}"] = value
        elif kind == "norm":
            state[f"layer_norm.{stage}.{rest_name}"] = value
        elif "attn.kv" in rest_name:
            start, end = rest_name.split("attn.kv")
            for half, key_or_value in zip(value.chunk(2), ("key", "value"), strict=True):
                state[f"block.{stage}.{start}attention.self.{key_or_value}{end}"] = half
        else:
            for ours, theirs in (
                ("attn.q.", "attention.self.query."),
                ("attn.sr.", "attention.self.sr."),
                ("attn.norm.", "attention.self.layer_norm."),
                ("attn.proj.", "attention.output.dense."),
                ("norm1.", "layer_norm_1."),
                ("norm2.", "layer_norm_2."),
                ("fc1.", "dense1."),
                ("fc2.", "dense2."),
            ):
                rest_name = rest_name.replace(ours, theirs)
            state[f"block.{stage}.{rest_name}"] = value
    return {f"segformer.encoder.{name}": value.clone() for name, value in state.items()}


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_mit_weights_of_hugging_face(tmp_path: Path, suffix: str) -> None:
    theirs = MODELS.build(dict(type="mit_b0"))
    state = hugging_face_state(theirs)
    assert "segformer.encoder.block.1.0.attention.self.layer_norm.bias" in state
    assert "segformer.encoder.block.3.1.mlp.dwconv.dwconv.weight" in state
    assert state["segformer.encoder.block.0.0.attention.self.value.weight"].shape == (32, 32)
    state |= {"classifier.weight": torch.zeros(1000, 256), "classifier.bias": torch.zeros(1000)}
    path = tmp_path / f"model{suffix}"
    save_file(state, path) if suffix == ".safetensors" else save(state, path)
    backbone = MODELS.build(dict(type="mit_b0"))
    report = load_pretrained_backbone(backbone, path)
    assert not (report.missing or report.unexpected or report.mismatched)
    assert equal(backbone, theirs.state_dict())
    with pytest.raises(CheckpointError, match="of the weights fit the backbone"):
        load_pretrained_backbone(MODELS.build(dict(type="mit_b1")), path)


def test_damaged_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(b"no checkpoint at all")
    with pytest.raises(CheckpointError, match=r"damaged\.safetensors: not a readable PyTorch checkpoint"):
        read_checkpoint(path)


def test_classes_are_reordered_wherever_a_head_has_one_output_per_class():
    model = MODELS.build(under_hrda(tiny())).eval()
    image, order = torch.randn(1, 3, 128, 128), list(range(model.num_classes))[::-1]
    before = model.encode_decode(image)
    reorder_classes(model, order)
    assert torch.equal(model.encode_decode(image), before[:, order])


@pytest.mark.parametrize("channels", [CLASSES, 8])
@pytest.mark.parametrize("name", ["DAFormerHead", "SegFormerHead", "DLV2Head", "FCNHead"])
def test_hidden_layers_of_as_many_channels_are_no_classifiers(name: str, channels: int) -> None:
    """The network predicts the same classes under other numbers, whatever the width of its hidden layers."""
    torch.manual_seed(0)
    levels = dict(in_channels=[32, 64, 160, 256], in_index=[0, 1, 2, 3])
    last = dict(in_channels=256, in_index=3)
    width = dict(channels=channels, norm_cfg=dict(type="BN"))
    relu, linear = dict(type="ReLU"), dict(type="mlp")
    fusion = dict(type="conv", kernel_size=1, act_cfg=relu, norm_cfg=dict(type="BN"))
    embedding = dict(embed_dims=channels, embed_cfg=linear, embed_neck_cfg=linear, fusion_cfg=fusion)
    head: dict[str, Any] = dict(
        DAFormerHead=levels | width | dict(decoder_params=embedding),
        SegFormerHead=levels | width | dict(decoder_params=dict(embed_dim=channels)),
        DLV2Head=last,
        FCNHead=last | width,
    )[name]
    head = dict(head, type=name, num_classes=CLASSES)
    model = MODELS.build(dict(type="EncoderDecoder", backbone=dict(type="mit_b0"), decode_head=head)).eval()
    image, order = torch.randn(1, 3, 64, 64), list(range(CLASSES))[::-1]
    before = model.encode_decode(image)
    assert class_layers(model)
    reorder_classes(model, order)
    torch.testing.assert_close(model.encode_decode(image), before[:, order], atol=1e-5, rtol=1e-4)


def meta_of(*names: str) -> dict[str, Any]:
    return {"meta": {"dataset_meta": {"classes": names}}}


@pytest.mark.parametrize(
    ("classes", "remap", "message"),
    [
        (
            ("x", "a", "b"),
            False,
            "under other numbers, .*: class 1 is 'b' in the checkpoint and 'a' in the data",
        ),
        (("x", "a", "b"), True, "under other numbers"),
        (("C", "A", "B"), False, "in another order: class 0 is 'a' in the checkpoint and 'C' in the data"),
    ],
)
def test_a_class_with_another_number_is_refused(classes: tuple[str, ...], remap: bool, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        fit_classes(nn.Identity(), meta_of("a", "b", "c"), classes, "x.pth", remap)


def test_all_other_names_are_warned_of_and_spellings_are_not() -> None:
    known = meta_of("traffic light", "road", "car")
    fit_classes(nn.Identity(), known, ("Traffic-Light", "ROAD", "car"), "x.pth")
    with patch("mmseg.checkpoints.weights.print_log") as log:
        fit_classes(nn.Identity(), known, ("traffic light", "street", "van"), "x.pth")
    (call,) = log.call_args_list
    assert "class 1 is 'road' in the checkpoint and 'street' in the data, class 2 is 'car'" in call.args[0]


def test_a_new_classifier_is_new_with_the_same_number_of_classes(tmp_path: Path) -> None:
    model, other = (MODELS.build(tiny()) for _ in range(2))
    layers = class_layers(model)
    assert list(layers) == ["decode_head.conv_seg"]
    with torch.no_grad():
        layers["decode_head.conv_seg"].weight.fill_(3)
    path = tmp_path / "model.pth"
    torch.save({"state_dict": model.state_dict()}, path)
    load_checkpoint(other, path, new_classifier=True)
    assert not (other.decode_head.conv_seg.weight == 3).any()
    assert torch.equal(other.backbone.norm1.weight, model.backbone.norm1.weight)
    load_checkpoint(other, path)
    assert (other.decode_head.conv_seg.weight == 3).all()
