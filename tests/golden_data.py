"""Access to the stored numbers of the published implementation (tests/golden)."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np

GOLDEN = Path(__file__).parent / "golden"


def _load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_gen", GOLDEN / "gen.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


gen = _load_generator()


def load(name: str) -> dict[str, np.ndarray]:
    """All arrays of ``tests/golden/<name>.npz``."""
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as archive:
        return dict(archive)


def listing(name: str) -> list[list[str]]:
    """Rows of ``tests/golden/<name>.tsv`` without the header."""
    return [line.split("\t") for line in (GOLDEN / f"{name}.tsv").read_text().splitlines()[1:]]


def norm(digest: np.ndarray) -> np.ndarray:
    """Euclidean norm from a digest (or a table of digests): comparable without cancellation."""
    return np.sqrt(digest[..., 1])
