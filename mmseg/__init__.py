"""Domain-adaptive semantic segmentation: DAFormer and its successors from one experiment ID."""

from mmseg._torchvision import declare_missing_operators
from mmseg.version import __version__

declare_missing_operators()

__all__ = ["__version__"]
