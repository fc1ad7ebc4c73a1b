import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from torch import nn

from mmseg.errors import CheckpointError
from mmseg.models.pretrained import (
    load_checkpoint,
    load_pretrained_backbone,
    read_checkpoint,
    require_file,
)
from mmseg.registry import MODELS


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


def test_a_backbone_needs_nine_tenths_of_its_weights(tmp_path: Path) -> None:
    backbone = nn.ModuleDict({f"layer{index}": nn.Linear(2, 3, bias=False) for index in range(20)})
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    state = {name: value + 1 for name, value in before.items()}
    del state["layer0.weight"]
    state["layer1.weight"] = torch.zeros(4, 2)
    report = load_pretrained_backbone(backbone, save(state, tmp_path / "nearly.pth"))
    assert report.fitting_share == pytest.approx(0.9)
    assert report.missing == ["layer0.weight"] and len(report.loaded) == 18
    after = backbone.state_dict()
    assert torch.equal(after["layer2.weight"], before["layer2.weight"] + 1)
    assert torch.equal(after["layer1.weight"], before["layer1.weight"])

    del state["layer2.weight"]
    path = save(state, tmp_path / "wrong.pth")
    with pytest.raises(CheckpointError) as error:
        load_pretrained_backbone(backbone, path)
    for part in (str(path), "85% of the weights fit", "at least 90%", "layer0.weight", "(4, 2) in the file"):
        assert part in str(error.value)
    assert torch.equal(backbone.state_dict()["layer3.weight"], after["layer3.weight"])


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
    head = dict(
        type="DAFormerHead",
        in_channels=[32],
        in_index=[0],
        channels=8,
        num_classes=2,
        decoder_params=dict(embed_dims=8, embed_cfg=dict(type="mlp"), fusion_cfg=dict(type="id")),
    )
    path = save(state, tmp_path / "mit_b0.pth")
    cfg = dict(type="EncoderDecoder", backbone=dict(type="mit_b0"), decode_head=head, pretrained=str(path))
    model = MODELS.build(cfg)
    assert not equal(model.backbone, state)
    model.init_weights()
    assert equal(model.backbone, state)
    with pytest.raises(CheckpointError, match=r"nowhere\.pth: weight file not found"):
        MODELS.build(cfg | dict(pretrained="nowhere.pth")).init_weights()


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
    load_checkpoint(model, path, network="ema_model")
    assert equal(model, teacher)
    with pytest.raises(CheckpointError, match=r"no entry starts with .mic_model\.."):
        load_checkpoint(model, path, network="mic_model")


def test_checkpoint_of_a_plain_run(tmp_path: Path) -> None:
    state = network().state_dict()
    without_counter = {name: value for name, value in state.items() if "num_batches" not in name}
    model = network()
    path = save({"state_dict": without_counter}, tmp_path / "w.pth")
    load_checkpoint(model, path)
    assert equal(model, state)
    with pytest.raises(CheckpointError, match=r"no entry starts with 'ema_model\.'"):
        load_checkpoint(model, path, network="ema_model")


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
