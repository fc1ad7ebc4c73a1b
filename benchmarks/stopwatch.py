"""Where the time of a step goes, measured from outside: calls of chosen functions are timed, nothing else."""

import functools
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

REST = ("rest", "forward")
Phase = tuple[str, str]
"""Name, and ``forward`` or ``backward``."""


class Stopwatch:
    """Charges all time between two marks to one phase.

    A phase inside of another one takes its time away from that. On a GPU the marks are events on the stream,
    so measuring makes nobody wait; the host reads them at the end of all steps.

    Args:
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self._running: list[Phase] = []
        self._marks: list[tuple[Any, Phase | None]] = []

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Charge the enclosed calls to a phase."""
        self._running.append(phase)
        self._mark(phase)
        try:
            yield
        finally:
            self._running.pop()
            self._mark(self._running[-1] if self._running else None)

    def time(self, owner: Any, name: str, phases: Callable[[], Phase]) -> None:
        """Time a method of an object.

        Args:
            owner: The object.
            name: The method.
            phases: Tells the phase of the coming call.
        """
        method = getattr(owner, name)

        @functools.wraps(method)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.phase(phases()):
                return method(*args, **kwargs)

        setattr(owner, name, timed)

    def steps(self) -> list[dict[Phase, float]]:
        """Seconds by phase for every step since the last call; a step ends where no phase is running."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        steps: list[dict[Phase, float]] = []
        seconds: defaultdict[Phase, float] = defaultdict(float)
        for (begin, phase), (end, next_phase) in itertools.pairwise(self._marks):
            if phase is None:
                continue
            seconds[phase] += end - begin if self.device == "cpu" else begin.elapsed_time(end) / 1000
            if next_phase is None:
                steps.append(dict(seconds))
                seconds = defaultdict(float)
        self._marks.clear()
        return steps

    def _mark(self, next_phase: Phase | None) -> None:
        mark: Any
        if self.device == "cuda":
            mark = torch.cuda.Event(enable_timing=True)
            mark.record()
        else:
            mark = time.perf_counter()
        self._marks.append((mark, next_phase))
