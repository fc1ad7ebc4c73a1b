import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # several processes share the cores, before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
import toy_run
from torch.backends import cudnn
from torch.backends.cuda import matmul


def pytest_runtest_setup(item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a GPU")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request) -> Iterator[str]:
    """Where a test computes: on the CPU, and on a GPU where there is one, with all bits of float32."""
    if request.param == "cpu":
        yield "cpu"
        return
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    yield request.param
    matmul.allow_tf32, cudnn.allow_tf32 = before


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory) -> Path:
    """A few toy images in the GTA and Cityscapes layouts; not to be changed."""
    return toy_run.write_toy_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def source_run(toy_data, tmp_path_factory) -> toy_run.Run:
    """A finished source-only run of four iterations."""
    work_dir = tmp_path_factory.mktemp("source_run")
    return toy_run.run_training(toy_run.toy_config("source_only", toy_data, work_dir))


@pytest.fixture(scope="session")
def uda_run(toy_data, tmp_path_factory) -> toy_run.Run:
    """A finished DAFormer run of four iterations, in a folder with spaces in its name."""
    work_dir = tmp_path_factory.mktemp("runs") / "my daformer run"
    return toy_run.run_training(toy_run.uda_config(toy_data, work_dir))
