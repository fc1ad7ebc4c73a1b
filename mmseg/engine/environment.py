"""What a run depends on besides its config, for the log."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import psutil
import torch

from mmseg.version import __version__

PACKAGES = (
    "torch", "torchvision", "timm", "kornia", "onedl-mmengine", "onedl-mmcv", "opencv-python", "numpy",
)  # fmt: skip


def environment() -> dict[str, str]:
    """Name -> value: versions, devices, and how torch was built.

    Versions are looked up, not imported: that would take longer than building a network.
    """
    report = {"platform": platform.platform(), "Python": platform.python_version(), "mmseg": __version__}
    report |= {name: _version(name) for name in PACKAGES}
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            report[f"GPU {index}"] = torch.cuda.get_device_name(index)
        report |= {"CUDA": str(torch.version.cuda), "cuDNN": str(torch.backends.cudnn.version())}
    return {**report, "CPU threads": str(torch.get_num_threads()), "torch build": torch.__config__.show()}


def peak_memory() -> float:
    """The most memory that the process has held so far, in MiB."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 2**20
    import resource  # not on Windows; psutil knows the peak only there

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
