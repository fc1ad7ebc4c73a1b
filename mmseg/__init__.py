"""Domain-adaptive semantic segmentation: DAFormer and its successors from one experiment ID."""

import os

# OpenMP threads that wait spin by default: as soon as another process (a data worker, a second run) needs the
# core, a step on the CPU takes 30 times as long. Has to be set before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from mmseg._torchvision import declare_missing_operators
from mmseg.version import __version__

declare_missing_operators()

try:
    import cv2  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"OpenCV cannot be loaded ({error}). On a server without desktop libraries install them first, on "
        "Debian and Ubuntu: apt-get install libgl1 libglib2.0-0"
    ) from error

__all__ = ["__version__"]
