"""A picture of the labels of a round."""

import cv2
import numpy as np
import numpy.typing as npt

from mmseg.datasets.transforms.loading import LoadImage
from mmseg.engine.prediction import Predictor
from mmseg.errors import DataError
from mmseg.labelling.label_folder import RoundLabels
from mmseg.labels import IGNORE_INDEX
from mmseg.visualization.grid import draw_comparison


def draw_labels(
    labels: RoundLabels, predictor: Predictor, number: int, previous: RoundLabels | None = None
) -> None:
    """Write ``pictures.png`` into the folder of a round: images, predictions, labels, and what is new.

    Args:
        labels: Of the round.
        predictor: That predicted them.
        number: How many images are drawn, spread over all of them; 0 draws nothing.
        previous: Labels of the round before; without, all are new.
    """
    dataset = predictor.dataset
    number = min(number, len(dataset))
    if not number:
        return
    load, images = LoadImage.of(dataset.transforms), []
    columns: dict[str, list] = {"prediction": [], "chosen labels": [], "added since the last round": []}
    indices = [len(dataset) * place // number for place in range(number)]
    for index in indices:
        sample = dataset.samples[index]
        images.append(load.read(sample.img_path))
        prediction = predictor(index).argmax(dim=0).byte().cpu().numpy()
        chosen = _label_of(labels, sample.name, prediction)
        added = chosen
        if previous is not None:
            kept = _label_of(previous, sample.name, prediction) != IGNORE_INDEX
            added = np.where(kept, np.uint8(IGNORE_INDEX), chosen)
        for column, label in zip(columns.values(), (prediction, chosen, added), strict=True):
            column.append(label)
    names = [dataset.samples[index].name for index in indices]
    path = labels.folder / "pictures.png"
    draw_comparison(images, columns, dataset.palette, path, names=names, classes=dataset.classes)


def _label_of(labels: RoundLabels, name: str, like: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(H, W) labels of an image; 255 everywhere where it has none, as hard images."""
    try:
        path = labels.label_path(name)
    except DataError:
        return np.full_like(like, IGNORE_INDEX)
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
