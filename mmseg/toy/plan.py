"""The cross-section of a street and the rare objects on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GUEST_PERIOD = 20
GUESTS: dict[str, int] = {"train": 1, "bus": 2, "truck": 2, "motorcycle": 3, "cyclist": 4, "terrain": 7}
"""In how many of each 20 consecutive images a rare object is sure to appear."""


def draw_guests(rng: np.random.Generator, index: int) -> list[str]:
    """Rare objects of image ``index``; ``rng`` must be the same for all images of one period of 20."""
    guests = []
    for name, count in GUESTS.items():
        if index % GUEST_PERIOD in rng.permutation(GUEST_PERIOD)[:count]:
            guests.append(name)
    return guests


@dataclass(frozen=True)
class Street:
    """Cross-section in metres; negative is left. The camera drives at x = 0.

    Args:
        left: Kerb on the left.
        right: Kerb on the right.
        left_walk: Outer edge of the sidewalk on the left.
        right_walk: Outer edge of the sidewalk on the right.
        end: Distance at which the street ends in a crossing.
    """

    left: float
    right: float
    left_walk: float
    right_walk: float
    end: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Street:
        """A random cross-section."""
        left, right = -rng.uniform(4.5, 8.0), rng.uniform(3.2, 5.2)
        return cls(
            left, right, left - rng.uniform(2.2, 5.0), right + rng.uniform(2.2, 5.0), rng.uniform(55, 110)
        )

    def kerb(self, side: int) -> float:
        """x of the kerb on a side, -1 or 1."""
        return self.left if side < 0 else self.right

    def walk(self, side: int) -> float:
        """x of the outer edge of the sidewalk on a side, -1 or 1."""
        return self.left_walk if side < 0 else self.right_walk
