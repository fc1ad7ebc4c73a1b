"""ImageNet weights by the name of the encoder."""

import hashlib
from pathlib import Path

import pytest
import torch

from mmseg.checkpoints.hub_weights import HUB_WEIGHTS, hub_file
from mmseg.checkpoints.weights import load_pretrained_backbone, require_file
from mmseg.errors import CheckpointError
from mmseg.registry import MODELS


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """A folder without weights, and a hub that is never asked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_: pytest.fail("the hub is not needed"))
    return tmp_path


def cached(folder: Path, content: bytes, digest: str | None = None) -> Path:
    """A file in the form of the hub's cache: a link to a file that is named by its hash."""
    blob = folder / "blobs" / (digest or hashlib.sha256(content).hexdigest())
    blob.parent.mkdir(exist_ok=True)
    blob.write_bytes(content)
    link = folder / "snapshots" / "pytorch_model.bin"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(blob)
    return link


def test_every_mit_has_a_name():
    assert HUB_WEIGHTS["mit_b5"] == ("nvidia/mit-b5", "pytorch_model.bin")
    assert set(HUB_WEIGHTS) == {f"mit_b{size}" for size in range(6)}


def test_a_file_of_ones_own_goes_first(folder):
    own = Path("pretrained/mit_b3.pth")
    own.parent.mkdir()
    own.write_bytes(b"weights")
    assert require_file("mit_b3") == own


def test_weights_of_the_hub_go_into_the_encoder(folder, monkeypatch):
    encoder = MODELS.build(dict(type="mit_b0"))
    state = {name: torch.full_like(value, 0.5) for name, value in encoder.state_dict().items()}
    torch.save(state, folder / "file")
    link = cached(folder, (folder / "file").read_bytes())
    asked = []
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *names: asked.append(names) or str(link))
    load_pretrained_backbone(encoder, "mit_b0")
    assert asked == [("nvidia/mit-b0", "pytorch_model.bin")]
    assert all((value == 0.5).all() for value in encoder.state_dict().values())


def test_a_damaged_file_of_the_cache_is_refused(folder, monkeypatch):
    link = cached(folder, b"half", digest="0" * 64)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_: str(link))
    with pytest.raises(CheckpointError, match=r"SHA-256 .*, the hub names 0000.*; remove .*blobs"):
        hub_file("mit_b1")


def test_without_a_network_it_is_said_what_to_fetch(monkeypatch):
    def offline(*names):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    with pytest.raises(CheckpointError) as caught:
        require_file("mit_b5")
    assert str(caught.value) == (
        "mit_b5: pretrained/mit_b5.pth does not exist, and pytorch_model.bin of nvidia/mit-b5 cannot be had "
        "from the Hugging Face hub (ConnectionError: no route); download https://huggingface.co/nvidia/mit-b5/"
        "resolve/main/pytorch_model.bin elsewhere and save it as pretrained/mit_b5.pth, or set "
        "model.pretrained=None to train from scratch"
    )
