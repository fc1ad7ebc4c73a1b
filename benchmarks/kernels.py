"""What ran on a device: its kernels, how long they kept it busy, and what the driver says of its load."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.machine import synchronize

ACTIVITIES = {"cpu": ProfilerActivity.CPU, "cuda": ProfilerActivity.CUDA}
DEVICES = {"cpu": DeviceType.CPU, "cuda": DeviceType.CUDA}
MARKS = ("ProfilerStep", "Optimizer.", "aten::_record_function", "Activity Buffer")
"""Beginnings of names that stand for no work of their own."""
LISTED = 12
"""Kernels that are named, by the time they take."""
SAMPLING = 0.1
"""Seconds between two looks at the load."""


class Kernel(NamedTuple):
    """One run of a kernel; on a host, of an operation. Times in seconds."""

    name: str
    begin: float
    end: float


def kernels_of(run: Callable[[], Any], device: str) -> list[Kernel]:
    """What a function has the device do.

    Args:
        run: The function.
        device: ``cpu`` or ``cuda``.
    """
    synchronize(device)
    with profile(activities=[ACTIVITIES[device]]) as profiler:
        run()
        synchronize(device)
    micro = 1e-6
    return [
        Kernel(event.name, event.time_range.start * micro, event.time_range.end * micro)
        for event in profiler.events() or ()
        if event.device_type == DEVICES[device] and not event.name.startswith(MARKS)
    ]


def summary(kernels: Iterable[Kernel], runs: int) -> dict[str, Any]:
    """Numbers of one of several like runs.

    Returns:
        ``kernels``: their number; ``busy_seconds``: how long at least one was running; ``longest``: name,
        share of the time of all, and number of those that take most of it.
    """
    listed, totals, numbers = sorted(kernels, key=lambda kernel: kernel.begin), defaultdict(float), {}
    busy, until = 0.0, float("-inf")
    for name, begin, end in listed:
        busy += max(0.0, end - max(begin, until))
        until = max(until, end)
        totals[name] += end - begin
        numbers[name] = numbers.get(name, 0) + 1
    whole = sum(totals.values()) or 1.0
    return {
        "kernels": round(len(listed) / runs),
        "busy_seconds": busy / runs,
        "longest": [
            (name, totals[name] / whole, round(numbers[name] / runs))
            for name in sorted(totals, key=totals.__getitem__, reverse=True)[:LISTED]
        ],
    }


@contextmanager
def driver_load(device: str) -> Iterator[list[int]]:
    """Collect the load in percent that the driver reports (NVML) while the context lasts.

    It stays empty on a host, and where the package of the driver's library (``nvidia-ml-py``) is missing.
    """
    samples: list[int] = []
    if device == "cpu" or not driver_answers():
        yield samples
        return
    over = threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLING):
            samples.append(torch.cuda.utilization())

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


def driver_answers() -> bool:
    """Whether the driver tells the load."""
    try:
        torch.cuda.utilization()
    except Exception:  # no package, no library, no permission: the number is then missing, nothing else
        return False
    return True
