"""A street scene as a list of painted polygons: the one source of labels, polygon files and pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cityscapesscripts.helpers.labels import name2label
from PIL import Image, ImageDraw

from mmseg.toy.geometry import Array, Camera, Prism, clip_to_image, convex_hull, inverse_depth, patch

FACE_SHADES = {"rear": 0.92, "front": 0.92, "left": 0.78, "right": 1.08, "top": 1.15}
"""Light on the faces of a prism: the sun stands to the right."""


@dataclass(frozen=True)
class Part:
    """A polygon of the scene.

    Args:
        label: Class name of Cityscapes.
        polygon: Corners (N, 2) as integer (column, row).
        material: What it is made of; a renderer knows its colour and texture.
        variant: Number in [0, 1) that chooses among the colours of the material, the same for an instance.
        shade: Factor on the brightness.
        inverse_depth: Coefficients (3,) of 1 / z over (column, row, 1), in 1 / metres.
        is_detail: Painted on the part before it, with no outline in the labels.
    """

    label: str
    polygon: npt.NDArray[np.int32]
    material: str
    variant: float
    shade: float
    inverse_depth: Array
    is_detail: bool


class Scene:
    """Polygons seen by a camera, in painting order: what comes later covers what came before.

    Args:
        camera: The camera, whose image they are clipped to.
    """

    def __init__(self, camera: Camera):
        self.camera = camera
        self.parts: list[Part] = []

    def add(
        self,
        label: str,
        points: Array,
        material: str,
        variant: float = 0.0,
        shade: float = 1.0,
        is_detail: bool = False,
    ) -> None:
        """Add a flat polygon, given by world points (N, 3)."""
        pixels = self.camera.project(points)
        self._append(label, pixels, material, variant, shade, inverse_depth(pixels, points[:, 2]), is_detail)

    def add_image_polygon(self, label: str, pixels: Array, material: str, inverse_distance: float) -> None:
        """Add a polygon given by image points (N, 2), at one distance (1 / metres; 0 is infinitely far)."""
        plane = np.array([0.0, 0.0, inverse_distance])
        self._append(label, pixels, material, 0.0, 1.0, plane, is_detail=False)

    def add_patches(
        self,
        label: str,
        face: Array,
        rectangles: Array,
        material: str,
        variant: float = 0.0,
        shade: float = 1.0,
    ) -> None:
        """Add rectangles, fractions (N, 4) of a face (4, 3), as details; see :func:`patch`."""
        face_pixels = self.camera.project(face)
        plane = inverse_depth(face_pixels, face[:, 2])
        for pixels in self.camera.project(patch(face, rectangles)):
            self._append(label, pixels, material, variant, shade, plane, is_detail=True)

    def add_prism(
        self, label: str, prism: Prism, material: str, variant: float = 0.0, shade: float = 1.0
    ) -> dict[str, Array]:
        """Add the outline of a prism and its faces.

        Returns:
            The visible faces by name, (4, 3) each, to put details on.
        """
        hull = convex_hull(self.camera.project(prism.corners))
        self.add(label, prism.corners[hull], material, variant, shade)
        faces = prism.visible_faces(self.camera.elevation)
        for name, face in faces.items():
            self.add(label, face, material, variant, shade * FACE_SHADES[name], is_detail=True)
        return faces

    def _append(
        self,
        label: str,
        pixels: Array,
        material: str,
        variant: float,
        shade: float,
        plane: Array,
        is_detail: bool,
    ) -> None:
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        size = np.array([self.camera.width, self.camera.height])
        if (high < 0).any() or (low >= size).any() or (is_detail and (high - low).min() < 0.6):
            return
        polygon = clip_to_image(pixels, self.camera.width, self.camera.height)
        if len(polygon) >= 3:
            corners = np.rint(polygon).astype(np.int32)
            self.parts.append(Part(label, corners, material, variant, shade, plane, is_detail))

    def outlines(self) -> list[Part]:
        """The parts that carry labels, in painting order."""
        return [part for part in self.parts if not part.is_detail]

    def label_ids(self) -> npt.NDArray[np.uint8]:
        """Ids of Cityscapes, (H, W), drawn as cityscapesscripts draws polygon files."""
        image = Image.new("L", (self.camera.width, self.camera.height), name2label["unlabeled"].id)
        draw = ImageDraw.Draw(image)
        for part in self.outlines():
            draw.polygon(part.polygon.ravel().tolist(), fill=name2label[part.label].id)
        return np.array(image)

    def surfaces(self) -> npt.NDArray[np.int32]:
        """Index of the part that each pixel shows, (H, W)."""
        image = Image.new("I", (self.camera.width, self.camera.height), 0)
        draw = ImageDraw.Draw(image)
        for index, part in enumerate(self.parts):
            draw.polygon(part.polygon.ravel().tolist(), fill=index)
        return np.array(image, dtype=np.int32)
