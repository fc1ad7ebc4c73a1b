"""What other programs call.

A function is imported when it is first asked for: it needs torch, which takes seconds to load, and what
starts runs (:mod:`mmseg.launch`) does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmseg.apis.inference import inference_segmentor, init_segmentor
    from mmseg.apis.pretrained import from_pretrained, push_to_hub, save_pretrained
    from mmseg.apis.testing import test
    from mmseg.apis.training import train

__all__ = [
    "from_pretrained",
    "inference_segmentor",
    "init_segmentor",
    "push_to_hub",
    "save_pretrained",
    "test",
    "train",
]

MODULES = {
    "from_pretrained": "pretrained",
    "inference_segmentor": "inference",
    "init_segmentor": "inference",
    "push_to_hub": "pretrained",
    "save_pretrained": "pretrained",
    "test": "testing",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
