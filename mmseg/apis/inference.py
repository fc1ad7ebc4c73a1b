"""Predictions on one's own images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from torch import Tensor

from mmseg import datasets, models  # noqa: F401  (fill the registries)
from mmseg.checkpoints.weights import dataset_meta, load_checkpoint
from mmseg.config.load import load_config, require_model
from mmseg.datasets.classes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.datasets.loaders import data_of
from mmseg.datasets.several_test_sets import test_sets_of
from mmseg.datasets.transforms.loading import LoadImage
from mmseg.errors import ConfigError, DataError
from mmseg.models.layers.sliding_window import sliding_windows
from mmseg.models.normalization import without_pretrained
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder
from mmseg.models.segmentors.test_time_augmentation import MIN_SIDE
from mmseg.registry import MODELS, TRANSFORMS

Image = str | Path | np.ndarray


def init_segmentor(
    config: str | Path | Config, checkpoint: str | Path | None = None, device: str | None = None
) -> EncoderDecoder:
    """Build the network of a config and load weights for inference.

    Args:
        config: A config file or a loaded config; of a UDA config the student is built. Or a folder that
            holds a network (see :func:`~mmseg.apis.from_pretrained`).
        checkpoint: Weights; None leaves them random.
        device: ``'cpu'``, ``'cuda:0'``…; None takes a GPU when there is one.

    Returns:
        The segmentor in eval mode, with ``cfg``, ``classes`` and ``palette`` attached.

    Raises:
        ConfigError, CheckpointError: Config or weights are missing or do not fit together.
    """
    cfg = config if isinstance(config, Config) else load_config(config)
    require_model(cfg)
    model = MODELS.build(without_pretrained(cfg))
    model.classes, model.palette = CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
    if checkpoint is not None:
        meta = dataset_meta(load_checkpoint(model, checkpoint).get("meta") or {})
        model.classes = tuple(meta.get("classes", model.classes))
        model.palette = [tuple(color) for color in meta.get("palette", model.palette)]
    model.cfg = cfg
    try:
        return model.to(device or get_device()).eval()
    except (AssertionError, RuntimeError) as error:
        raise ConfigError(f"device {device!r} cannot be used: {error}; expected 'cpu' or 'cuda:N'") from error


def inference_segmentor(model: EncoderDecoder, imgs: Image | Sequence[Image]) -> list[np.ndarray]:
    """Segment images of any size, one after the other.

    Args:
        model: Made by :func:`init_segmentor`.
        imgs: One or more files, or (H, W, 3) uint8 BGR arrays as OpenCV reads them.

    Returns:
        For each image its (H, W) uint8 map of train ids at the original size.

    Raises:
        DataError: A file is missing or is not an image, an array is none of these, or an image is too thin.
    """
    return [
        segment(model, img).classes for img in ([imgs] if isinstance(imgs, str | Path | np.ndarray) else imgs)
    ]


@dataclass(frozen=True)
class Prediction:
    """What a network says of an image.

    Attributes:
        classes: (H, W) uint8 train ids.
        probabilities: (C, H, W) float32, or None where they were not asked for or are not known.
    """

    classes: np.ndarray
    probabilities: np.ndarray | None = None


@torch.inference_mode()
def segment(
    model: EncoderDecoder,
    img: Image,
    probabilities: bool = False,
    tile: tuple[int, int] | None = None,
) -> Prediction:
    """Segment an image of any size.

    Args:
        model: Made by :func:`init_segmentor`.
        img: A file, or an (H, W, 3) uint8 BGR array as OpenCV reads them.
        probabilities: Give the probability of every class, too: 4 · C bytes for each pixel.
        tile: (height, width) of the parts that a huge image is predicted in, at its own resolution. Parts
            overlap by a quarter, which is split in the middle: no logits of the whole image are kept.

    Raises:
        DataError: A file is missing or is not an image, an array is none of these, or an image is too thin.
        ConfigError: ``tile`` with ``probabilities``, or one that is too small.
    """
    pipeline = test_pipeline(model.cfg)
    if tile is None:
        image, size = prepared(model, pipeline, img)
        logits = model.predict(image, size=size)[0]
        scores = logits.softmax(dim=0).cpu().numpy() if probabilities else None
        return Prediction(logits.argmax(0).byte().cpu().numpy(), scores)
    if probabilities or min(tile) < MIN_SIDE:
        raise ConfigError(
            f"tile {tuple(tile)} with probabilities={probabilities}: expected at least {MIN_SIDE} on each "
            "side, and classes alone, since probabilities of a huge image fill the memory"
        )
    unscaled = [step for step in pipeline if step["type"] != "Resize"]
    rgb, _ = scaled(unscaled, img)
    return Prediction(_in_tiles(model, rgb, tile))


def _in_tiles(model: EncoderDecoder, rgb: np.ndarray, tile: tuple[int, int]) -> np.ndarray:
    """Classes (H, W) of an image (H, W, 3), a part at a time."""
    size = rgb.shape[:2]
    classes = np.empty(size, np.uint8)
    stride = [max(1, length * 3 // 4) for length in tile]
    for window in sliding_windows(size, tile, stride):
        pixels = np.ascontiguousarray(rgb[window.top : window.bottom, window.left : window.right])
        image = model.data_preprocessor({"img": torch.from_numpy(pixels).permute(2, 0, 1)[None]})["img"]
        predicted = model.predict(image)[0].argmax(0).byte().cpu().numpy()
        # windows come row by row: what one shares with those before it is split in the middle
        top = window.top and window.top + (tile[0] - stride[0]) // 2
        left = window.left and window.left + (tile[1] - stride[1]) // 2
        classes[top : window.bottom, left : window.right] = predicted[
            top - window.top :, left - window.left :
        ]
    return classes


def prepared(model: EncoderDecoder, pipeline: Sequence[dict], img: Image) -> tuple[Tensor, tuple[int, int]]:
    """An image as a network takes it, (1, 3, h, w) normalised on its device, and its (height, width) before.

    Raises:
        DataError: The file is missing or is not an image, or the image is too thin.
    """
    resized, size = scaled(pipeline, img)
    batch = model.data_preprocessor({"img": torch.from_numpy(resized).permute(2, 0, 1)[None]})
    return batch["img"], size


def scaled(pipeline: Sequence[dict], img: Image) -> tuple[np.ndarray, tuple[int, int]]:
    """An image at the size it is tested with, (h, w, 3) uint8 RGB, and its (height, width) before.

    Raises:
        DataError: The file is missing or is not an image, or the image is too thin.
    """
    rgb = LoadImage.of(pipeline).read(str(img)) if isinstance(img, str | Path) else _checked(img)[..., ::-1]
    height, width = rgb.shape[:2]
    results = {"img": np.ascontiguousarray(rgb)}
    for transform in pipeline:
        if transform["type"] == "Resize":
            results = TRANSFORMS.build(transform)(results)
    resized = results["img"]
    if min(resized.shape[:2]) < MIN_SIDE:
        name, shape = "image array" if isinstance(img, np.ndarray) else img, resized.shape
        raise DataError(
            f"{name}: {width}x{height} pixels are scaled to {shape[1]}x{shape[0]}, expected at least "
            f"{MIN_SIDE} on each side; crop the image or raise the scale of Resize in the test pipeline"
        )
    return resized, (height, width)


def _checked(img: np.ndarray) -> np.ndarray:
    """An array that is an image.

    Raises:
        DataError: It is none.
    """
    if not isinstance(img, np.ndarray):
        raise DataError(
            f"image of type {type(img).__name__}; expected a path or an array (H, W, 3) of uint8, BGR"
        )
    if img.dtype != np.uint8 or img.ndim != 3 or img.shape[2] != 3 or not img.size:
        raise DataError(
            f"image array: {img.dtype} of shape {img.shape}, expected uint8 of shape (H, W, 3), BGR; convert "
            "it, or give the path of the file, which is read as LoadImage of the test pipeline says"
        )
    return img


def test_pipeline(cfg: Config) -> list[dict]:
    """How a config reads and scales images that it is tested with, or else validated.

    Raises:
        ConfigError: It has neither data set.
    """
    for loader in ("test_dataloader", "val_dataloader"):
        if dataset := data_of(cfg, loader):
            return next(iter(test_sets_of(dataset).values())).get("pipeline") or []
    raise ConfigError(
        f"{cfg.filename}: has no test_dataloader with a data set, whose pipeline says how images are scaled; "
        "expected e.g. test_dataloader=dict(dataset=dict(type='CustomDataset', pipeline=[dict(type="
        "'LoadImage'), dict(type='Resize', scale=(1280, 720)), dict(type='PackInputs')]))"
    )
