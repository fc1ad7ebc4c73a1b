"""The layout of a street: sky, ground, and sides with buildings, walls, fences and gardens."""

from __future__ import annotations

import numpy as np

from mmseg.toy import furniture
from mmseg.toy.geometry import NEAR_PLANE, Camera, Prism, ellipse, on_ground, rectangle
from mmseg.toy.plan import Street
from mmseg.toy.scene import Scene
from mmseg.toy.traffic import place_objects

Generator = np.random.Generator


def build_scene(
    camera: Camera,
    rng: Generator,
    guests: list[str] | None = None,
    has_bonnet: bool = False,
) -> Scene:
    """A random street scene.

    Args:
        camera: Its camera.
        rng: Source of the layout.
        guests: Rare objects that must appear, names of ``GUESTS``.
        has_bonnet: Whether the bonnet of the own car covers the lower border (label "ego vehicle").
    """
    guests = [] if guests is None else guests
    street, scene = Street.draw(rng), Scene(camera)
    _add_sky_and_ground(scene, rng, street)
    _add_background(scene, rng, street)
    for side in (-1, 1):
        _add_side(scene, rng, street, side, has_terrain="terrain" in guests)
    for _, add in sorted(place_objects(scene, rng, street, guests), key=lambda placed: -placed[0]):
        add()
    if has_bonnet:
        outline = ellipse(
            camera.width / 2, camera.height * 1.06, 0.52 * camera.width, 0.13 * camera.height, 40
        )
        scene.add_image_polygon("ego vehicle", outline, "bonnet", inverse_distance=0.5)
    return scene


def _add_sky_and_ground(scene: Scene, rng: Generator, street: Street) -> None:
    camera = scene.camera
    everything = rectangle(-1, camera.width, -1, camera.height)
    scene.add_image_polygon("sky", everything, "sky", inverse_distance=0.0)
    scene.add("terrain", on_ground(-150, 150, NEAR_PLANE, 300), "grass")
    scene.add("sidewalk", on_ground(street.left_walk, street.right_walk, NEAR_PLANE, street.end), "paving")
    for side in (-1, 1):
        kerb = street.kerb(side)
        strip = on_ground(kerb, kerb + side * 0.22, NEAR_PLANE, street.end)
        scene.add("sidewalk", strip, "kerb", is_detail=True)
    scene.add("road", on_ground(street.left, street.right, NEAR_PLANE, street.end), "asphalt")
    scene.add("road", on_ground(-80, 80, street.end, street.end + 9), "asphalt")
    middle, phase = street.left / 2 + 0.4, rng.uniform(0, 6)
    for start in np.arange(NEAR_PLANE + phase, street.end, 6):
        dash = on_ground(middle - 0.08, middle + 0.08, start, start + 3)
        scene.add("road", dash, "marking", is_detail=True)
    if rng.random() < 0.25:
        start = rng.uniform(9, 20)
        for x in np.arange(street.left + 0.4, street.right - 0.5, 1.0):
            scene.add("road", on_ground(x, x + 0.5, start, start + 3), "marking", is_detail=True)


def _add_background(scene: Scene, rng: Generator, street: Street) -> None:
    """What closes the view behind the crossing at the end: houses or trees."""
    x, far = -60.0, street.end + 12
    while x < 60:
        width = rng.uniform(8, 16)
        if rng.random() < 0.55:
            _add_building(scene, rng, x, x + width, far, far + 10, rng.uniform(5, 14))
        else:
            for _ in range(3):
                furniture.add_bush(scene, rng, x + rng.uniform(0, width), far, rng.uniform(5, 9))
        x += width


def _add_building(
    scene: Scene, rng: Generator, x0: float, x1: float, z0: float, z1: float, height: float
) -> None:
    """A block with rows of windows and a door."""
    variant = rng.random()
    block = Prism.build((x0 + x1) / 2, (z0 + z1) / 2, x1 - x0, z1 - z0, 0, height)
    faces = scene.add_prism("building", block, "facade", variant)
    floor, axis, wide = rng.uniform(2.8, 3.5), rng.uniform(2.4, 3.6), rng.uniform(0.4, 0.65)
    floors = max(1, int(height / floor))
    for name, face in faces.items():
        if name == "top":
            continue
        columns = max(1, round(float(np.linalg.norm(face[1] - face[0])) / axis))
        left = (np.arange(columns) + 0.5 - wide / 2) / columns
        bottom = (np.arange(floors) + 0.35) / floors
        column, row = (grid.ravel() for grid in np.meshgrid(left, bottom))
        windows = np.stack([column, column + wide / columns, row, row + 0.45 / floors], axis=1)
        scene.add_patches("building", face, np.array([[0, 1, 0, 0.3 / floors]]), "plinth", variant)
        scene.add_patches("building", face, np.array([[0, 1, 1 - 0.35 / height, 1]]), "roof edge", variant)
        lit = rng.random(len(windows)) < 0.25
        scene.add_patches("building", face, windows[~lit], "window", variant)
        scene.add_patches("building", face, windows[lit], "lit window", variant)
        door = left[rng.integers(columns)]
        doors = np.array([[door, door + wide / columns, 0, 0.75 / floors]])
        scene.add_patches("building", face, doors, "door", variant)


def _add_side(scene: Scene, rng: Generator, street: Street, side: int, has_terrain: bool) -> None:
    """Plots along one side, drawn from far to near."""
    near = 0.8 * scene.camera.border_distance(street.walk(side))
    plots, z = [], max(NEAR_PLANE, near - rng.uniform(0, 6))
    is_open = rng.random() < 0.3
    while z < street.end:
        length = min(rng.uniform(8, 18), street.end - z)
        chances = [0.32, 0.36, 0.10, 0.16, 0.06] if is_open else [0.63, 0.18, 0.05, 0.09, 0.05]
        plots.append((z, z + length, str(rng.choice(["house", "garden", "wall", "fence", "gap"], p=chances))))
        z += length
    level = rng.uniform(4.5, 8) if is_open else rng.uniform(9, 20)
    verge = rng.uniform(2.0, 5.0) if has_terrain else 0.3
    for z0, z1, kind in reversed(plots):
        _add_plot(scene, rng, street, side, (z0, z1), kind, level, verge)


def _add_plot(
    scene: Scene,
    rng: Generator,
    street: Street,
    side: int,
    extent: tuple[float, float],
    kind: str,
    level: float,
    verge: float,
) -> None:
    z0, z1 = extent
    edge = street.walk(side)
    if kind == "gap":
        outer = edge + side * 60
        scene.add("road", on_ground(street.kerb(side), outer, z0 + 1, z1 - 1), "asphalt")
        return
    front = edge + side * verge
    if kind == "house":
        ground = on_ground(edge, front, z0, z1)
        if verge < 1:
            scene.add("sidewalk", ground, "paving")
        x0, x1 = sorted((front, front + side * 12))
        _add_building(scene, rng, x0, x1, z0, z1, level * rng.uniform(0.8, 1.2))
        return
    behind = edge + side * (verge + rng.uniform(2, 5))
    if rng.random() < 0.5:
        x0, x1 = sorted((behind + side * 3, behind + side * 14))
        _add_building(scene, rng, x0, x1, z0, z1, level * rng.uniform(0.5, 0.9))
    for z in np.arange(z1, z0, -1.6):
        size = rng.uniform(2.5, 5.0) if kind == "garden" else rng.uniform(2.0, 4.0)
        furniture.add_bush(scene, rng, behind + side * rng.uniform(0, 2), float(z), size)
    if kind == "garden":
        for z in np.arange(z1 - 2, z0, -5.0):
            furniture.add_tree(scene, rng, edge + side * rng.uniform(0.8, 2.5), float(z))
    else:
        _add_barrier(scene, rng, kind, front, side, z0, z1)


def _add_barrier(scene: Scene, rng: Generator, kind: str, x: float, side: int, z0: float, z1: float) -> None:
    """A wall or a fence along the street."""
    height = rng.uniform(1.7, 3.0) if kind == "wall" else rng.uniform(1.3, 2.1)
    z0, z1 = (max(z0, NEAR_PLANE), z1)
    start, end = (z0, z1) if side < 0 else (z1, z0)
    face = np.array([[x, 0, start], [x, 0, end], [x, height, end], [x, height, start]])
    variant = rng.random()
    scene.add(kind, face, kind, variant)
    if kind == "wall":
        scene.add_patches(kind, face, np.array([[0, 1, 0.9, 1]]), "wall top", variant)
        return
    posts = max(2, int((z1 - z0) / 0.5))
    left = np.arange(posts) / posts
    bars = np.stack([left, left + 0.4 / posts, np.zeros(posts), np.ones(posts)], axis=1)
    rails = np.array([[0, 1, 0.8, 0.9], [0, 1, 0.15, 0.25]])
    scene.add_patches(kind, face, np.concatenate([bars, rails]), "fence bar", variant)
