"""Which positions of a run a process loads."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from itertools import count

from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from mmseg.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class PositionSampler(Sampler):
    """Count upwards without end: of W processes, process r loads the positions r, W + r, 2 W + r, …

    What is at a position is decided by the data set, as a function of its seed and the position. So processes
    never load the same sample, results do not depend on the number of workers, and resuming costs nothing.

    Args:
        dataset: The data set, for its length only.
        seed: Accepted because runners pass one; the order of a run depends on the seed of the data set alone.
    """

    def __init__(self, dataset: Sized, seed: int | None = None) -> None:
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.num_skipped = 0

    def __iter__(self) -> Iterator[int]:
        return count(self.num_skipped * self.world_size + self.rank, self.world_size)

    def skip(self, num_samples: int) -> None:
        """Start behind the first ``num_samples`` samples of this process; called once, on resume."""
        if num_samples < 0:
            raise ValueError(f"num_samples has to be 0 or larger, got {num_samples}")
        self.num_skipped = num_samples

    def set_epoch(self, epoch: int) -> None:
        """There are no epochs; part of the interface that runners call."""

    def __len__(self) -> int:
        return len(self.dataset)
