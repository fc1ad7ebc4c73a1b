"""Keep a CUDA build of torchvision importable beside a CPU build of torch.

On machines without a GPU, PyPI resolves torchvision to a wheel whose C++ operators cannot be loaded by a
CPU-only torch; ``import torchvision`` then stops with ``operator torchvision::nms does not exist``.
Everything in Python works once the two operator schemas that the import looks up are declared.
"""

import importlib.util

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: torch.library.Library | None = None


def declare_missing_operators() -> None:
    """Declare torchvision's two operators when torch has no CUDA build and torchvision cannot register them
    itself."""
    global _library
    if (
        torch.version.cuda is not None
        or _library is not None
        or importlib.util.find_spec("torchvision") is None
    ):
        return
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        import sys

        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]  # a half-imported package would be found again by the next import
        _library = torch.library.Library("torchvision", "DEF")
        for schema in _SCHEMAS:
            _library.define(schema)
    except ImportError:
        return
