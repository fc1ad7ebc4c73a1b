"""The training step of DACS, HRDA and MIC in the order and with the operations of the published code.

It computes what ours computes, on the same weights with the same draws, and is here to be compared with: one
forward pass per image scale and loss, explicit attention, loops over images and parameters, values read back
by the host. Written from descriptions of the published behaviour; only the weights are those of our networks.
"""

import os

from benchmarks.published.self_training import PublishedSelfTraining
from mmseg.cli import KEEP_VARIABLE

__all__ = ["PublishedSelfTraining", "environment"]


def environment(published: bool) -> dict[str, str]:
    """Variables of a process: the published code leaves the allocator of the host as it is.

    A variable that is set already holds for both organisations, as the way in which OpenMP waits does.
    """
    return {KEEP_VARIABLE: os.environ.get(KEEP_VARIABLE, "0")} if published else {}
