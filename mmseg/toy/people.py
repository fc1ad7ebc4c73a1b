"""Persons, cyclists, motorcyclists and their vehicles: flat figures that stand on the ground."""

from __future__ import annotations

import numpy as np

from mmseg.toy.geometry import Array, ellipse, rectangle, upright
from mmseg.toy.scene import Scene


def _mirrored(right_side: list[tuple[float, float]]) -> Array:
    """Symmetric outline of its right half, listed from bottom to top."""
    left_side = [(-x, y) for x, y in reversed(right_side)]
    return np.array(right_side + left_side)


class _Figure:
    """Adds outlines in metres, relative to a foot point, scaled and turned in the same way."""

    def __init__(self, scene: Scene, x: float, z: float, heading: float = 0.0, scale: float = 1.0):
        self.scene, self.x, self.z, self.heading, self.scale = scene, x, z, heading, scale

    def add(
        self, label: str, outline: Array, material: str, variant: float = 0.0, is_detail: bool = False
    ) -> None:
        points = upright(self.scale * outline, self.x, self.z, self.heading)
        self.scene.add(label, points, material, variant, is_detail=is_detail)

    def disc(
        self, label: str, x: float, y: float, radius: float, material: str, is_detail: bool = False
    ) -> None:
        self.add(label, ellipse(x, y, radius), material, is_detail=is_detail)


def add_person(scene: Scene, rng: np.random.Generator, x: float, z: float) -> None:
    """A pedestrian of 1.2 to 1.95 m."""
    scale = rng.uniform(0.94, 1.1) if rng.random() < 0.85 else rng.uniform(0.7, 0.85)
    figure = _Figure(scene, x, z, scale=scale)
    stride, top, bottom = rng.uniform(0.08, 0.3), rng.random(), rng.random()
    legs = [(stride - 0.1, 0.0), (stride + 0.12, 0.0), (0.2, 0.85)]
    arms = [(0.3, 0.8), (0.3, 1.35), (0.2, 1.48), (0.07, 1.5)]
    head = [(0.12, 1.58), (0.13, 1.68), (0.07, 1.77)]
    figure.add("person", _mirrored([(0.0, 0.72), *legs, *arms, *head]), "shirt", top)
    figure.add("person", _mirrored([(0.0, 0.7), *legs, (0.2, 0.9)]), "trousers", bottom, is_detail=True)
    figure.add("person", ellipse(0, 1.64, 0.1, 0.13), "skin", rng.random(), is_detail=True)
    figure.add("person", rectangle(-0.11, 0.11, 1.68, 1.77), "hair", rng.random(), is_detail=True)
    if rng.random() < 0.3:
        figure.add("person", rectangle(0.14, 0.34, 0.55, 0.9), "bag", rng.random(), is_detail=True)


def add_bicycle(scene: Scene, rng: np.random.Generator, x: float, z: float, heading: float = 0.0) -> None:
    """A bicycle from its side."""
    figure, variant = _Figure(scene, x, z, heading), rng.random()
    for centre in (-0.53, 0.53):
        figure.disc("bicycle", centre, 0.36, 0.36, "tyre")
        figure.disc("bicycle", centre, 0.36, 0.27, "spokes", is_detail=True)
    frame = [(-0.53, 0.36), (0.0, 0.26), (0.46, 0.78), (0.5, 1.06), (0.36, 1.0), (-0.2, 0.86)]
    figure.add(
        "bicycle", np.array([*frame, (-0.24, 1.0), (-0.36, 0.98), (-0.3, 0.8)]), "bicycle frame", variant
    )
    figure.add("bicycle", np.array([(-0.2, 0.72), (0.02, 0.4), (0.3, 0.72)]), "spokes", is_detail=True)


def _add_bicycle_end(scene: Scene, rng: np.random.Generator, x: float, z: float) -> None:
    """A bicycle from behind or from the front."""
    figure = _Figure(scene, x, z)
    outline = [(0.09, 0.0), (0.1, 0.7), (0.32, 0.95), (0.32, 1.08), (0.1, 1.02)]
    figure.add("bicycle", _mirrored(outline), "bicycle frame", rng.random())
    figure.add("bicycle", rectangle(-0.07, 0.07, 0.0, 0.68), "tyre", is_detail=True)


def add_motorcycle(scene: Scene, rng: np.random.Generator, x: float, z: float, heading: float = 0.0) -> None:
    """A motorcycle from its side."""
    figure, variant = _Figure(scene, x, z, heading, scale=1.08), rng.random()
    for centre in (-0.7, 0.7):
        figure.disc("motorcycle", centre, 0.33, 0.33, "tyre")
        figure.disc("motorcycle", centre, 0.33, 0.16, "rim", is_detail=True)
    body = [
        (-0.45, 0.22),
        (0.4, 0.2),
        (0.62, 0.5),
        (0.55, 1.1),
        (0.38, 1.15),
        (0.3, 0.95),
        (-0.1, 0.88),
        (-0.95, 0.9),
        (-0.7, 0.6),
    ]
    figure.add("motorcycle", np.array(body), "motorcycle paint", variant)
    figure.add("motorcycle", rectangle(-0.35, 0.3, 0.2, 0.52), "engine", is_detail=True)
    figure.add("motorcycle", rectangle(-0.9, -0.15, 0.78, 0.9), "tyre", is_detail=True)
    figure.add("motorcycle", ellipse(0.58, 0.9, 0.1), "headlight", is_detail=True)


def _add_motorcycle_end(scene: Scene, rng: np.random.Generator, x: float, z: float) -> None:
    """A motorcycle from behind."""
    figure = _Figure(scene, x, z, scale=1.1)
    outline = [(0.14, 0.0), (0.16, 0.3), (0.33, 0.4), (0.3, 0.85), (0.45, 0.98), (0.45, 1.08), (0.2, 1.12)]
    figure.add("motorcycle", _mirrored(outline), "motorcycle paint", rng.random())
    figure.add("motorcycle", rectangle(-0.11, 0.11, 0.0, 0.6), "tyre", is_detail=True)
    figure.add("motorcycle", rectangle(-0.17, 0.17, 0.68, 0.8), "tail light", is_detail=True)


def _add_rider_side(
    scene: Scene, rng: np.random.Generator, x: float, z: float, heading: float, lean: float
) -> None:
    figure, top, bottom = _Figure(scene, x, z, heading, scale=1.05), rng.random(), rng.random()
    shoulder = -0.15 + lean
    leg = [(-0.36, 0.98), (-0.08, 0.62), (-0.1, 0.2), (0.08, 0.2), (0.12, 0.7), (-0.02, 1.0)]
    torso = [
        (-0.02, 1.0),
        (0.02, 1.12),
        (0.42, 1.05),
        (0.44, 1.16),
        (shoulder + 0.2, 1.42),
        (shoulder + 0.12, 1.55),
    ]
    back = [(shoulder - 0.12, 1.5), (-0.4, 1.1)]
    head = ellipse(shoulder + 0.07, 1.63, 0.14, 0.17)
    figure.add("rider", np.array([*leg, *torso[1:], *back]), "shirt", top)
    figure.add("rider", head, "helmet", rng.random())
    figure.add("rider", np.array(leg), "trousers", bottom, is_detail=True)
    figure.add("rider", ellipse(shoulder + 0.12, 1.57, 0.07, 0.09), "skin", rng.random(), is_detail=True)


def _add_rider_end(scene: Scene, rng: np.random.Generator, x: float, z: float) -> None:
    figure, top, bottom = _Figure(scene, x, z, scale=1.05), rng.random(), rng.random()
    legs = [(0.0, 0.8), (0.1, 0.55), (0.12, 0.25), (0.26, 0.25), (0.25, 0.9)]
    torso = [(0.24, 0.95), (0.34, 1.0), (0.3, 1.4), (0.18, 1.52), (0.08, 1.54)]
    figure.add("rider", _mirrored([*legs, *torso]), "shirt", top)
    figure.add("rider", _mirrored(legs), "trousers", bottom, is_detail=True)
    figure.add("rider", ellipse(0, 1.65, 0.13, 0.17), "helmet", rng.random())


def add_cyclist(scene: Scene, rng: np.random.Generator, x: float, z: float, crosses: bool) -> None:
    """A rider on a bicycle, crossing the street or riding along it."""
    if crosses:
        heading = rng.choice([0.0, np.pi]) + rng.uniform(-0.3, 0.3)
        add_bicycle(scene, rng, x, z, heading)
        _add_rider_side(scene, rng, x, z, heading, lean=0.15)
    else:
        _add_bicycle_end(scene, rng, x, z)
        _add_rider_end(scene, rng, x, z)


def add_motorcyclist(scene: Scene, rng: np.random.Generator, x: float, z: float, crosses: bool) -> None:
    """A rider on a motorcycle, crossing the street or riding along it."""
    if crosses:
        heading = rng.choice([0.0, np.pi]) + rng.uniform(-0.3, 0.3)
        add_motorcycle(scene, rng, x, z, heading)
        _add_rider_side(scene, rng, x, z, heading, lean=0.1)
    else:
        _add_motorcycle_end(scene, rng, x, z)
        _add_rider_end(scene, rng, x, z)
