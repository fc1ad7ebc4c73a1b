"""Reading published checkpoints safely, and writing one of their networks to a file."""

import hashlib
import os
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_data import listing
from old_configs import old_config
from published_settings import published_settings
from released_runs import as_json, checkpoint
from safetensors import safe_open

from mmseg.apis import init_segmentor
from mmseg.checkpoints.export import extract_network
from mmseg.checkpoints.networks import NETWORKS, split_networks
from mmseg.checkpoints.weights import dataset_meta, read_checkpoint
from mmseg.commands.publish_model import main as publish
from mmseg.config.load import load_config
from mmseg.errors import CheckpointError
from mmseg.models.backbones.timm_backbone import todays_name
from mmseg.registry import MODELS
from tools.convert_checkpoint import main as convert

PREFIXES = ("model", "ema_model", "imnet_model", "mic.teacher.ema_model")


def old_checkpoint(path: Path, **entries: Any) -> Path:
    """Four networks of one layer each, whose weights are 0 to 3, and a discriminator, as mmcv saved them."""
    state = OrderedDict((f"{prefix}.conv.weight", torch.full((2, 3), i)) for i, prefix in enumerate(PREFIXES))
    state["model_D.main.conv1.weight"] = torch.full((1,), 9.0)
    state._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2))]).state_dict()
    torch.save({**checkpoint(dict(state)), "state_dict": state, "optimizer": optimizer, **entries}, path)
    return path


# ---------------------------------------------------------------------------------------------------- reading


def mmcv_meta() -> dict[str, Any]:
    """What mmcv and its hooks put beside the weights."""
    return dict(
        env_info="sys.platform: linux", config="model = dict()", seed=np.int64(3), exp_name="run.json",
        mmseg_version="0.16.0+1234", time="Mon Nov  8 16:22:00 2021", epoch=1, iter=np.int32(40000),
        hook_msgs=dict(best_score=np.float64(68.85), flag=np.bool_(True), last_ckpt="iter_1.pth"),
        CLASSES=("road", "car"), PALETTE=np.array([[128, 64, 128], [0, 0, 142]]),
    )  # fmt: skip


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("numpy_1", [True, False])
def test_metadata_of_mmcv_is_read(tmp_path, zipped, numpy_1):
    """Also with the module names of numpy 1, as every published file has them."""
    path = tmp_path / "latest.pth"
    torch.save({"meta": mmcv_meta(), "state_dict": {"w": torch.ones(2)}}, path,
               _use_new_zipfile_serialization=zipped)  # fmt: skip
    if numpy_1:
        rename = (b"numpy._core.multiarray", b"numpy.core.multiarray")
        if zipped:
            with zipfile.ZipFile(path) as archive:
                members = {name: archive.read(name) for name in archive.namelist()}
            with zipfile.ZipFile(path, "w") as archive:
                for name, content in members.items():
                    archive.writestr(name, content.replace(*rename) if name.endswith("data.pkl") else content)
        else:
            path.write_bytes(path.read_bytes().replace(*rename))
    content = read_checkpoint(path)
    assert content["meta"]["hook_msgs"]["best_score"] == 68.85 and content["meta"]["iter"] == 40000
    assert dataset_meta(content["meta"]) == dict(
        classes=("road", "car"), palette=[[128, 64, 128], [0, 0, 142]]
    )


class Harmful:
    """Runs a command where it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("place", ["meta", "state_dict", "optimizer"])
def test_no_command_in_a_checkpoint_is_run(tmp_path, place, zipped, capsys):
    path, ran = tmp_path / "latest.pth", tmp_path / "ran"
    content: dict[str, Any] = {**checkpoint({"model.w": torch.ones(1)}), "optimizer": {}}
    content[place]["harmful"] = Harmful(f"touch {ran}")
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    for tool in (convert, publish):
        assert tool([str(path), str(tmp_path / "out.pth")]) == 1
        assert "system, which weights do not need" in capsys.readouterr().err
    with pytest.raises(CheckpointError, match="not a readable PyTorch checkpoint"):
        read_checkpoint(path)
    assert not ran.exists() and not (tmp_path / "out.pth").exists()
    assert os.system(f"touch {ran}") == 0 and ran.exists()  # the command would have worked


def test_entries_of_a_checkpoint_by_network(tmp_path):
    networks = split_networks(read_checkpoint(old_checkpoint(tmp_path / "latest.pth"))["state_dict"])
    assert {prefix: list(entries) for prefix, entries in networks.items()} == {
        **{prefix: ["conv.weight"] for prefix in PREFIXES}, "model_D": ["main.conv1.weight"]
    }  # fmt: skip
    plain = {"backbone.w": torch.ones(1), "model_x.w": torch.zeros(1)}
    assert split_networks(plain) == {"": plain}


# ---------------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(("network", "value"), [*zip(NETWORKS, (0, 1, 2, 3), strict=False), ("", 0)])
def test_one_network_is_taken(tmp_path, network, value, suffix, capsys):
    out = tmp_path / "folder" / f"out{suffix}"
    options = ["--network", network] if network else []
    assert convert([str(old_checkpoint(tmp_path / "latest.pth")), str(out), *options]) == 0
    assert f"{network or 'student'}, 1 weights" in capsys.readouterr().out
    content = read_checkpoint(out)
    state = content if suffix == ".safetensors" else content["state_dict"]
    assert {name: w.tolist() for name, w in state.items()} == {"conv.weight": [[value] * 3] * 2}
    if suffix == ".pth":
        assert content.keys() == {"meta", "state_dict"}
        assert content["meta"] == dict(
            iter=40000, epoch=12, dataset_meta=dict(classes=("road",), palette=[[128, 64, 128]])
        )
    else:
        with safe_open(out, "pt") as file:
            assert file.metadata() == {"format": "pt"}


def test_seed_and_iteration_may_be_zero(tmp_path):
    meta = dict(iter=0, seed=0, exp_name="run.json", env_info="sys.platform: linux")
    torch.save({"meta": meta, "state_dict": {"w": torch.ones(1)}}, tmp_path / "latest.pth")
    kept = extract_network(tmp_path / "latest.pth")["meta"]
    assert kept == dict(iter=0, seed=0, experiment_name="run.json")


def test_discriminators_and_all_networks(tmp_path):
    path = old_checkpoint(tmp_path / "latest.pth")
    assert extract_network(path, "discriminators")["state_dict"].keys() == {"main.conv1.weight"}
    everything = read_checkpoint(path)["state_dict"]
    assert extract_network(path, "all")["state_dict"].keys() == everything.keys()


def test_run_without_adaptation_has_a_student_only(tmp_path):
    path = tmp_path / "latest.pth"
    torch.save(checkpoint({"conv.weight": torch.ones(1)}), path)
    assert extract_network(path)["state_dict"] == {"conv.weight": torch.ones(1)}
    assert extract_network(path, "all")["state_dict"].keys() == {"conv.weight"}
    with pytest.raises(CheckpointError, match=r"holds no teacher .*'ema_model\.'.*it has student"):
        extract_network(path, "teacher")


def test_student_without_prefix_beside_a_teacher(tmp_path):
    path = tmp_path / "latest.pth"
    torch.save(checkpoint({"w": torch.ones(1), "ema_model.w": torch.zeros(1)}), path)
    assert extract_network(path)["state_dict"] == {"w": torch.ones(1)}
    assert extract_network(path, "teacher")["state_dict"] == {"w": torch.zeros(1)}


def test_teacher_of_masked_consistency_alone(tmp_path):
    path = tmp_path / "latest.pth"
    torch.save(checkpoint({"model.w": torch.ones(1), "mic.teacher.ema_model.w": torch.zeros(1)}), path)
    for network in ("teacher", "masking-teacher"):
        assert extract_network(path, network)["state_dict"] == {"w": torch.zeros(1)}


def test_missing_network_and_file_are_explained(tmp_path, capsys):
    path = tmp_path / "latest.pth"
    torch.save(checkpoint({"model.w": torch.ones(1), "imnet_model.w": torch.ones(1)}), path)
    assert convert([str(path), str(tmp_path / "o.pth"), "--network", "teacher"]) == 1
    assert "holds no teacher" in capsys.readouterr().err
    assert convert([str(tmp_path / "nowhere.pth"), str(tmp_path / "o.pth")]) == 1
    assert "weight file not found" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert convert([str(path), str(tmp_path / "file" / "o.pth")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_published_file_holds_the_student_and_its_hash(uda_run, tmp_path, capsys):
    """Of a run of today: smaller by teacher, ImageNet branch, optimizer and history; the same predictions."""
    assert publish([str(uda_run.checkpoint), str(tmp_path / "daformer.pth")]) == 0
    (path,) = tmp_path.iterdir()
    assert capsys.readouterr().out.strip() == str(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name == f"daformer-{digest[:8]}.pth"
    assert path.stat().st_size < 0.4 * uda_run.checkpoint.stat().st_size
    content = read_checkpoint(path)
    assert content.keys() == {"meta", "state_dict"}
    assert not any(name.startswith((*PREFIXES, "optim")) for name in content["state_dict"])
    assert content["meta"]["iter"] == 4 and len(content["meta"]["dataset_meta"]["classes"]) == 19
    assert str(uda_run.work_dir) not in str(content["meta"])
    before, after = (init_segmentor(uda_run.cfg, p, device="cpu") for p in (uda_run.checkpoint, path))
    for name, value in before.state_dict().items():
        assert torch.equal(value, after.state_dict()[name]), name


@pytest.mark.parametrize("tool", [convert, publish])
def test_no_file_is_overwritten(tmp_path, tool, monkeypatch, capsys):
    """Neither the checkpoint, by whatever name, nor another file that stands at the name to write."""
    monkeypatch.chdir(tmp_path)
    path = old_checkpoint(tmp_path / "latest.pth")
    (tmp_path / "link.pth").symlink_to(path)
    (tmp_path / "hard.pth").hardlink_to(path)
    (tmp_path / "other.pth").write_text("unrelated")
    (tmp_path / "folder.pth").mkdir()
    before, files = path.read_bytes(), sorted(tmp_path.iterdir())
    reasons = {
        "latest.pth": "is the checkpoint to read", "./latest.pth": "is the checkpoint to read",
        "link.pth": "is the checkpoint to read", "hard.pth": "is the checkpoint to read",
        "other.pth": "exists already", "folder.pth": "exists already",
        "out.txt": "ends with .pth or .safetensors", "out": "ends with .pth or .safetensors",
    }  # fmt: skip
    for out, reason in reasons.items():
        for force in ([], ["--force"] if tool is convert and out != "other.pth" else []):
            assert tool([str(path), out, *force]) == 1
            assert reason in capsys.readouterr().err
    assert path.read_bytes() == before and sorted(tmp_path.iterdir()) == files
    assert (tmp_path / "other.pth").read_text() == "unrelated"


def test_force_overwrites_another_file(tmp_path):
    out = tmp_path / "out.pth"
    out.write_text("old")
    assert convert([str(old_checkpoint(tmp_path / "latest.pth")), str(out), "--force"]) == 0
    assert read_checkpoint(out)["state_dict"].keys() == {"conv.weight"}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_publishing_twice_is_refused_and_leaves_nothing_behind(tmp_path, suffix, capsys):
    """The same weights give the same file."""
    checkpoint = old_checkpoint(tmp_path / "latest.pth")
    arguments = [str(checkpoint), str(tmp_path / "published" / f"out{suffix}")]
    assert publish(arguments) == 0
    (path,) = (tmp_path / "published").iterdir()
    before = path.read_bytes()
    assert publish(arguments) == 1
    assert f"{path}: exists already" in capsys.readouterr().err
    assert list((tmp_path / "published").iterdir()) == [path] and path.read_bytes() == before


def test_residual_networks_get_todays_names(tmp_path):
    """A published checkpoint with a ResNet becomes one of today, which needs no renaming any more."""
    row = next(row for row in published_settings()[81] if row["index"] == 0)
    cfg = load_config(as_json(old_config(row), tmp_path / "advseg"))
    with torch.device("meta"):
        own = MODELS.build({**cfg.model, "pretrained": None}).state_dict()
    state = {}
    for key, shape, dtype in listing("statedict_advseg_dlv2_r101"):
        sizes = [] if shape == "scalar" else [int(length) for length in shape.split("x")]
        state[key] = torch.zeros((), dtype=getattr(torch, dtype)).expand(sizes)
    path = tmp_path / "latest.pth"
    torch.save(checkpoint(state), path)
    assert extract_network(path, rename=todays_name)["state_dict"].keys() == own.keys()
    assert convert([str(path), str(tmp_path / "student.safetensors")]) == 0
    model = init_segmentor(cfg, tmp_path / "student.safetensors", device="cpu")
    assert all(not value.any() for value in model.state_dict().values())


def test_classes_of_an_old_checkpoint(source_run, tmp_path):
    """Names and colours that a run had of its own."""
    student = extract_network(source_run.checkpoint)["state_dict"]
    path = tmp_path / "old.pth"
    names, colours = tuple(f"class {c}" for c in range(19)), [[c, 0, 0] for c in range(19)]
    torch.save({"meta": dict(CLASSES=names, PALETTE=colours), "state_dict": student}, path)
    model = init_segmentor(source_run.cfg, path, device="cpu")
    assert model.classes == names and model.palette == [(c, 0, 0) for c in range(19)]
