"""Several processes, which share nothing with the one that asks for them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import cv2

from mmseg.errors import DataError

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 8
"""Files that a process gets at once; fewer are not worth starting one."""


def process_pool(processes: int) -> ProcessPoolExecutor:
    """A pool whose processes do not descend from this one; OpenCV has one thread in each.

    A copy of a process with threads (of OpenCV, torch or a progress bar) inherits their locks but not the
    threads that would release them, and can wait for ever.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # imported once for all of them
    return ProcessPoolExecutor(processes, context, initializer=cv2.setNumThreads, initargs=(1,))


def map_in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], nproc: int
) -> Iterator[Result]:
    """Results of ``function`` in the order of the items; a few items are worked on right here.

    Args:
        function: Function of a module (processes import it).
        items: What it is called with.
        nproc: Largest number of processes.

    Raises:
        DataError: A process was killed.
    """
    nproc = min(nproc, len(items) // CHUNK)
    if nproc <= 1:
        yield from map(function, items)
        return
    with process_pool(nproc) as pool:
        try:
            yield from pool.map(function, items, chunksize=CHUNK)
        except BrokenProcessPool as error:
            raise DataError(
                "a process was killed, probably for lack of memory; call the command again with a smaller "
                "--nproc"
            ) from error
