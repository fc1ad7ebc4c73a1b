"""What moves and stands on the street: vehicles, pedestrians, lamps, signs, trees."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from mmseg.toy import furniture, people, vehicles
from mmseg.toy.plan import Street
from mmseg.toy.scene import Scene

Generator = np.random.Generator
Placed = tuple[float, Callable[[], None]]
"""Distance of an object, and how to add it there."""


def place_objects(scene: Scene, rng: Generator, street: Street, guests: list[str]) -> list[Placed]:
    """Everything that stands on the road and the sidewalks, not sorted.

    Args:
        scene: The scene to which the objects will be added.
        rng: Source of positions and looks; the objects draw from it when they are added.
        street: Where road and sidewalks are.
        guests: Rare objects that must appear.
    """
    return [
        *_parked_cars(scene, rng, street),
        *_parked_cycles(scene, rng, street),
        *_large_vehicles_and_cars(scene, rng, street, guests),
        *_riders(scene, rng, street, guests),
        *_furniture(scene, rng, street),
        *_pedestrians(scene, rng, street),
    ]


def _parked_cars(scene: Scene, rng: Generator, street: Street) -> list[Placed]:
    placed: list[Placed] = []
    for side in (-1, 1):
        near = scene.camera.border_distance(street.kerb(side) - side * 2) + rng.uniform(2, 9)
        density = rng.choice([0.0, 0.35, 0.7], p=[0.45, 0.38, 0.17])
        x, heading = street.kerb(side) - side * 1.15, 0.0 if side > 0 else np.pi
        for z in np.arange(near, min(street.end, 60), 6.2):
            if rng.random() < density:
                placed.append((z, partial(vehicles.add_car, scene, rng, x, float(z), heading)))
    return placed


def _parked_cycles(scene: Scene, rng: Generator, street: Street) -> list[Placed]:
    placed: list[Placed] = []
    for side in (-1, 1):
        x = street.kerb(side) + side * 0.7
        if rng.random() < 0.22:
            first = scene.camera.border_distance(x) + rng.uniform(2, 12)
            for z in first + 0.8 * np.arange(rng.integers(1, 4)):
                heading = rng.uniform(-0.5, 0.5)
                placed.append((z, partial(people.add_bicycle, scene, rng, x, float(z), heading)))
    return placed


def _large_vehicles_and_cars(scene: Scene, rng: Generator, street: Street, guests: list[str]) -> list[Placed]:
    """Moving vehicles. A large one takes the oncoming lane for itself, a second one the lane ahead."""
    placed: list[Placed] = []
    lanes = [(street.left / 2 - 0.6, np.pi), (rng.uniform(0.0, 0.9), 0.0)]
    large = {
        "train": (vehicles.add_train, (32, 46)),
        "bus": (vehicles.add_bus, (20, 34)),
        "truck": (vehicles.add_truck, (17, 30)),
    }
    free = list(lanes)
    for name in [name for name in large if name in guests][: len(lanes)]:
        (x, heading), (add, distances) = free.pop(0), large[name]
        z = rng.uniform(*distances)
        placed.append((z, partial(add, scene, rng, x, z, heading)))
    for x, heading in free:
        is_ahead = heading == 0.0
        for z in 9 + np.cumsum(rng.uniform(3, 22, rng.integers(0, 2 if is_ahead else 3))):
            placed.append((z, partial(vehicles.add_car, scene, rng, x, float(z), heading)))
    if rng.random() < 0.12:
        x, z, heading = rng.uniform(-6, 6), rng.uniform(14, 30), rng.choice([-np.pi / 2, np.pi / 2])
        placed.append((z, partial(vehicles.add_car, scene, rng, x, z, heading)))
    return placed


def _riders(scene: Scene, rng: Generator, street: Street, guests: list[str]) -> list[Placed]:
    """Cyclists and motorcyclists on the road; some motorcycles stand at the kerb without their rider."""
    placed: list[Placed] = []
    for name, add in (("cyclist", people.add_cyclist), ("motorcycle", people.add_motorcyclist)):
        if name not in guests:
            continue
        if name == "motorcycle" and rng.random() < 0.4:
            side = rng.choice([-1, 1])
            x = street.kerb(side) - side * rng.uniform(0.3, 1.0)
            z = scene.camera.border_distance(x) + rng.uniform(1.5, 6)
            placed.append((z, partial(people.add_motorcycle, scene, rng, x, z, rng.uniform(-0.4, 0.4))))
        else:
            x, z = rng.uniform(street.left + 1, street.right - 0.8), rng.uniform(10, 22)
            placed.append((z, partial(add, scene, rng, x, z, bool(rng.random() < 0.5))))
    return placed


def _furniture(scene: Scene, rng: Generator, street: Street) -> list[Placed]:
    """Lamps, signs, lights, trees and bins on the sidewalks."""
    placed: list[Placed] = []
    for side in (-1, 1):
        curb, walk = street.kerb(side) + side * 0.45, street.walk(side)
        near = scene.camera.border_distance(curb)
        if rng.random() < 0.55:
            for z in near + rng.uniform(0.5, 10) + np.arange(3) * 20:
                placed.append((z, partial(furniture.add_lamp_post, scene, rng, curb, float(z))))
        for _ in range(rng.poisson(0.5)):
            z = near + rng.gamma(2.0, 4.5) + 0.5
            placed.append((z, partial(furniture.add_traffic_sign, scene, rng, curb, z)))
        if rng.random() < 0.3:
            z = near + rng.uniform(2, 16)
            placed.append((z, partial(furniture.add_traffic_light, scene, rng, curb, z)))
        if rng.random() < 0.3:
            for z in near + rng.uniform(1, 9) + np.arange(5) * 8:
                placed.append((z, partial(furniture.add_tree, scene, rng, walk, float(z))))
        if rng.random() < 0.2:
            z = near + rng.uniform(1, 12)
            placed.append((z, partial(furniture.add_bin, scene, rng, walk - side * 0.4, z)))
    return placed


def _pedestrians(scene: Scene, rng: Generator, street: Street) -> list[Placed]:
    placed: list[Placed] = []
    for side in (-1, 1):
        inner, outer = street.kerb(side), street.walk(side)
        for _ in range(rng.poisson(1.6)):
            x = rng.uniform(min(inner, outer) + 0.4, max(inner, outer) - 0.4)
            z = scene.camera.border_distance(x) + 0.7 + rng.gamma(2.0, 6.0)
            for offset in (0.0, 0.7)[: rng.choice([1, 1, 2])]:
                placed.append((z, partial(people.add_person, scene, rng, x + offset, z)))
    if rng.random() < 0.15:
        x, z = rng.uniform(street.left, street.right), rng.uniform(10, 22)
        placed.append((z, partial(people.add_person, scene, rng, x, z)))
    return placed
