"""Writers of the folder layouts, file names and label formats of the real data sets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from cityscapesscripts.helpers.labels import labels, trainId2label
from PIL import Image

from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.datasets.conversion.cityscapes import TRAIN_IDS
from mmseg.datasets.conversion.synthia import ID_TO_TRAIN_ID as SYNTHIA_IDS
from mmseg.errors import DataError
from mmseg.toy.renderers import CARTOON, WATERCOLOUR, GameStyle
from mmseg.toy.scene import Scene

Picture = npt.NDArray[np.uint8]
TRAIN, VAL = "train", "val"
GENERATOR_VERSION = 2
"""Of all sets that say nothing of their own."""


@dataclass(frozen=True)
class ToySet:
    """A toy data set in the layout of a real one.

    Args:
        images: Path below the root of image ``index`` of a split, with {name} for its place.
        number: Position among all toy sets, part of the seed of its images.
        elevation: Range of the height of the camera in metres.
        style: How the game that renders it draws; None = the camera does.
        has_val: Whether it has a validation split.
        has_bonnet: Whether the own car is seen.
        conditions: Weather and light, image by image in turn.
        version: Of its images; to be raised whenever the same settings give others.
    """

    name: str
    number: int
    style: GameStyle | None = None
    has_val: bool = True
    has_bonnet: bool = False
    elevation: tuple[float, float] = (1.4, 1.8)
    conditions: tuple[str, ...] = ("clear",)
    version: int = GENERATOR_VERSION


SETS: dict[str, ToySet] = {
    toy_set.name: toy_set
    for toy_set in (
        ToySet("gta", 0, style=CARTOON, has_val=False),
        ToySet("synthia", 1, style=WATERCOLOUR, has_val=False, elevation=(1.6, 2.6), version=3),
        ToySet("cityscapes", 2, has_bonnet=True),
        ToySet("acdc", 3, conditions=("fog", "night", "rain", "snow")),
        ToySet("dark_zurich", 4, conditions=("night",)),
    )
}

CITIES = {TRAIN: ("aachen", "bochum", "bremen", "cologne"), VAL: ("frankfurt", "lindau", "munster")}
ACDC_DRIVES = {"fog": "GOPR0475", "night": "GOPR0351", "rain": "GP010400", "snow": "GOPR0122"}
DARK_ZURICH_DRIVES = {TRAIN: "GOPR0351", VAL: "GOPR0356"}
NOT_IN_SYNTHIA = ("terrain", "truck", "train")


def _palette() -> list[int]:
    """Colours of the Cityscapes ids, for palette PNGs."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    for label in labels:
        if label.id >= 0:
            palette[label.id] = label.color
    return palette.ravel().tolist()


def _synthia_ids() -> np.ndarray:
    """Ids of Synthia by those of Cityscapes, (256,)."""
    table = np.zeros(256, np.uint16)
    for raw, train_id in SYNTHIA_IDS.items():
        if CITYSCAPES_CLASSES[train_id] not in NOT_IN_SYNTHIA:
            table[trainId2label[train_id].id] = raw
    return table


_SYNTHIA_IDS = _synthia_ids()
_PALETTE = _palette()


def write_sample(root: Path, toy_set: ToySet, split: str, index: int, scene: Scene, picture: Picture) -> None:
    """Write image ``index`` of a split and its labels.

    Args:
        root: Root of the set.
        toy_set: The set.
        split: train or val.
        index: Position in the split, from 0.
        scene: Its labels.
        picture: RGB, (H, W, 3).
    """
    write = {
        "gta": _write_gta,
        "synthia": _write_synthia,
        "cityscapes": _write_cityscapes,
        "acdc": _write_acdc,
        "dark_zurich": _write_dark_zurich,
    }[toy_set.name]
    write(root, split, index, scene, picture)


def _write_gta(root: Path, split: str, index: int, scene: Scene, picture: Picture) -> None:
    """Palette PNGs of ids, which are those of Cityscapes (Richter et al., 2016)."""
    _write_png(root / "images" / f"{index + 1:05d}.png", picture)
    label = Image.fromarray(scene.label_ids())
    label.putpalette(_PALETTE)
    label.save(_parent(root / "labels" / f"{index + 1:05d}.png"))


def _write_synthia(root: Path, split: str, index: int, scene: Scene, picture: Picture) -> None:
    """16-bit RGB PNGs with the class in red and the instance in green (Ros et al., 2016)."""
    _write_png(root / "RGB" / f"{index:07d}.png", picture)
    classes = _SYNTHIA_IDS[scene.label_ids()]
    label = np.stack([classes, np.zeros_like(classes), np.zeros_like(classes)], axis=-1)
    _write_png(root / "GT" / "LABELS" / f"{index:07d}.png", label)


def _write_cityscapes(root: Path, split: str, index: int, scene: Scene, picture: Picture) -> None:
    """Polygons and ids as in gtFine (Cordts et al., 2016)."""
    city = CITIES[split][index % len(CITIES[split])]
    stem = f"{split}/{city}/{city}_{index:06d}_000019"
    _write_png(root / "leftImg8bit" / f"{stem}_leftImg8bit.png", picture)
    _write_png(root / "gtFine" / f"{stem}_gtFine_labelIds.png", scene.label_ids())
    objects = [{"label": part.label, "polygon": part.polygon.tolist()} for part in scene.outlines()]
    size = {"imgHeight": scene.camera.height, "imgWidth": scene.camera.width}
    text = json.dumps({**size, "objects": objects})
    _parent(root / "gtFine" / f"{stem}_gtFine_polygons.json").write_text(text, encoding="utf-8")


def _write_acdc(root: Path, split: str, index: int, scene: Scene, picture: Picture) -> None:
    """The layout without folders per condition (Sakaridis et al., 2021)."""
    conditions = SETS["acdc"].conditions
    drive = ACDC_DRIVES[conditions[index % len(conditions)]]
    stem = f"{split}/{drive}/{drive}_frame_{index + 1:06d}"
    _write_png(root / "rgb_anon" / f"{stem}_rgb_anon.png", picture)
    _write_png(root / "gt" / f"{stem}_gt_labelTrainIds.png", TRAIN_IDS[scene.label_ids()])


def _write_dark_zurich(root: Path, split: str, index: int, scene: Scene, picture: Picture) -> None:
    """Night images, of which only the validation split has labels (Sakaridis et al., 2019)."""
    drive = DARK_ZURICH_DRIVES[split]
    stem = f"{split}/night/{drive}/{drive}_frame_{index + 1:06d}"
    _write_png(root / "rgb_anon" / f"{stem}_rgb_anon.png", picture)
    if split == VAL:
        _write_png(root / "gt" / f"{stem}_gt_labelTrainIds.png", TRAIN_IDS[scene.label_ids()])


def _write_png(path: Path, image: np.ndarray) -> None:
    """Write (H, W) or RGB (H, W, 3)."""
    if not cv2.imwrite(str(_parent(path)), image[..., ::-1] if image.ndim == 3 else image):
        raise DataError(f"{path}: cannot be written; check the free space and the rights of its folder")


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
