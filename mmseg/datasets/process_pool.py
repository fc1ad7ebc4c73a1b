"""Processes that share nothing with the one that asks for them."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import cv2


def process_pool(processes: int, module: str) -> ProcessPoolExecutor:
    """A pool whose processes do not descend from this one; OpenCV has one thread in each.

    A copy of a process with threads (of OpenCV, torch or a progress bar) inherits their locks but not the
    threads that would release them, and can wait for ever.

    Args:
        processes: How many.
        module: What they work with; imported once for all of them.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return ProcessPoolExecutor(processes, context, initializer=cv2.setNumThreads, initargs=(1,))
