"""Work in several processes."""

import os

import pytest

from mmseg.datasets.parallel import CHUNK, map_in_processes
from mmseg.errors import DataError


def test_results_come_in_the_order_of_the_items():
    words = [str(number) for number in range(2 * CHUNK + 3)]
    assert list(map_in_processes(int, words, nproc=2)) == list(range(len(words)))


def test_a_killed_process_is_explained():
    with pytest.raises(DataError, match="smaller --nproc"):
        list(map_in_processes(os._exit, range(2 * CHUNK), nproc=2))
