"""Cars, trucks, buses and trains: prisms with windows, lights and wheels on their faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mmseg.toy.geometry import Array, Prism, ellipse, on_ground
from mmseg.toy.scene import Scene

Rectangle = tuple[float, float, float, float]
FaceDecals = Mapping[str, Sequence[Rectangle]]
Decals = Mapping[str, FaceDecals]
"""Rectangles (left, right, bottom, top as fractions) by face, then by material."""

FLANKS = ("left", "right")
CAR_BODY: Decals = {
    "rear": {
        "bumper": [(0, 1, 0, 0.22)],
        "tail light": [(0.03, 0.2, 0.55, 0.85), (0.8, 0.97, 0.55, 0.85)],
        "plate": [(0.38, 0.62, 0.35, 0.55)],
    },
    "front": {
        "bumper": [(0, 1, 0, 0.22), (0.27, 0.73, 0.35, 0.7)],
        "headlight": [(0.03, 0.22, 0.5, 0.85), (0.78, 0.97, 0.5, 0.85)],
        "plate": [(0.4, 0.6, 0.15, 0.3)],
    },
    "left": {"bumper": [(0, 1, 0, 0.16)]},
    "right": {"bumper": [(0, 1, 0, 0.16)]},
}
CAR_CABIN: Decals = {
    "rear": {"glass": [(0.1, 0.9, 0.15, 0.85)]},
    "front": {"glass": [(0.06, 0.94, 0.08, 0.9)]},
    "left": {"glass": [(0.1, 0.47, 0.1, 0.85), (0.53, 0.9, 0.1, 0.85)]},
    "right": {"glass": [(0.1, 0.47, 0.1, 0.85), (0.53, 0.9, 0.1, 0.85)]},
}
TRUCK_CAB: Decals = {
    "front": {
        "glass": [(0.08, 0.92, 0.5, 0.88)],
        "headlight": [(0.04, 0.2, 0.08, 0.2), (0.8, 0.96, 0.08, 0.2)],
        "bumper": [(0, 1, 0, 0.06), (0.25, 0.75, 0.15, 0.42)],
    },
    "left": {"glass": [(0.3, 0.85, 0.5, 0.85)]},
    "right": {"glass": [(0.15, 0.7, 0.5, 0.85)]},
}
TRUCK_CARGO: Decals = {
    "rear": {
        "bumper": [(0, 1, 0, 0.07), (0.485, 0.515, 0.07, 0.97)],
        "tail light": [(0.02, 0.14, 0.01, 0.06), (0.86, 0.98, 0.01, 0.06)],
    },
    "left": {"cargo stripe": [(0.15, 0.85, 0.35, 0.65)]},
    "right": {"cargo stripe": [(0.15, 0.85, 0.35, 0.65)]},
}
BUS_WINDOWS = [(0.03 + 0.16 * i, 0.16 + 0.16 * i, 0.45, 0.85) for i in range(6)]
BUS_BODY: Decals = {
    "rear": {
        "glass": [(0.1, 0.9, 0.52, 0.82)],
        "tail light": [(0.03, 0.12, 0.12, 0.35), (0.88, 0.97, 0.12, 0.35)],
        "bumper": [(0, 1, 0, 0.08)],
    },
    "front": {
        "glass": [(0.05, 0.95, 0.35, 0.82)],
        "destination": [(0.2, 0.8, 0.86, 0.96)],
        "headlight": [(0.05, 0.2, 0.1, 0.2), (0.8, 0.95, 0.1, 0.2)],
        "bumper": [(0, 1, 0, 0.07)],
    },
    "left": {"glass": BUS_WINDOWS, "bumper": [(0, 1, 0, 0.06)]},
    "right": {"glass": [*BUS_WINDOWS, (0.2, 0.3, 0.05, 0.42), (0.7, 0.8, 0.05, 0.42)]},
}
TRAIN_WINDOWS = [(0.03 + 0.0964 * i, 0.1 + 0.0964 * i, 0.5, 0.78) for i in range(10)]
TRAIN_FLANK: FaceDecals = {
    "train band": [(0.0, 1.0, 0.12, 0.38)],
    "glass": TRAIN_WINDOWS,
    "train roof": [(0, 1, 0.9, 1.0)],
}
TRAIN_END: FaceDecals = {
    "train band": [(0.0, 1.0, 0.12, 0.38)],
    "glass": [(0.12, 0.88, 0.48, 0.8)],
    "headlight": [(0.1, 0.22, 0.2, 0.3), (0.78, 0.9, 0.2, 0.3)],
    "train roof": [(0, 1, 0.9, 1.0)],
}
TRAIN_BODY: Decals = {"rear": TRAIN_END, "front": TRAIN_END, "left": TRAIN_FLANK, "right": TRAIN_FLANK}


def _add_decals(scene: Scene, label: str, faces: Mapping[str, Array], decals: Decals, variant: float) -> None:
    for name, face in faces.items():
        for material, rectangles in decals.get(name, {}).items():
            scene.add_patches(label, face, np.array(rectangles), material, variant)


def _on_face(face: Array, outline: Array) -> Array:
    """World points of an outline (N, 2) in metres on a face (4, 3), from the foot below its left edge."""
    right = (face[1] - face[0]) / np.linalg.norm(face[1] - face[0])
    foot = face[0] * (1, 0, 1)
    return foot + outline[:, :1] * right + outline[:, 1:] * np.array([0.0, 1.0, 0.0])


def _add_wheels(scene: Scene, label: str, faces: Mapping[str, Array], radius: float) -> None:
    """Discs below the flanks, and the treads that show below the ends."""
    for name, face in faces.items():
        length = float(np.linalg.norm(face[1] - face[0]))
        if name in FLANKS:
            for centre in (0.2 * length, 0.8 * length):
                scene.add(label, _on_face(face, ellipse(centre, radius, radius)), "tyre")
                rim = ellipse(centre, radius, 0.55 * radius)
                scene.add(label, _on_face(face, rim), "rim", is_detail=True)
        elif name != "top":
            for start in (0.03 * length, 0.97 * length - 0.22):
                tread = np.array([[start, 0], [start + 0.22, 0], [start + 0.22, radius], [start, radius]])
                scene.add(label, _on_face(face, tread), "tyre")


def _add_shadow(scene: Scene, x: float, z: float, width: float, length: float, heading: float) -> None:
    cosine, sine = abs(np.cos(heading)), abs(np.sin(heading))
    half_x = (cosine * width + sine * length) / 2 + 0.2
    half_z = (cosine * length + sine * width) / 2 + 0.15
    ground = on_ground(x - half_x, x + half_x, z - half_z, z + half_z)
    scene.add("road", ground, "shadow", is_detail=True)


def add_car(scene: Scene, rng: np.random.Generator, x: float, z: float, heading: float) -> None:
    """A car around (x, z); heading 0 drives away from the camera, pi towards it, pi / 2 to the right."""
    variant = rng.random()
    width, length = rng.uniform(1.7, 1.9), rng.uniform(3.9, 4.7)
    waist, roof = rng.uniform(0.85, 0.98), rng.uniform(1.45, 1.75)
    _add_shadow(scene, x, z, width, length, heading)
    lower = Prism.build(x, z, width, length, 0.24, waist, heading, (0.03, 0.03, 0.05))
    _add_wheels(scene, "car", lower.visible_faces(scene.camera.elevation), 0.34)
    _add_decals(scene, "car", scene.add_prism("car", lower, "car paint", variant), CAR_BODY, variant)
    rear = rng.choice([0.3, 0.7])
    cabin = Prism.build(
        x, z, width - 0.1, 0.68 * length, waist, roof, heading, (0.2, rear, 0.7), -0.12 * length
    )
    _add_decals(scene, "car", scene.add_prism("car", cabin, "car paint", variant, 0.95), CAR_CABIN, variant)


def add_truck(scene: Scene, rng: np.random.Generator, x: float, z: float, heading: float) -> None:
    """A lorry: a cab in front of a taller cargo box."""
    variant, length = rng.random(), rng.uniform(6.5, 9.0)
    cargo_top = rng.uniform(3.1, 3.7)
    _add_shadow(scene, x, z, 2.4, length, heading)
    cab = Prism.build(x, z, 2.3, 2.0, 0.45, 2.75, heading, (0.05, 0, 0.25), length / 2 - 1.0)
    cargo = Prism.build(x, z, 2.5, length - 2.3, 0.75, cargo_top, heading, offset=-1.15)
    base = Prism.build(x, z, 2.2, length - 0.3, 0.45, 0.8, heading)
    _add_wheels(scene, "truck", base.visible_faces(scene.camera.elevation), 0.5)
    scene.add_prism("truck", base, "bumper")
    pieces = [(cab, "truck paint", TRUCK_CAB), (cargo, "cargo", TRUCK_CARGO)]
    pieces.sort(key=lambda piece: -float(np.linalg.norm(piece[0].corners.mean(axis=0))))
    for prism, material, decals in pieces:
        _add_decals(scene, "truck", scene.add_prism("truck", prism, material, variant), decals, variant)


def add_bus(scene: Scene, rng: np.random.Generator, x: float, z: float, heading: float) -> None:
    """A city bus with a row of windows."""
    variant, length = rng.random(), rng.uniform(9.0, 12.0)
    _add_shadow(scene, x, z, 2.5, length, heading)
    body = Prism.build(x, z, 2.55, length, 0.35, rng.uniform(2.9, 3.2), heading, (0.05, 0.05, 0.1))
    _add_wheels(scene, "bus", body.visible_faces(scene.camera.elevation), 0.48)
    _add_decals(scene, "bus", scene.add_prism("bus", body, "bus paint", variant), BUS_BODY, variant)


def add_train(scene: Scene, rng: np.random.Generator, x: float, z: float, heading: float) -> None:
    """A tram: two long cars, close to the ground and without visible wheels, with a coloured band."""
    variant, length = rng.random(), rng.uniform(11.0, 14.0)
    direction = np.array([np.sin(heading), np.cos(heading)])
    _add_shadow(scene, x, z, 2.5, 2 * length, heading)
    middles = [np.array([x, z]) + offset * length * direction for offset in (-0.52, 0.52)]
    for middle in sorted(middles, key=lambda position: -float(np.linalg.norm(position))):
        body = Prism.build(middle[0], middle[1], 2.7, length, 0.15, 3.7, heading, (0.12, 0.12, 0.12))
        faces = scene.add_prism("train", body, "train paint", variant)
        _add_decals(scene, "train", faces, TRAIN_BODY, variant)
