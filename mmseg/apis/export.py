"""Networks as files that run without this framework: ONNX, and PyTorch's own format."""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmseg.apis.exported import METADATA, OnnxSession, ProgramSession, session_of
from mmseg.apis.inference import Image, scaled, test_pipeline
from mmseg.checkpoints.atomic import replacing
from mmseg.errors import CheckpointError, ConfigError
from mmseg.models.segmentors import HRDAEncoderDecoder
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder
from mmseg.version import __version__

FORMATS = (".onnx", ".pt2")
"""Suffixes of the files: ONNX, and a program of ``torch.export``."""
LARGEST_SHARE = 1e-4
"""Of the pixels that a file may predict otherwise than the network: where two classes are equal but for
rounding, runtimes disagree."""
EXAMPLE = (2, 3, 128, 192)
"""Shape of what a network of any size is traced with. No two of the numbers are equal, so none stands for
another."""
CHECKED_SIZES = ((64, 96), (135, 211), (256, 160))


@dataclass(frozen=True)
class Parity:
    """How the predictions of a file compare with those of the network it was made of.

    Attributes:
        images: How many were compared.
        pixels: Of all of them.
        differing: Pixels of another class.
        noise: The images were random numbers, not photographs.
    """

    images: int
    pixels: int
    differing: int
    noise: bool

    def __str__(self) -> str:
        kind = "random images" if self.noise else "images"
        return f"{self.differing} of {self.pixels:,} pixels differ on {self.images} {kind}"


class ExportedNetwork(nn.Module):
    """What is in the file: a network with its normalisation before and the arg-max behind it.

    Args:
        segmentor: The network, which predicts as its ``test_cfg`` says.
        probabilities: Give the class probabilities as well.
    """

    def __init__(self, segmentor: EncoderDecoder, probabilities: bool = False) -> None:
        super().__init__()
        self.segmentor = segmentor
        self.probabilities = probabilities

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Classes (B, H, W), uint8 up to 256 classes, and probabilities (B, C, H, W) of RGB images
        (B, 3, H, W) uint8."""
        logits = self.segmentor.predict(self.segmentor.data_preprocessor.normalize(image))
        classes = logits.argmax(dim=1)
        if self.segmentor.num_classes <= 256:
            classes = classes.to(torch.uint8)
        return (classes, logits.softmax(dim=1)) if self.probabilities else classes


def export(
    model: EncoderDecoder,
    path: str | Path,
    size: Sequence[int] | None = None,
    probabilities: bool = False,
    images: Sequence[Image] = (),
) -> Parity:
    """Write a network to a file that takes images of uint8 and gives class ids.

    The file takes any number of images of any size; a network that slides windows over the image, as HRDA
    does, gets one size. It knows the names and colours of its classes and how images are scaled before.
    It is compared with the network before it gets its name: no file is left that predicts otherwise.

    Args:
        model: Made by :func:`init_segmentor`.
        path: Of the file, ``.onnx`` or ``.pt2``; one that exists is replaced.
        size: (height, width) of all images; None = any.
        probabilities: Give the probability of every class, too.
        images: Files or arrays to compare the predictions on; without, random numbers.

    Returns:
        How the predictions compare.

    Raises:
        ConfigError: The suffix is none of these, a package is missing, or the network needs a size.
        DataError: An image cannot be read.
        CheckpointError: The file predicts otherwise than the network.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path}: expected a name that ends with {' or '.join(FORMATS)}")
    if path.suffix == ".onnx":
        require_onnx()
    slides = model.test_cfg["mode"] == "slide" or isinstance(model, HRDAEncoderDecoder)
    if slides and size is None:
        raise ConfigError(
            f"{path}: the network slides windows over the image, whose number is fixed in a file; name the "
            "size of all images with --size HEIGHT WIDTH"
        )
    network = ExportedNetwork(model, probabilities).cpu().eval()
    samples = _samples(model, size, images)
    with replacing(path) as temporary:
        _write(network, temporary, path.suffix, size, json.dumps(description(model, size)))
        parity = _compared(network, session_of(temporary, path.suffix), samples, noise=not images)
        if parity.differing > LARGEST_SHARE * parity.pixels:
            raise CheckpointError(
                f"{path}: the file predicts otherwise than the network, {parity}; expected none. It was not "
                "written; try another version of torch or onnxruntime"
            )
    return parity


def require_onnx() -> None:
    """Check that what ONNX needs is installed.

    Raises:
        ConfigError: A package is missing.
    """
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if not importlib.util.find_spec(name)]
    if missing:
        raise ConfigError(f"ONNX needs {', '.join(missing)}; run: pip install 'mmseg-uda[export]'")


def description(model: EncoderDecoder, size: Sequence[int] | None) -> dict[str, Any]:
    """What stands in the file beside the network, as JSON can hold it."""
    return {
        "framework": f"mmseg-uda {__version__}",
        "input": "RGB images (B, 3, H, W) uint8, scaled as the pipeline says",
        "size": None if size is None else list(size),
        "classes": list(model.classes),
        "palette": [list(colour) for colour in model.palette],
        "pipeline": [
            dict(step) for step in test_pipeline(model.cfg) if step["type"] in ("LoadImage", "Resize")
        ],
    }


def _samples(model: EncoderDecoder, size: Sequence[int] | None, images: Sequence[Image]) -> list[Tensor]:
    """Batches of one image, (1, 3, H, W) uint8, as they are tested."""
    if not images:
        generator = torch.Generator().manual_seed(0)
        sizes = CHECKED_SIZES if size is None else (size,)
        return [torch.randint(0, 256, (1, 3, *each), generator=generator).to(torch.uint8) for each in sizes]
    pipeline, samples = test_pipeline(model.cfg), []
    for image in images:
        pixels, _ = scaled(pipeline, image)
        if size is not None and pixels.shape[:2] != tuple(size):
            height, width = pixels.shape[:2]
            name = "an image" if isinstance(image, np.ndarray) else image
            raise ConfigError(
                f"{name}: is tested at --size {height} {width}, not at {size[0]} {size[1]}; name that size, "
                "or another image to compare with"
            )
        samples.append(torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous())
    return samples


def _write(
    network: ExportedNetwork, path: Path, suffix: str, size: Sequence[int] | None, metadata: str
) -> None:
    free = torch.export.Dim.AUTO
    example = torch.zeros(EXAMPLE if size is None else (EXAMPLE[0], 3, *size), dtype=torch.uint8)
    dynamic = {0: free, 2: free, 3: free} if size is None else {0: free}
    with _quiet():
        program = torch.export.export(network, (example,), dynamic_shapes=(dynamic,), strict=False)
        if suffix == ".pt2":
            with path.open("wb") as file:
                torch.export.save(program, file, extra_files={METADATA: metadata})
            return
        names = ["classes", "probabilities"] if network.probabilities else ["classes"]
        onnx = torch.onnx.export(
            program,
            (),
            dynamo=True,
            input_names=["image"],
            output_names=names,
            external_data=False,
            verbose=False,
        )
        assert onnx is not None  # it is, with dynamo
        onnx.model.metadata_props[METADATA] = metadata
        onnx.save(str(path), external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the notes of the exporter on its own inner work."""
    logger = logging.getLogger("onnxscript")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@torch.no_grad()
def _compared(
    network: ExportedNetwork, session: OnnxSession | ProgramSession, samples: Sequence[Tensor], noise: bool
) -> Parity:
    differing = pixels = 0
    for sample in samples:
        expected = network(sample)
        classes = (expected[0] if isinstance(expected, tuple) else expected).numpy()
        found = session(sample.numpy())[0]
        if found.shape != classes.shape:
            raise CheckpointError(
                f"the file gives classes of shape {found.shape}, the network {classes.shape}; it was not "
                "written"
            )
        differing += int((found != classes).sum())
        pixels += classes.size
    return Parity(len(samples), pixels, differing, noise)
