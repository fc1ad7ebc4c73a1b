"""Pictures for the trackers of a run: TensorBoard, Weights & Biases, MLflow."""

from pathlib import Path

import numpy as np
from mmengine.visualization import LocalVisBackend, Visualizer
from PIL import Image


def show_picture(visualizer: Visualizer, name: str, path: Path, step: int) -> None:
    """Send a picture that lies in the run's folder to every tracker; the folder itself needs no copy.

    Args:
        visualizer: Of the run.
        name: Of the picture there.
        path: Its file.
        step: Iteration that it belongs to.
    """
    backends = [each for each in visualizer._vis_backends.values() if not isinstance(each, LocalVisBackend)]
    if backends:
        pixels = np.array(Image.open(path).convert("RGB"))
        for backend in backends:
            backend.add_image(name, pixels, step)
