"""How a process uses the host: threads that wait, and memory that is freed."""

import ctypes
import os

SPIN_COUNT = "1000"
"""Rounds in which an OpenMP thread looks for work before it sleeps.

By default it spins for long: as soon as another process (a data worker, a second run) needs the core, a step
on the CPU takes 25 times as long. Without any spinning it takes half as long again on idle cores.
"""
KEEP_VARIABLE = "MMSEG_KEEP_FREED_MEMORY"
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of ``mallopt`` (malloc.h of glibc)."""
LARGEST_KEPT = 2**28
"""Bytes up to which a block is kept; larger ones, of which some could fill the memory, go back at once."""
MOST_KEPT = 2**31 - 1
"""Bytes that are kept at the end of the heap; the largest number that ``mallopt`` takes."""


def shorten_spinning() -> None:
    """Let waiting threads sleep early, unless the environment says how they wait.

    To be called before torch is imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


def keep_freed_memory() -> None:
    """Keep the memory of freed tensors for the next ones.

    glibc gives large blocks back to the kernel, which has to clear every page for the next tensor: a third of
    the time of a prediction on the CPU. What is kept is not given back between peaks, and can be several
    times what is in use where sizes change. ``MMSEG_KEEP_FREED_MEMORY=0`` leaves the allocator as it is.
    Other C libraries are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or os.environ.get(KEEP_VARIABLE) == "0":
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
    mallopt(M_TRIM_THRESHOLD, MOST_KEPT)
