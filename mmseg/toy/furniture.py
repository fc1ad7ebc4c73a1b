"""What stands beside a street: poles, lamps, signs, traffic lights, trees, bins."""

from __future__ import annotations

import numpy as np

from mmseg.toy.geometry import Prism, blob, ellipse, rectangle, upright
from mmseg.toy.scene import Scene

THINNEST_POLE = 0.0062
"""Least width of a pole as a fraction of its distance: about 3.5 pixels in an image of 512 x 256."""


def _add_pole(scene: Scene, x: float, z: float, height: float, width: float) -> None:
    half = max(width, THINNEST_POLE * z) / 2
    scene.add("pole", upright(rectangle(-half, half, 0, height), x, z), "pole")
    lit_side = rectangle(-half, -0.3 * half, 0, height)
    scene.add("pole", upright(lit_side, x, z), "pole", shade=0.8, is_detail=True)


def add_lamp_post(scene: Scene, rng: np.random.Generator, x: float, z: float) -> None:
    """A street lamp whose arm reaches over the road."""
    height, reach = rng.uniform(5.5, 8.0), -np.sign(x) * rng.uniform(1.2, 2.0)
    _add_pole(scene, x, z, height, 0.2)
    thickness = max(0.12, 0.8 * THINNEST_POLE * z)
    arm = rectangle(0.0, reach, height - thickness, height)
    scene.add("pole", upright(arm, x, z), "pole")
    head = rectangle(0.55 * reach, reach, height - 1.6 * thickness, height - 0.4 * thickness)
    scene.add("pole", upright(head, x, z), "lamp")


SIGN_OUTLINES = (
    ("sign red", ellipse(0, 0, 0.46), ellipse(0, 0, 0.3), "sign white"),
    (
        "sign red",
        np.array([[-0.52, -0.35], [0.52, -0.35], [0, 0.55]]),
        np.array([[-0.3, -0.22], [0.3, -0.22], [0, 0.3]]),
        "sign white",
    ),
    ("sign blue", rectangle(-0.42, 0.42, -0.42, 0.42), rectangle(-0.2, 0.2, -0.25, 0.25), "sign white"),
    ("sign blue", ellipse(0, 0, 0.45), rectangle(-0.1, 0.1, -0.3, 0.25), "sign white"),
    (
        "sign yellow",
        np.array([[0, -0.55], [0.55, 0], [0, 0.55], [-0.55, 0]]),
        rectangle(-0.2, 0.2, -0.2, 0.2),
        "sign white",
    ),
    ("sign red", rectangle(-0.47, 0.47, -0.47, 0.47), rectangle(-0.36, 0.36, -0.1, 0.1), "sign white"),
)


def add_traffic_sign(scene: Scene, rng: np.random.Generator, x: float, z: float) -> None:
    """One or two signs on a thin pole, or a wide board."""
    if rng.random() < 0.2:
        bottom, half = rng.uniform(1.8, 3.0), rng.uniform(0.8, 1.2)
        _add_pole(scene, x, z, bottom + 1.0, 0.12)
        board = upright(rectangle(-half, half, bottom, bottom + 1.0), x, z)
        color = str(rng.choice(["sign blue", "sign yellow"]))
        scene.add("traffic sign", board, color)
        lines = np.array([[0.1, 0.75, 0.62, 0.8], [0.1, 0.55, 0.25, 0.43]])
        scene.add_patches("traffic sign", board, lines, "sign white")
        return
    height = rng.uniform(2.1, 2.9)
    _add_pole(scene, x, z, height, 0.09)
    for centre in (height, height - 1.0)[: rng.choice([1, 1, 2])]:
        rim_material, rim, face, face_material = SIGN_OUTLINES[rng.integers(len(SIGN_OUTLINES))]
        scene.add("traffic sign", upright(rim + np.array([0, centre]), x, z), rim_material)
        scene.add("traffic sign", upright(face + np.array([0, centre]), x, z), face_material, is_detail=True)


def add_traffic_light(scene: Scene, rng: np.random.Generator, x: float, z: float) -> None:
    """A traffic light on a pole at the kerb; a high one has a second head above the road."""
    bottom = rng.uniform(2.1, 2.6)
    _add_pole(scene, x, z, bottom + 1.2, 0.15)
    heads = [(0.0, bottom)]
    if rng.random() < 0.35:
        reach, height = -np.sign(x) * rng.uniform(2.0, 3.5), 5.2
        _add_pole(scene, x, z, height, 0.18)
        half = max(0.08, THINNEST_POLE * z / 2)
        arm = rectangle(0.0, reach, height - half, height + half)
        scene.add("pole", upright(arm, x, z), "pole")
        heads.append((reach, height - 0.6))
    lit = rng.integers(3)
    for right, low in heads:
        scene.add(
            "traffic light",
            upright(rectangle(right - 0.22, right + 0.22, low, low + 1.15), x, z),
            "signal case",
        )
        for place, color in enumerate(("green", "amber", "red")):
            lamp = ellipse(right, low + 0.22 + 0.36 * place, 0.15, corners=10)
            material = f"signal {color}" if place == lit else "signal off"
            scene.add("traffic light", upright(lamp, x, z), material, is_detail=True)


def add_tree(scene: Scene, rng: np.random.Generator, x: float, z: float) -> None:
    """A broad-leaved tree: trunk and crown are both vegetation."""
    variant, height, radius = rng.random(), rng.uniform(4.5, 7.5), rng.uniform(1.5, 2.6)
    trunk = rng.uniform(0.13, 0.22)
    scene.add("vegetation", upright(rectangle(-trunk, trunk, 0, height), x, z), "trunk")
    crown = blob(rng, 0, height, radius, rng.uniform(0.8, 1.2) * radius)
    scene.add("vegetation", upright(crown, x, z), "leaves", variant)
    for _ in range(3):
        side, up = rng.uniform(-0.4, 0.4, 2) * radius
        clump = blob(rng, side, height + up, 0.45 * radius, 0.4 * radius)
        shade = rng.uniform(0.8, 1.2)
        scene.add("vegetation", upright(clump, x, z), "leaves", variant, shade, is_detail=True)


def add_bush(scene: Scene, rng: np.random.Generator, x: float, z: float, size: float) -> None:
    """A shrub about ``size`` metres wide and high."""
    variant = rng.random()
    outline = blob(rng, 0, 0.45 * size, 0.6 * size, 0.55 * size)
    outline[:, 1] = np.maximum(outline[:, 1], 0)
    scene.add("vegetation", upright(outline, x, z), "leaves", variant, rng.uniform(0.85, 1.1))


def add_bin(scene: Scene, rng: np.random.Generator, x: float, z: float) -> None:
    """A bin or a cabinet: street furniture without a class of its own."""
    height = rng.uniform(0.9, 1.3)
    box = Prism.build(x, z, rng.uniform(0.6, 1.0), 0.6, 0.0, height, rng.uniform(-0.2, 0.2))
    scene.add_prism("static", box, "bin", rng.random())
