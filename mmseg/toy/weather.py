"""Light, air and lens between the street and the picture of the camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mmseg.toy.geometry import Array
from mmseg.toy.scene import Scene

Generator = np.random.Generator
SATURATION = np.float32(0.6)
"""How much colour a camera keeps."""
CONDITIONS = ("clear", "fog", "night", "rain", "snow")
GROUND = frozenset({"asphalt", "marking", "paving", "kerb", "grass", "shadow"})
SNOW_COVER = {
    "grass": 0.9,
    "paving": 0.75,
    "kerb": 0.6,
    "asphalt": 0.35,
    "marking": 0.35,
    "leaves": 0.35,
    "shadow": 0.1,
}
"""How much snow lies on a material."""


@dataclass(frozen=True)
class View:
    """What reaches the camera in even daylight.

    Args:
        scene: The street.
        surfaces: Index of the part at each pixel, (H, W).
        albedo: RGB in [0, 255], (H, W, 3).
        glow: Brightness of the material itself at night, (H, W) in [0, 1].
        distance: In metres, (H, W).
    """

    scene: Scene
    surfaces: npt.NDArray[np.int32]
    albedo: Array
    glow: Array
    distance: Array

    def share(self, amounts: dict[str, float]) -> Array:
        """Amount by material as a map (H, W); materials that are not named get 0."""
        table = np.array([amounts.get(part.material, 0.0) for part in self.scene.parts], dtype=np.float32)
        return table[self.surfaces]


def rgb(red: float, green: float, blue: float) -> Array:
    """A colour (3,) that does not widen float32 pictures."""
    return np.array([red, green, blue], dtype=np.float32)


def apply_condition(view: View, condition: str, rng: Generator) -> Array:
    """Picture (H, W, 3) under a condition, before the lens."""
    if condition == "clear":
        return _haze(view.albedo, view.distance, rng.uniform(150, 500), (204, 206, 206))
    if condition == "fog":
        grey = rng.uniform(175, 205)
        return _haze(0.92 * view.albedo, view.distance, rng.uniform(30, 60), (grey, grey, grey + 3))
    if condition == "night":
        return _night(view, rng)
    if condition == "rain":
        return _rain(view, rng)
    if condition == "snow":
        return _snow(view, rng)
    raise ValueError(f"unknown condition {condition!r}; expected one of {', '.join(CONDITIONS)}")


def _haze(picture: Array, distance: Array, visibility: float, light: tuple[float, float, float]) -> Array:
    """Air that scatters light: Koschmieder's law with the given visibility in metres."""
    clear = np.exp(-distance / visibility)[..., None]
    return picture * clear + rgb(*light) * (1 - clear)


def _night(view: View, rng: Generator) -> Array:
    camera = view.scene.camera
    height, width = view.distance.shape
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    ahead = np.exp(-(((columns - camera.vanishing_x) / (0.33 * width)) ** 2))
    below = 1 / (1 + np.exp(-(rows - camera.horizon) / (0.05 * height)))
    headlights = 0.75 * ahead * (0.35 + 0.65 * below) * np.exp(-view.distance / 30)
    is_sky = view.share({"sky": 1.0})
    ambient = rng.uniform(0.17, 0.28) * (1 - 0.72 * is_sky)
    light = (ambient + headlights)[..., None] * rgb(1.1, 0.96, 0.74)
    lamps = view.glow[..., None] * np.maximum(view.albedo, 60) * rgb(1.15, 1.0, 0.75)
    bloom = (
        cv2.GaussianBlur(lamps, (0, 0), 0.018 * width) * 2.2
        + cv2.GaussianBlur(lamps, (0, 0), 0.06 * width) * 1.4
    )
    return view.albedo * light + lamps + bloom + rgb(5, 6, 10)


def _rain(view: View, rng: Generator) -> Array:
    """Darker wet surfaces, a road that mirrors what stands above it, streaks in the air."""
    camera = view.scene.camera
    picture = 0.78 * view.albedo
    horizon = int(camera.horizon)
    mirrored = np.zeros_like(picture)
    above = picture[:horizon][::-1]
    rows = min(len(above), camera.height - horizon)
    mirrored[horizon : horizon + rows] = above[:rows]
    reflection: Array = cv2.blur(mirrored, (3, max(3, camera.height // 14)))
    wet = view.share(dict.fromkeys(GROUND, 0.4))[..., None]
    picture = picture * (1 - wet) + wet * (0.25 * picture + 0.75 * reflection)
    picture = _haze(picture, view.distance, rng.uniform(90, 200), (150, 156, 162))
    return picture + _specks(rng, picture.shape, 0.002, length=camera.height // 16, strength=55)


def _snow(view: View, rng: Generator) -> Array:
    """Snow on the ground and in the trees, flakes in the air."""
    height, width = view.distance.shape
    grid = rng.random((height // 5 + 3, width // 16 + 3)).astype(np.float32)
    patches = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    cover = view.share(SNOW_COVER)
    cover = np.clip(cover * rng.uniform(0.7, 1.1) + 0.5 * (patches - 0.5) * (cover > 0), 0, 1)[..., None]
    white = rgb(214, 218, 226) * (0.92 + 0.08 * patches[..., None])
    picture = view.albedo * (1 - cover) * 0.9 + white * cover
    picture = _haze(picture, view.distance, rng.uniform(70, 160), (196, 200, 206))
    return picture + _specks(rng, picture.shape, 0.004, length=1, strength=70)


def _specks(rng: Generator, shape: tuple[int, ...], density: float, length: int, strength: float) -> Array:
    """Bright drops or flakes (H, W, 1); drops are drawn out over ``length`` pixels."""
    height, width = shape[:2]
    specks: Array = (rng.random((height, width)) < density).astype(np.float32)
    if length > 1:
        specks = cv2.filter2D(specks, -1, np.ones((length, 1), np.float32))
    soft = cv2.GaussianBlur(specks, (0, 0), 0.0014 * width + 0.1)
    return strength * np.minimum(2.5 * soft, 1)[..., None]


def add_lens_effects(picture: Array, scale: float, condition: str, rng: Generator) -> Array:
    """Blur, vignette, exposure, contrast and sensor noise on a picture (H, W, 3).

    Args:
        picture: RGB around [0, 255].
        scale: Pixels per pixel of an image of 512 x 256.
        condition: At night the sensor is noisier.
        rng: Source of all strengths.
    """
    height, width = picture.shape[:2]
    picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), max(0.3, scale * rng.uniform(0.5, 0.9)))
    columns = np.linspace(-1, 1, width, dtype=np.float32)
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    vignette = 1 - np.float32(rng.uniform(0.1, 0.3)) * (columns**2 + rows**2) / 2
    picture = picture * vignette[..., None]
    grey = picture.mean(axis=2, keepdims=True)
    picture = grey + SATURATION * (picture - grey)
    if condition == "night":
        picture = picture * rng.uniform(0.85, 1.12)
    else:
        exposure, contrast = rng.uniform(0.7, 1.0), rng.uniform(0.7, 0.95)
        picture = (picture * exposure - 118) * contrast + 118
    sigma = rng.uniform(5, 9) + (4 if condition == "night" else 0)
    return picture + sigma * rng.standard_normal((height, width, 3), dtype=np.float32)
