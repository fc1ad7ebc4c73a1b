"""What the package and its commands do to the process they run in."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import mmseg
from mmseg.cli import command

IMPORT = """
import os, signal
import cv2, torch, mmengine.runner, kornia  # libraries may have settings of their own
def settings():
    handlers = {number: str(signal.getsignal(number)) for number in signal.valid_signals()}
    return dict(os.environ), handlers, torch.get_num_threads()
before = settings()
import mmseg.apis.inference, mmseg.apis.testing, mmseg.apis.training, mmseg.cli
assert settings() == before, (before, settings())
"""
FAULTS = """
import resource
{imports}
import torch
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(64, 2**18)  # 64 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
for _ in range(20):  # small remains of the first blocks lie between them until the allocator keeps no more
    faults()
print(faults())
"""
COMMAND = "from mmseg.cli import command; command(lambda: None)()"
PAGES = 64 * 2**20 // 4096


def run(code: str, **environment: str) -> str:
    """What a program prints."""
    inherited = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    process = subprocess.run(
        [sys.executable, "-c", code], env={**inherited, **environment}, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_importing_the_package_changes_nothing_of_the_process() -> None:
    run(IMPORT)


@pytest.mark.parametrize(
    ("content", "expected", "other"),
    [
        ("raise ModuleNotFoundError(\"No module named 'cv2'\")", "source .venv/bin/activate", "apt-get"),
        ("raise ImportError('libGL.so.1: cannot open')", "apt-get install libgl1 libglib2.0-0", "activate"),
    ],
)
def test_why_opencv_cannot_be_imported(content, expected, other, tmp_path):
    """In another environment, or on a server without desktop libraries: the remedies differ."""
    (tmp_path / "cv2.py").write_text(content)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(mmseg.__file__).parents[1]}"}
    done = subprocess.run(
        [sys.executable, "-c", "import mmseg"], env=environment, capture_output=True, text=True
    )
    message = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and expected in message and other not in message


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_memory_of_a_freed_tensor_is_used_again_in_commands_only() -> None:
    assert int(run(FAULTS.format(imports=COMMAND))) < PAGES / 10
    assert int(run(FAULTS.format(imports="import mmseg"))) >= PAGES
    assert int(run(FAULTS.format(imports=COMMAND), MMSEG_KEEP_FREED_MEMORY="0")) >= PAGES


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_waiting_threads_of_commands_sleep_early(given, expected, monkeypatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    shown = "import os, sys; assert 'torch' not in sys.modules; print(os.environ.get('GOMP_SPINCOUNT'))"
    assert run(f"{COMMAND}; {shown}", **given) == f"{expected}\n"


@pytest.mark.parametrize("name", ["mmcv-lite", "mmengine"])
def test_a_distribution_that_overwrites_another_is_refused(name, tmp_path, monkeypatch, capsys) -> None:
    info = tmp_path / f"{name.replace('-', '_')}-0.10.7.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.10.7\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert command(lambda: None)() == 1
    ours = "onedl-" + name.removesuffix("-lite")
    assert f"error: {name} 0.10.7 is installed beside {ours} " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("print('\\xfcber')", 0, "\\xfcber"),
        ("raise MMSegError('\\xfcber')", 1, "error: \\xfcber"),
        ("'\\xfcber'.encode('ascii')", 1, "error: '\\xfcber': the encoding of the system, ascii, has no"),
    ],
)
def test_letters_that_the_terminal_does_not_have(code, status, expected):
    program = (
        "import sys\nfrom mmseg.cli import command\nfrom mmseg.errors import MMSegError\n"
        f"def main():\n    {code}\nsys.exit(command(main)())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (done.returncode, (done.stdout + done.stderr).startswith(expected)) == (status, True), done
