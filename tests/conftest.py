import os
import sys
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # several processes share the cores, before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

import toy_run


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
