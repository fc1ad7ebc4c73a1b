"""Checkpoint files are whole or absent, and damage is noticed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmseg.checkpoints.atomic import replacing, write_text
from mmseg.checkpoints.files import candidates, is_intact, newest_intact


def save(path):
    torch.save({"weight": torch.arange(1000.0), "iteration": 7}, path)
    return path


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "state.txt"
    write_text(path, "old")
    with pytest.raises(OSError, match="no space"), replacing(path) as temporary:
        temporary.write_text("ne")
        raise OSError("no space")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["state.txt"]


def test_the_name_changes_at_once(tmp_path):
    path = tmp_path / "state.txt"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_every_flipped_bit_of_a_weight_is_noticed(tmp_path_factory, position, bit):
    path = save(tmp_path_factory.mktemp("flip") / "iter_1.pth")
    assert is_intact(path)
    content = bytearray(path.read_bytes())
    start = content.find(torch.arange(1000.0).numpy().tobytes())
    assert start > 0
    content[start + int(position * 4000)] ^= 1 << bit
    path.write_bytes(content)
    assert not is_intact(path)


@given(share=st.floats(0, 0.999))
def test_every_truncation_is_noticed(tmp_path_factory, share):
    path = save(tmp_path_factory.mktemp("cut") / "iter_1.pth")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert not is_intact(path)


def test_the_newest_whole_checkpoint_is_found(tmp_path):
    paths = {n: save(tmp_path / f"iter_{n}.pth") for n in (9, 10, 100)}
    assert newest_intact(tmp_path) == (paths[100], [])
    paths[100].write_bytes(b"half a")
    assert newest_intact(tmp_path) == (paths[10], [paths[100]])
    paths[10].unlink()
    paths[9].write_bytes(b"")
    assert newest_intact(tmp_path) == (None, [paths[100], paths[9]])


def test_checkpoints_of_an_earlier_longer_run_are_not_taken(tmp_path):
    for n in (2, 4, 40000):
        save(tmp_path / f"iter_{n}.pth")
    save(tmp_path / "iter_best.pth")
    (tmp_path / "last_checkpoint").write_text("/moved/since/iter_4.pth")
    assert [path.name for path in candidates(tmp_path)] == ["iter_4.pth", "iter_2.pth"]
