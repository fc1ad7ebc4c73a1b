"""What a training step draws at random, counts over all processes, and knows of the run."""

from dataclasses import dataclass, field

import torch
from mmengine.dist import all_gather, all_reduce, get_dist_info
from torch import Tensor

from mmseg.errors import ConfigError


@dataclass(frozen=True)
class Progress:
    """Where in the run a step stands; the same after a resume.

    Attributes:
        iteration: Number of finished steps, from 0 on.
        length: Steps of the whole run; None where no run has begun.
    """

    iteration: int
    length: int | None = None

    @property
    def max_iters(self) -> int:
        """Steps of the whole run.

        Raises:
            ConfigError: The method is driven without a run.
        """
        if self.length is None:
            raise ConfigError(
                "the length of the run is unknown; call begin_run(seed, max_iters) of the method before its "
                "first step, as the runner does"
            )
        return self.length


@dataclass(frozen=True)
class StepContext:
    """What the processes of a step draw and count together.

    Each process draws for the batches of all and takes its part, so several processes of one image draw what
    one process of several images does.

    Attributes:
        rank: Number of this process.
        world_size: Number of processes.
        key: Seed of the numbers that all processes draw alike in this step; None = torch's own generators.
    """

    rank: int = 0
    world_size: int = 1
    key: int | None = None
    _generators: dict[str, torch.Generator] = field(default_factory=dict)

    @classmethod
    def of_step(cls, seed: int, iteration: int) -> "StepContext":
        """The context of an iteration; its numbers are a function of (seed, iteration)."""
        rank, world_size = get_dist_info()
        return cls(rank, world_size, key=(seed * 1_000_003 + iteration) % 2**63)

    def generator(self, device: torch.device | str) -> torch.Generator | None:
        """In the same state in all processes; None stands for torch's own."""
        if self.key is None:
            return None
        device = torch.device(device)
        if str(device) not in self._generators:
            self._generators[str(device)] = torch.Generator(device).manual_seed(self.key)
        return self._generators[str(device)]

    def rand(self, number: int, *shape: int, device: torch.device) -> Tensor:
        """(number, *shape) numbers in [0, 1): this process's part of those for all processes."""
        return self.own(self.rand_for_all(number, *shape, device=device))

    def rand_for_all(self, number: int, *shape: int, device: torch.device) -> Tensor:
        """(world_size · number, *shape) numbers in [0, 1), the same in all processes."""
        return torch.rand(self.world_size * number, *shape, device=device, generator=self.generator(device))

    def gather(self, values: Tensor) -> Tensor:
        """(world_size · B, …): the (B, …) values of all processes, in order, without gradient."""
        values = values.detach()
        return values if self.world_size == 1 else torch.cat(all_gather(values.contiguous()))

    def own(self, values: Tensor) -> Tensor:
        """(B, …): this process's part of the (world_size · B, …) values of all."""
        return values.chunk(self.world_size)[self.rank]

    def decide(self, number: int) -> list[float]:
        """Numbers in [0, 1) on the host, the same in all processes."""
        return torch.rand(number, generator=self.generator("cpu")).tolist()

    def permutation(self, number: int) -> list[int]:
        """A permutation of 0…number - 1 on the host, the same in all processes."""
        return torch.randperm(number, generator=self.generator("cpu")).tolist()

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the processes, without gradient."""
        if self.world_size > 1:
            value = value.detach().clone()
            all_reduce(value, op="mean")
        return value

    def any(self, flags: Tensor) -> Tensor:
        """Logical or over the processes."""
        if self.world_size == 1:
            return flags
        counts = flags.to(torch.uint8)
        all_reduce(counts, op="max")
        return counts.bool()


ONE_PROCESS = StepContext()
NO_RUN = Progress(0)
