"""Randomness that is looked up by a key instead of read from a stream.

A stream depends on everything that drew from it before: on the number of workers, on the order of samples, on
a resume. A generator made from ``(seed, purpose, position)`` depends on nothing else.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

SAMPLE_STREAM = 0
"""Purpose of a key: everything drawn for one training sample."""
EPOCH_STREAM = 1
"""Purpose of a key: the order of the files in one pass over a data set."""


def keyed_random_state(*key: int) -> np.random.RandomState:
    """A generator with the legacy numpy interface whose whole stream is a function of the key.

    Args:
        key: Non-negative integers, for example seed, purpose and position.

    Returns:
        A new ``RandomState``; different keys give statistically independent streams.
    """
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence(key)))


@lru_cache(maxsize=4)
def epoch_permutation(seed: int, epoch: int, length: int, *key: int) -> np.ndarray:
    """Order in which the files of a data set are visited in one epoch, (length,) int64; ``key`` holds what
    else it depends on, such as a round."""
    permutation = keyed_random_state(seed, EPOCH_STREAM, epoch, *key).permutation(length)
    permutation.flags.writeable = False
    return permutation
