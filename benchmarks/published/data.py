"""The training data pipeline with the operations of the published code.

Everything is decoded by OpenCV and Pillow, again for every crop that rare class sampling tries; the picture
is normalised on the host, labels travel as int64. What is drawn, and in which order, is as in ours.
"""

from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from PIL import Image

from benchmarks.stopwatch import Stopwatch
from mmseg.datasets import SegmentationDataset, UDADataset
from mmseg.datasets.transforms import Pad, RandomCrop, RandomFlip, Resize
from mmseg.datasets.transforms.geometry import draw_crop

MEAN = np.array([123.675, 116.28, 103.53])
STD = np.array([58.395, 57.12, 57.375])
REDRAWS = 10


class PublishedPipeline:
    """One data set.

    Args:
        dataset: Ours, for its files and the arguments of its transforms.
        watch: Times the parts.
    """

    def __init__(self, dataset: SegmentationDataset, watch: Stopwatch) -> None:
        self.dataset = dataset
        self.watch = watch
        steps: dict[type, Any] = {type(step): step for step in dataset.transforms}
        self.resize, self.crop = steps[Resize], steps[RandomCrop]
        self.flip, self.pad = steps[RandomFlip], steps[Pad]

    def get(self, index: int, rng: np.random.RandomState) -> dict[str, Any]:
        """Tensors of a sample: ``img`` (3, H, W) float32 normalised, ``gt_semantic_seg`` (H, W) int64."""
        sample = self.dataset.samples[index]
        pixels = {"img": self._read_picture(sample.img_path)}
        if sample.seg_map_path is not None:
            pixels["label"] = self._read_label(sample.seg_map_path)
        with self.watch.phase("resize"):
            for key, interpolation in (("img", "bilinear"), ("label", "nearest")):
                if key in pixels:
                    pixels[key] = mmcv.imrescale(pixels[key], self.resize.scale, interpolation=interpolation)
        with self.watch.phase("crop"):
            rows, columns = self._draw_box(pixels, rng)
            pixels = {key: array[rows, columns] for key, array in pixels.items()}
        with self.watch.phase("flip"):
            if rng.rand() < self.flip.prob:
                pixels = {key: np.flip(array, axis=1).copy() for key, array in pixels.items()}
        return self._format(pixels)

    def _read_picture(self, path: str) -> np.ndarray:
        with self.watch.phase("decode picture"):
            content = np.frombuffer(Path(path).read_bytes(), np.uint8)
            picture = cv2.imdecode(content, cv2.IMREAD_COLOR)
        assert picture is not None, path
        return picture

    def _read_label(self, path: str) -> np.ndarray:
        with self.watch.phase("decode label"), Image.open(path) as file:
            return np.array(file).astype(np.uint8)

    def _draw_box(self, pixels: dict[str, np.ndarray], rng: np.random.RandomState) -> tuple[slice, slice]:
        size, ratio = pixels["img"].shape[:2], self.crop.cat_max_ratio
        box = draw_crop(size, self.crop.crop_size, rng)
        if ratio < 1 and "label" in pixels:
            for _ in range(REDRAWS):
                labels, counts = np.unique(pixels["label"][box], return_counts=True)
                counts = counts[labels != 255]
                if len(counts) > 1 and np.max(counts) / np.sum(counts) < ratio:
                    break
                box = draw_crop(size, self.crop.crop_size, rng)
        return box

    def _format(self, pixels: dict[str, np.ndarray]) -> dict[str, Any]:
        with self.watch.phase("normalise"):
            image = pixels["img"].copy().astype(np.float32)
            cv2.cvtColor(image, cv2.COLOR_BGR2RGB, image)
            cv2.subtract(image, MEAN.reshape(1, -1), image)
            cv2.multiply(image, 1 / STD.reshape(1, -1), image)
        with self.watch.phase("pad, to tensors"):
            image = mmcv.impad(image, shape=self.pad.size, pad_val=0)
            formatted = {"img": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))}
            if "label" in pixels:
                label = mmcv.impad(pixels["label"], shape=self.pad.size, pad_val=255)
                formatted["gt_semantic_seg"] = torch.from_numpy(label.astype(np.int64))
        return formatted


class PublishedPairs:
    """Source and target; with rare class sampling the source is loaded anew for every crop that is tried.

    Args:
        dataset: Ours.
        watch: Times the parts.
    """

    def __init__(self, dataset: UDADataset, watch: Stopwatch) -> None:
        self.rcs = dataset.rcs
        self.source = PublishedPipeline(dataset.source, watch)
        self.target = PublishedPipeline(dataset.target, watch)

    def draw(self, rng: np.random.RandomState) -> dict[str, Any]:
        """Tensors of a pair."""
        source = self._draw_source(rng)
        target = self.target.get(int(rng.choice(len(self.target.dataset))), rng)
        return {**source, "target_img": target["img"]}

    def _draw_source(self, rng: np.random.RandomState) -> dict[str, Any]:
        if self.rcs is None:
            return self.source.get(int(rng.choice(len(self.source.dataset))), rng)
        drawn, index = self.rcs.draw(rng)
        sample = self.source.get(index, rng)
        for _ in range(REDRAWS):
            if torch.sum(sample["gt_semantic_seg"] == drawn) > self.rcs.min_crop_pixels:
                break
            sample = self.source.get(index, rng)
        return sample
