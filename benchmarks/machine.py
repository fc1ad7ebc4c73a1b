"""The machine a benchmark runs on: what it is, how fast it multiplies matrices, how much memory is taken."""

import os
import platform
import resource
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import torch

MATRIX_SIZE = {"cpu": 2048, "cuda": 8192}
"""Edge of the square matrices whose product is the unit of time, by device: large enough to keep it busy."""
MATRIX_PATIENCE = 5.0
"""Seconds after which the product is not repeated."""
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""What :data:`CLEAR` takes to reset the peak of the resident memory (proc(5))."""


def synchronize(device: str) -> None:
    """Wait for what the device still has to do."""
    if device == "cuda":
        torch.cuda.synchronize()


def use_tf32(allowed: bool) -> None:
    """Whether a GPU may round the factors of float32 products and convolutions to TF32."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def describe(device: str) -> dict[str, str]:
    """Hardware and versions, as name -> value."""
    host = f"{processor()}, {os.cpu_count()} cores"
    report = {
        "hardware": torch.cuda.get_device_name() if device == "cuda" else host,
        "threads": str(torch.get_num_threads()),
        "Python": platform.python_version(),
        "torch": torch.__version__,
    }
    if device == "cuda":
        gigabytes = torch.cuda.get_device_properties().total_memory / 2**30
        cuda, cudnn = torch.version.cuda, torch.backends.cudnn.version()
        report |= {"memory": f"{gigabytes:.0f} GiB", "host": host, "CUDA": f"{cuda}, cuDNN {cudnn}"}
    return report


def processor() -> str:
    """Name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def matrix_seconds(device: str, dtype: torch.dtype = torch.float32, repeats: int = 7) -> float:
    """Median time of the product of two square matrices of random numbers, of :data:`MATRIX_SIZE`.

    One product is enough where it takes seconds, as in bfloat16 on a CPU without instructions for it.
    """
    size = MATRIX_SIZE[device]
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds: list[float] = []
    while len(seconds) < 2 or (len(seconds) <= repeats and sum(seconds) < MATRIX_PATIENCE):
        begin = time.perf_counter()
        torch.mm(left, right)
        synchronize(device)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[1:])  # the first one warms up


def matrix_rate(seconds: float, device: str) -> float:
    """FLOP/s of the matrix product that took so long."""
    return 2 * MATRIX_SIZE[device] ** 3 / seconds


# -------------------------------------------------------------------------------------------------- memory


def reset_peak_memory(device: str) -> None:
    """Begin to look for the peak anew (on a host without ``/proc`` it stays that of the process)."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif os.access(CLEAR, os.W_OK):
        CLEAR.write_text(RESET_PEAK)


def memory(device: str) -> dict[str, int]:
    """Bytes taken ``now``, and at the ``peak`` since :func:`reset_peak_memory`.

    On a GPU those of this process's tensors, on the host the resident memory of this process, of which
    ``files`` now are pages of files: the code of libraries, which comes in piece by piece as it is called.
    """
    if device == "cuda":
        now, peak, files = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated(), 0
    elif STATUS.is_file():
        entries = _status()
        now, peak, files = entries["VmRSS"], entries["VmHWM"], entries.get("RssFile", 0)
    else:
        unit = 1 if platform.system() == "Darwin" else 1024
        now = peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        files = 0
    return {"now": now, "peak": peak, "files": files}


def _status() -> Mapping[str, int]:
    lines = [line.split() for line in STATUS.read_text().splitlines() if line.startswith(("Vm", "Rss"))]
    return {name.rstrip(":"): int(kilobytes) * 1024 for name, kilobytes, *_ in lines}
