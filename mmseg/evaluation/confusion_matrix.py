"""The confusion matrix: all that is kept of the predictions of a data set."""

import torch
from torch import Tensor


class ConfusionMatrix:
    """Pixels counted by label and prediction, on the device of the predictions.

    Memory does not depend on the number of images, and no update waits for the device: pixels that do not
    count get rows of their own instead of being selected away, which would need their number on the host.

    Args:
        num_classes: Number of classes C.
        ignore_index: Label of pixels that do not count.

    Attributes:
        counts: int64, shape (C + 2, C + 1). Rows are the labels 0 … C-1, then ignored pixels, then labels
            that do not exist. Columns are the predictions 0 … C-1, then anything else.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.counts = torch.zeros(num_classes + 2, num_classes + 1, dtype=torch.int64)

    def update(self, pred: Tensor, gt: Tensor) -> Tensor:
        """Add one image.

        Args:
            pred: Predicted classes, integers of any shape.
            gt: Labels of the same shape, on any device.

        Returns:
            The counts of this image alone, shape (C + 2, C + 1).

        Raises:
            ValueError: The shapes differ.
        """
        if pred.shape != gt.shape:
            raise ValueError(
                f"prediction of shape {tuple(pred.shape)} for a label of shape {tuple(gt.shape)}"
            )
        classes = self.num_classes
        column = pred.flatten().int()
        column = column.masked_fill((column < 0) | (column >= classes), classes)
        label = gt.to(pred.device, non_blocking=True).flatten().int()
        row = label.masked_fill((label < 0) | (label >= classes), classes + 1)
        row = row.masked_fill_(label == self.ignore_index, classes)
        index = row.mul_(classes + 1).add_(column)
        image = _count(index, self.counts.numel()).view_as(self.counts)
        self.counts = self.counts.to(pred.device, non_blocking=True) + image
        return image


def _count(index: Tensor, number: int) -> Tensor:
    """How often each of 0 … number - 1 occurs, int64, without waiting for the device."""
    if index.device.type == "cpu":
        return torch.bincount(index, minlength=number)
    # torch.bincount reads its largest input on the host; adding ones does not. Integers add up exactly.
    index = index.long()
    return torch.zeros(number, dtype=torch.int64, device=index.device).scatter_add_(
        0, index, torch.ones_like(index)
    )
