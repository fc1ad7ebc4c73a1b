"""Two pictures of one scene: as a game draws it and as a camera takes it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mmseg.toy.geometry import Array
from mmseg.toy.materials import CAMERA, GAME, Color
from mmseg.toy.scene import Scene
from mmseg.toy.weather import View, add_lens_effects, apply_condition, rgb

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class GameStyle:
    """How a game draws; as it stands: flat, saturated colours with thin dark outlines.

    Attributes:
        saturation: Share of the colour that is kept.
        tint: Factors of red, green and blue.
        outline: Brightness along the borders of what has a label; 1 = no outlines.
        grain: Strength of a texture of a few pixels (relative, standard deviation).
        haze: Distance in metres in which 63 % of the light is that of the air; infinity = clear air.
    """

    saturation: float = 1.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    outline: float = 0.72
    grain: float = 0.0
    haze: float = np.inf


CARTOON = GameStyle()
WATERCOLOUR = GameStyle(saturation=0.45, tint=(1.08, 1.0, 0.84), outline=1.0, grain=0.07, haze=90.0)
"""A second game: pale and warm, grained, without outlines, seen through haze."""


def render_game(scene: Scene, rng: np.random.Generator, style: GameStyle = CARTOON) -> Picture:
    """The scene in the style of a game, as RGB (H, W, 3)."""
    surfaces = scene.surfaces()
    colors = np.array([_variant(GAME[part.material], part.variant) for part in scene.parts], dtype=np.float32)
    # A few percent tell instances of the same colour apart.
    nuance = np.array([0.94 + 0.12 * ((7.13 * part.variant) % 1) for part in scene.parts], dtype=np.float32)
    shades = np.array([part.shade for part in scene.parts], dtype=np.float32)
    picture = (colors * (nuance * shades)[:, None])[surfaces]

    is_sky = np.array([part.material == "sky" for part in scene.parts])[surfaces]
    rows = np.arange(scene.camera.height, dtype=np.float32) / scene.camera.horizon
    pale = 0.75 * np.clip(rows, 0, 1)[:, None, None] ** 1.5
    picture = np.where(is_sky[..., None], picture + pale * (rgb(214, 236, 255) - picture), picture)

    labels = scene.label_ids()
    edges = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0
    picture[edges] *= style.outline
    picture = picture * np.float32(rng.uniform(0.93, 1.07))
    return _to_bytes(picture if style == CARTOON else _in_style(picture, scene, surfaces, rng, style))


def _in_style(
    picture: Array,
    scene: Scene,
    surfaces: npt.NDArray[np.int32],
    rng: np.random.Generator,
    style: GameStyle,
) -> Array:
    """Colours, grain and air of a style, (H, W, 3)."""
    grey = picture.mean(axis=2, keepdims=True)
    picture = (grey + np.float32(style.saturation) * (picture - grey)) * rgb(*style.tint)
    cell = max(2.0, 3.0 * scene.camera.focal / 563)
    picture *= 1 + np.float32(style.grain) * smooth_noise(rng, surfaces.shape, cell)[..., None]
    air = 1 - np.exp(-_distances(scene, surfaces) / np.float32(style.haze))
    return picture + air[..., None] * (rgb(226, 222, 206) - picture)


def render_camera(scene: Scene, rng: np.random.Generator, condition: str = "clear") -> Picture:
    """Textured, dull colours seen through air and a lens, as RGB (H, W, 3).

    Args:
        scene: What the camera sees.
        rng: Source of texture, light and noise.
        condition: clear, fog, night, rain or snow.
    """
    surfaces = scene.surfaces()
    looks = [CAMERA[part.material] for part in scene.parts]
    colors = np.array(
        [_variant(look.colors, part.variant) for look, part in zip(looks, scene.parts, strict=True)]
    )
    shades = np.array([part.shade for part in scene.parts])
    jitter = 1 + 0.06 * rng.standard_normal((len(colors), 1)) * (colors.max() > 0)
    cast = rng.uniform(0.94, 1.06, 3) * rng.uniform(0.9, 1.1)
    albedo = (colors * shades[:, None] * jitter * cast).astype(np.float32)[surfaces]

    scale = scene.camera.focal / 563  # texture in pixels of an image of 512 x 256
    strengths = np.array([(look.fine, look.medium, look.coarse) for look in looks], dtype=np.float32)[
        surfaces
    ]
    texture = np.ones(surfaces.shape, dtype=np.float32)
    for channel, cell in enumerate((1.0, 4.0 * scale, 30.0 * scale)):
        texture += strengths[..., channel] * smooth_noise(rng, surfaces.shape, cell)
    glow = np.array([look.glow for look in looks], dtype=np.float32)[surfaces]
    view = View(
        scene, surfaces, albedo * np.clip(texture, 0.3, 1.9)[..., None], glow, _distances(scene, surfaces)
    )
    return _to_bytes(add_lens_effects(apply_condition(view, condition, rng), scale, condition, rng))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], cell: float) -> npt.NDArray[np.float32]:
    """Noise (H, W) of about unit variance that varies over ``cell`` pixels."""
    height, width = shape
    if cell <= 1:
        return rng.standard_normal((height, width), dtype=np.float32)
    grid = rng.standard_normal((int(height / cell) + 3, int(width / cell) + 3), dtype=np.float32)
    return 1.3 * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)


def _variant(colors: tuple[Color, ...], variant: float) -> Color:
    return colors[int(variant * len(colors))]


def _distances(scene: Scene, surfaces: npt.NDArray[np.int32]) -> Array:
    """Distance of each pixel in metres, (H, W); the sky is at 2000."""
    planes = np.array([part.inverse_depth for part in scene.parts], dtype=np.float32)[surfaces]
    height, width = surfaces.shape
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    inverse = planes[..., 0] * columns + planes[..., 1] * rows + planes[..., 2]
    return 1 / np.clip(inverse, 5e-4, 1.0)


def _to_bytes(picture: Array) -> Picture:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
