"""Domain-adaptive semantic segmentation: DAFormer and its successors from one experiment ID."""

from mmseg.version import __version__

try:
    import cv2  # noqa: F401
except ImportError as error:
    if isinstance(error, ModuleNotFoundError):
        raise ImportError(
            f"{error}: the packages of this project are not in this Python's environment; activate the one "
            "they were installed into (source .venv/bin/activate), or run: pip install -e ."
        ) from error
    raise ImportError(
        f"OpenCV cannot be loaded ({error}). On a server without desktop libraries install them first, on "
        "Debian and Ubuntu: apt-get install libgl1 libglib2.0-0"
    ) from error

__all__ = ["__version__"]
