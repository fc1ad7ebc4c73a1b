"""Checkpoint files are whole or absent, and damage is noticed."""

import os
import signal
import subprocess
import sys
import time
import zipfile
from multiprocessing import get_context

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from mmseg.checkpoints.atomic import claim, replacing, write_text
from mmseg.checkpoints.files import (
    candidates,
    find_checkpoint,
    is_complete,
    is_intact,
    last_checkpoint,
    last_written,
)
from mmseg.config.checks import checkpoint_to_resume
from mmseg.errors import CheckpointError
from mmseg.launch.process import Job


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
    assert not is_intact(path) and is_complete(path), "the latter reads no weights"


@given(share=st.floats(0, 0.999))
def test_every_truncation_is_noticed(tmp_path_factory, share):
    path = save(tmp_path_factory.mktemp("cut") / "iter_1.pth")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert not is_intact(path) and not is_complete(path)


def warnings(capsys) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_the_newest_whole_checkpoint_is_found(tmp_path, capsys):
    paths = {n: save(tmp_path / f"iter_{n}.pth") for n in (9, 10, 100)}
    assert last_checkpoint(tmp_path) == paths[100] and not warnings(capsys)
    paths[100].write_bytes(b"half a")
    assert last_checkpoint(tmp_path) == paths[10]
    assert warnings(capsys) == [f"warning: {paths[100]} is damaged and not used"]
    paths[10].unlink()
    paths[9].write_bytes(b"")
    assert last_checkpoint(tmp_path) is None and len(warnings(capsys)) == 2


def test_tests_and_resumed_runs_take_the_same_checkpoint(tmp_path, capsys):
    older, newest = save(tmp_path / "iter_10.pth"), save(tmp_path / "iter_20.pth")
    (tmp_path / "last_checkpoint").write_text(str(newest))
    cfg = Config(dict(work_dir=str(tmp_path)))
    assert find_checkpoint(tmp_path) == checkpoint_to_resume(cfg) == newest
    newest.write_bytes(newest.read_bytes()[:-100])
    assert find_checkpoint(tmp_path) == checkpoint_to_resume(cfg) == older
    assert warnings(capsys) == [f"warning: {newest} is damaged and not used"] * 2
    older.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"that is whole .* found iter_10\.pth, iter_20\.pth"):
        find_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="no undamaged checkpoint to resume from"):
        checkpoint_to_resume(cfg)


def test_a_damaged_file_is_named_by_who_loads_it_alone(tmp_path, capsys):
    older, newest = save(tmp_path / "iter_10.pth"), save(tmp_path / "iter_20.pth")
    newest.write_bytes(newest.read_bytes()[:-100])
    assert last_written(tmp_path) == older
    assert "--resume" in Job("run", tmp_path / "config.py", tmp_path, 20).command()
    assert not warnings(capsys)
    newest.unlink(), older.unlink()
    assert last_written(tmp_path) is None


def test_a_start_reads_a_checkpoint_once(tmp_path, monkeypatch):
    """The launcher asks whether there is one; the trainer that is going to load it compares checksums."""
    save(tmp_path / "iter_9.pth"), save(tmp_path / "iter_10.pth")
    read = []
    compare = zipfile.ZipFile.testzip
    monkeypatch.setattr(zipfile.ZipFile, "testzip", lambda self: read.append(self.filename) or compare(self))
    assert last_written(tmp_path)
    command = Job("run", tmp_path / "config.py", tmp_path, 20).command()
    assert "--resume" in command and not read
    assert checkpoint_to_resume(Config(dict(work_dir=str(tmp_path)))) == tmp_path / "iter_10.pth"
    assert read == [str(tmp_path / "iter_10.pth")]


def test_checkpoints_of_an_earlier_longer_run_are_not_taken(tmp_path):
    for n in (2, 4, 40000):
        save(tmp_path / f"iter_{n}.pth")
    save(tmp_path / "iter_best.pth")
    (tmp_path / "last_checkpoint").write_text("/moved/since/iter_4.pth")
    assert [path.name for path in candidates(tmp_path)] == ["iter_4.pth", "iter_2.pth"]


IMPORT_ALL = """
import pkgutil, sys
import psutil  # which has a form for every system
sys.modules["fcntl"] = sys.modules["resource"] = None
import mmseg
for module in pkgutil.walk_packages(mmseg.__path__, "mmseg."):
    __import__(module.name)
from mmseg.checkpoints.atomic import claim
with claim(sys.argv[1]) as free:
    assert free
"""


def test_the_package_needs_nothing_of_unix(tmp_path):
    """As on Windows."""
    program = [sys.executable, "-c", IMPORT_ALL, str(tmp_path / "lock")]
    done = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no file locks on this system" in done.stderr


def hold_while_killed(path, ready):
    with claim(path) as free:
        context = get_context("fork")
        child = context.Process(target=time.sleep, args=(30,))
        child.start()  # as a data worker, which outlives its trainer for a while
        ready.put((free, child.pid))
        time.sleep(30)


def test_the_lock_of_a_killed_process_goes_with_it(tmp_path):
    context = get_context("fork")
    ready = context.Queue()
    holder = context.Process(target=hold_while_killed, args=(tmp_path / "lock", ready))
    holder.start()
    free, child = ready.get(timeout=30)
    with claim(tmp_path / "lock") as also_free:
        assert free and not also_free
    holder.kill()
    os.waitpid(holder.pid, 0)  # joining it would wait for the child, too
    with claim(tmp_path / "lock") as free_again:
        assert free_again
    os.kill(child, signal.SIGKILL)
