"""A pinhole camera above a flat street, and the outlines that it sees.

World coordinates are metres: x to the right, y up from the ground, z along the viewing direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
NEAR_PLANE = 1.0
"""Distance in metres before which nothing is built."""


@dataclass(frozen=True)
class Camera:
    """A camera that looks along the street.

    Args:
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        focal: Focal length in pixels.
        vanishing_x: Image column to which the street leads.
        horizon: Image row of the horizon.
        elevation: Height above the ground in metres.
    """

    width: int
    height: int
    focal: float
    vanishing_x: float
    horizon: float
    elevation: float

    @classmethod
    def draw(
        cls, rng: np.random.Generator, size: tuple[int, int], elevation: tuple[float, float] = (1.4, 1.8)
    ) -> Camera:
        """A camera with the field of view of Cityscapes (about 50 degrees at 2:1) and a random pose.

        Args:
            rng: Source of the pose.
            size: (width, height) of the image in pixels.
            elevation: Range of the height above the ground in metres.
        """
        width, height = size
        return cls(
            width=width,
            height=height,
            focal=1.1 * float(np.sqrt(2 * width * height)),
            vanishing_x=width * rng.uniform(0.42, 0.58),
            horizon=height * rng.uniform(0.40, 0.47),
            elevation=rng.uniform(*elevation),
        )

    def project(self, points: Array) -> Array:
        """Image points (..., 2) of world points (..., 3) in front of the camera."""
        x, y, z = np.moveaxis(points, -1, 0)
        scale = self.focal / z
        return np.stack([self.vanishing_x + scale * x, self.horizon + scale * (self.elevation - y)], axis=-1)

    def border_distance(self, x: float) -> float:
        """Distance in metres at which something on the ground at ``x`` enters the image from the side."""
        border = self.width - self.vanishing_x if x > 0 else self.vanishing_x
        return abs(x) * self.focal / border


def inverse_depth(pixels: Array, depths: Array) -> Array:
    """Coefficients (3,) of ``1 / z = a * column + b * row + c``, which is exact for a plane.

    Args:
        pixels: Image points of the plane, (N, 2).
        depths: Their distances in metres, (N,).
    """
    centre = pixels.mean(axis=0)
    shifted = np.column_stack([pixels - centre, np.ones(len(pixels))])
    slope_x, slope_y, offset = np.linalg.lstsq(shifted, 1 / depths, rcond=1e-6)[0]
    return np.array([slope_x, slope_y, offset - slope_x * centre[0] - slope_y * centre[1]])


def clip_to_image(polygon: Array, width: int, height: int) -> Array:
    """Part of a polygon (N, 2) within one pixel around the image, (0, 2) if none (Sutherland, Hodgman 1974).

    The margin hides the edges that the method adds along the border when the outline is not convex.
    """
    for axis, bound, sign in ((0, -1, 1), (0, width, -1), (1, -1, 1), (1, height, -1)):
        if len(polygon) == 0:
            break
        distance = sign * (polygon[:, axis] - bound)
        if distance.min() >= 0:
            continue
        kept = []
        for i in range(len(polygon)):
            before, after = distance[i - 1], distance[i]
            if (before < 0) != (after < 0):
                kept.append(polygon[i - 1] + before / (before - after) * (polygon[i] - polygon[i - 1]))
            if after >= 0:
                kept.append(polygon[i])
        polygon = np.array(kept).reshape(-1, 2)
    return polygon


def convex_hull(points: Array) -> Array:
    """Indices (M,) of the corners of the convex hull of image points (N, 2)."""
    return cv2.convexHull(points.astype(np.float32), returnPoints=False)[:, 0]


def upright(outline: Array, x: float, z: float, heading: float = 0.0) -> Array:
    """Stand an outline on the ground.

    Args:
        outline: Points (N, 2) in metres, to the right and up from its foot.
        x: Where the foot stands.
        z: Where the foot stands.
        heading: Angle in radians about the vertical; 0 faces the camera.

    Returns:
        World points, (N, 3).
    """
    right, up = np.asarray(outline, dtype=float).T
    return np.column_stack([x + np.cos(heading) * right, up, z + np.sin(heading) * right])


def on_ground(x0: float, x1: float, z0: float, z1: float) -> Array:
    """Corners (4, 3) of a rectangle on the ground; ``x0`` and ``x1`` in any order."""
    z0 = max(z0, NEAR_PLANE)
    return np.array([[x0, 0, z0], [x1, 0, z0], [x1, 0, z1], [x0, 0, z1]], dtype=float)


def rectangle(x0: float, x1: float, y0: float, y1: float) -> Array:
    """Outline (4, 2) of a rectangle; the bounds of an axis in any order."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=float)


def ellipse(x: float, y: float, radius_x: float, radius_y: float | None = None, corners: int = 14) -> Array:
    """Outline (corners, 2) of an ellipse; ``radius_y`` None means a circle."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    height = radius_x if radius_y is None else radius_y
    return np.column_stack([x + radius_x * np.cos(angle), y + height * np.sin(angle)])


def blob(rng: np.random.Generator, x: float, y: float, radius_x: float, radius_y: float) -> Array:
    """Outline (18, 2) of an irregular round shape, for example the crown of a tree."""
    outline = ellipse(0, 0, radius_x, radius_y, corners=18) * rng.uniform(0.82, 1.12, (18, 1))
    return outline + np.array([x, y])


def patch(quad: Array, rectangles: Array) -> Array:
    """Rectangles on a face.

    Args:
        quad: Corners (4, 3) of the face: bottom left, bottom right, top right, top left seen from outside.
        rectangles: (N, 4): left, right, bottom, top as fractions of the face.

    Returns:
        Corners, (N, 4, 3).
    """
    left, right, bottom, top = np.asarray(rectangles, dtype=float).reshape(-1, 4).T
    across = np.stack([left, right, right, left], axis=1)[..., None]
    up = np.stack([bottom, bottom, top, top], axis=1)[..., None]
    lower = (1 - across) * quad[0] + across * quad[1]
    upper = (1 - across) * quad[3] + across * quad[2]
    return (1 - up) * lower + up * upper


@dataclass(frozen=True)
class Prism:
    """A box, possibly narrower at the top. It is convex, so its outline is the hull of its corners.

    Args:
        corners: (8, 3) world points, the bottom first; each ring runs rear left, rear right, front right,
            front left, where the rear is the side that faces the camera at heading 0.
    """

    corners: Array

    @classmethod
    def build(
        cls,
        x: float,
        z: float,
        width: float,
        length: float,
        bottom: float,
        top: float,
        heading: float = 0.0,
        taper: tuple[float, float, float] = (0.0, 0.0, 0.0),
        offset: float = 0.0,
    ) -> Prism:
        """A prism around the vertical axis through (x, z).

        Args:
            x: Position in metres.
            z: Position in metres.
            width: Extent across the heading.
            length: Extent along the heading.
            bottom: Height of the lower ring above the ground.
            top: Height of the upper ring above the ground.
            heading: Rotation about the vertical in radians.
            taper: How much the upper ring is drawn in at each flank, at the rear and at the front.
            offset: Shift of the prism along its heading.
        """
        half, flank, rear, front = width / 2, taper[0], taper[1], taper[2]
        start, end = offset - length / 2, offset + length / 2
        lower = [(-half, start), (half, start), (half, end), (-half, end)]
        inner = half - flank
        upper = [(-inner, start + rear), (inner, start + rear), (inner, end - front), (-inner, end - front)]
        plan = np.array(lower + upper)
        cosine, sine = np.cos(heading), np.sin(heading)
        world_x = x + cosine * plan[:, 0] + sine * plan[:, 1]
        world_z = z - sine * plan[:, 0] + cosine * plan[:, 1]
        heights = np.repeat([bottom, top], 4)
        return cls(np.column_stack([world_x, heights, np.maximum(world_z, NEAR_PLANE)]))

    def visible_faces(self, elevation: float) -> dict[str, Array]:
        """Faces (4, 3) that a camera at that height sees, by name: rear, right, front, left, top."""
        c = self.corners
        faces = {
            "rear": c[[0, 1, 5, 4]],
            "right": c[[1, 2, 6, 5]],
            "front": c[[2, 3, 7, 6]],
            "left": c[[3, 0, 4, 7]],
            "top": c[[4, 5, 6, 7]],
        }
        eye = np.array([0.0, elevation, 0.0])
        return {
            name: face
            for name, face in faces.items()
            if np.dot(np.cross(face[1] - face[0], face[3] - face[0]), eye - face[0]) < 0
        }
