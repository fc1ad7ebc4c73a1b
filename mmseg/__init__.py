"""Domain-adaptive semantic segmentation: DAFormer and its successors from one experiment ID."""

import os

# OpenMP threads that wait spin for long by default: as soon as another process (a data worker, a second run)
# needs the core, a step on the CPU takes 25 times as long. Without any spinning it takes half as long again
# on idle cores. This few rounds cost little in both cases. Has to be set before torch is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

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
