"""Where time goes, measured from outside: calls of chosen functions are timed, nothing else.

Only the standard library is imported, so that the imports of a program can be timed, too.
"""

import functools
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

Phase = Hashable
"""The name of what is timed."""


class Seconds(NamedTuple):
    """Wall time, and CPU time of all threads of this process."""

    wall: float
    cpu: float


class Stopwatch:
    """Charges all time between two marks to one phase.

    A phase inside of another one takes its time away from that. On a GPU the marks are events on the stream,
    so measuring makes nobody wait; the host reads them when it is asked for the seconds.

    Args:
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self._running: list[Phase] = []
        self._marks: list[tuple[Any, float, Phase]] = []

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Charge the enclosed calls to a phase; as a decorator, the calls of a function."""
        self._running.append(phase)
        self._mark()
        try:
            yield
        finally:
            self._running.pop()
            self._mark()

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

    def seconds(self) -> dict[Phase, Seconds]:
        """Seconds by phase since the last call, those of phases that are still running included."""
        totals: dict[Phase, Seconds] = {}
        for phase, seconds, _ in self._intervals():
            before = totals.get(phase, Seconds(0.0, 0.0))
            totals[phase] = Seconds(before.wall + seconds.wall, before.cpu + seconds.cpu)
        return totals

    def steps(self) -> list[dict[Phase, float]]:
        """Wall seconds by phase for every step since the last call; a step ends where no phase is running."""
        steps: list[dict[Phase, float]] = []
        step: defaultdict[Phase, float] = defaultdict(float)
        for phase, seconds, is_last in self._intervals():
            step[phase] += seconds.wall
            if is_last:
                steps.append(dict(step))
                step.clear()
        return steps

    def _mark(self) -> None:
        self._marks.append((self._now(), time.process_time(), self._running[-1] if self._running else None))

    def _now(self) -> Any:
        if self.device == "cpu":
            return time.perf_counter()
        from torch.cuda import Event

        event = Event(enable_timing=True)
        event.record()
        return event

    def _intervals(self) -> Iterator[tuple[Phase, Seconds, bool]]:
        """What ran between two marks, and whether nothing did behind it; forgets all marks but the last."""
        self._mark()
        marks, self._marks = self._marks, self._marks[-1:]
        if self.device != "cpu":
            marks[-1][0].synchronize()
        for (begin, cpu, phase), (end, later_cpu, next_phase) in itertools.pairwise(marks):
            if phase is not None:
                wall = end - begin if self.device == "cpu" else begin.elapsed_time(end) / 1000
                yield phase, Seconds(wall, later_cpu - cpu), next_phase is None
