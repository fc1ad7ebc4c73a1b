"""Predictions of a file that :func:`~mmseg.apis.export.export` has written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mmseg.apis.inference import Image, Prediction, scaled
from mmseg.errors import CheckpointError, ConfigError

METADATA = "mmseg_uda.json"
"""Name of the description of a network in its file."""


class ExportedSegmentor:
    """A network in a file, with the names and colours of its classes.

    Args:
        path: File ``.onnx`` or ``.pt2``.

    Attributes:
        classes: Names of the classes.
        palette: Their colours.
        pipeline: How images are scaled before.
        size: (height, width) of all images; None = any.

    Raises:
        CheckpointError: The file is missing, damaged, or not of this framework.
        ConfigError: onnxruntime is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise CheckpointError(f"{path}: no such file; expected one that 'mmseg-uda export' has written")
        self.session = session_of(self.path, self.path.suffix)
        if self.session.metadata is None:
            raise CheckpointError(
                f"{path}: holds no description of its classes ({METADATA}); expected a file that "
                "'mmseg-uda export' has written"
            )
        content: dict[str, Any] = json.loads(self.session.metadata)
        self.classes = tuple(content["classes"])
        self.palette = [tuple(colour) for colour in content["palette"]]
        self.pipeline: list[dict[str, Any]] = content["pipeline"]
        self.size = None if content["size"] is None else tuple(content["size"])

    def segment(self, img: Image, probabilities: bool = False) -> Prediction:
        """Segment an image of any size, which is scaled first; see :func:`~mmseg.apis.inference.segment`.

        Raises:
            DataError: It cannot be read.
            ConfigError: Probabilities of a file that gives none, or another size than the file takes.
        """
        pixels, size = scaled(self.pipeline, img)
        classes, found = self.predict(pixels, size)
        if probabilities and found is None:
            raise ConfigError(
                f"{self.path}: gives classes alone; export the network with --probabilities to have them"
            )
        return Prediction(classes, found if probabilities else None)

    def predict(self, image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        """Segment an image.

        Args:
            image: (h, w, 3) uint8 RGB, scaled as the pipeline says.
            size: (H, W) of the result. Probabilities are resized before the arg-max if the file gives them,
                otherwise the classes are, to the nearest pixel.

        Returns:
            Class ids (H, W), and probabilities (C, H, W) or None.

        Raises:
            ConfigError: The file takes images of another size.
        """
        if self.size is not None and image.shape[:2] != self.size:
            raise ConfigError(
                f"{self.path}: takes images of {self.size[1]}x{self.size[0]}, found one of "
                f"{image.shape[1]}x{image.shape[0]} after scaling; export the network with --size "
                f"{image.shape[0]} {image.shape[1]}"
            )
        classes, *rest = self.session(np.ascontiguousarray(image.transpose(2, 0, 1))[None])
        if rest:
            probabilities = F.interpolate(torch.from_numpy(rest[0]), size, mode="bilinear")[0]
            return probabilities.argmax(dim=0).to(torch.uint8).numpy(), probabilities.numpy()
        if classes.shape[1:] == tuple(size):
            return classes[0], None
        nearest = F.interpolate(torch.from_numpy(classes)[None], tuple(size), mode="nearest-exact")
        return nearest[0, 0].numpy(), None


class OnnxSession:
    """Runs a network with ONNX Runtime, on a GPU where it has one."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        providers = [p for p in onnxruntime.get_available_providers() if p.startswith(("CUDA", "CPU"))]
        self.session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        self.metadata: str | None = self.session.get_modelmeta().custom_metadata_map.get(METADATA)

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Images (B, 3, H, W) uint8 to the outputs of the network."""
        try:
            return self.session.run(None, {self.session.get_inputs()[0].name: images})
        except Exception as error:  # the runtime has no common error for it
            raise ConfigError(refusal(images, str(error).splitlines()[0])) from error


class ProgramSession:
    """Runs a program of ``torch.export`` on the CPU."""

    def __init__(self, path: Path) -> None:
        files = {METADATA: ""}
        with path.open("rb") as file:
            self.program = torch.export.load(file, extra_files=files).module()
        self.metadata: str | None = files[METADATA] or None

    @torch.no_grad()
    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Images (B, 3, H, W) uint8 to the outputs of the network."""
        try:
            outputs = self.program(torch.from_numpy(images))
        except AssertionError as error:  # sizes at which the network would take another way
            raise ConfigError(refusal(images, str(error))) from error
        return [x.numpy() for x in (outputs if isinstance(outputs, tuple) else (outputs,))]


def refusal(images: np.ndarray, reason: str) -> str:
    """Why a file does not take images (B, 3, H, W) of a size that the network itself does take."""
    height, width = images.shape[2:]
    return (
        f"the file does not hold for images of {width}x{height} ({reason}); export the network with "
        f"--size {height} {width}"
    )


def session_of(path: Path, suffix: str) -> OnnxSession | ProgramSession:
    """A function that runs the network of a file.

    Raises:
        CheckpointError: The file is damaged.
        ConfigError: onnxruntime is not installed.
    """
    try:
        if suffix == ".pt2":
            return ProgramSession(path)
        return OnnxSession(path)
    except ImportError as error:
        raise ConfigError(f"{path}: {error}; run: pip install 'mmseg-uda[export]'") from error
    except Exception as error:  # the runtimes have no common error for a damaged file
        raise CheckpointError(f"{path}: cannot be read: {error}; export the network again") from error
