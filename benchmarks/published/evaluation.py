"""Evaluation in the order and with the operations of the published code, one image after the other."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.published.hrda import PublishedHRDA
from benchmarks.published.segmentor import IGNORE, PublishedSegmentor, resize
from mmseg.models.layers.sliding_window import sliding_windows
from mmseg.models.segmentors import EncoderDecoder, HRDAEncoderDecoder


class PublishedEvaluation:
    """Predicts images and keeps all predictions and labels; counts them in the end.

    Args:
        model: The network in eval mode, with its ``test_cfg``.
    """

    def __init__(self, model: EncoderDecoder) -> None:
        self.model = model
        kind = PublishedHRDA if isinstance(model, HRDAEncoderDecoder) else PublishedSegmentor
        self.network = kind(model)
        self.predictions: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []

    def predict(self, img: Tensor, label: np.ndarray) -> np.ndarray:
        """Prediction (H, W) int64 at the size of the label, which is kept."""
        logits = self._slide(img) if self.model.test_cfg["mode"] == "slide" else self._whole(img)
        prediction = resize(logits, label.shape).softmax(dim=1).argmax(dim=1).cpu().numpy()[0]
        self.predictions.append(prediction)
        self.labels.append(label.astype(np.int64))
        return prediction

    def _whole(self, img: Tensor) -> Tensor:
        return self.network.encode_decode(img)

    def _slide(self, img: Tensor) -> Tensor:
        """Windows in one batch, each padded to the size of the image."""
        height, width = img.shape[2:]
        total = img.new_zeros((1, self.model.num_classes, height, width))
        count = img.new_zeros((1, 1, height, width))
        cfg = self.model.test_cfg
        windows = sliding_windows((height, width), cfg["crop_size"], cfg["stride"])
        predicted = self.network.encode_decode(torch.cat([window.of(img) for window in windows]))
        for window, logits in zip(windows, predicted.split(1), strict=True):
            margins = (window.left, width - window.right, window.top, height - window.bottom)
            total += F.pad(logits, margins)
            window.of(count).add_(1)
        return total / count

    def iou(self) -> np.ndarray:
        """Intersection over union of each class (C,); NaN where a class does not occur."""
        totals = [self.areas(index) for index in range(len(self.predictions))]
        intersection, predicted, labelled = np.sum(totals, axis=0)
        with np.errstate(invalid="ignore"):
            return intersection / (predicted + labelled - intersection)

    def areas(self, index: int) -> list[np.ndarray]:
        """Pixels of each class (C,) in the intersection, the prediction and the label of a kept image."""
        prediction, label = self.predictions[index], self.labels[index]
        counted = label != IGNORE
        prediction, label = prediction[counted], label[counted]
        edges = np.arange(self.model.num_classes + 1)
        maps = (prediction[prediction == label], prediction, label)
        return [np.histogram(values, bins=edges)[0].astype(np.float64) for values in maps]
