"""The confusion matrix: all that is kept of the predictions of a data set."""

import torch
from torch import Tensor

from mmseg.labels import IGNORE_INDEX


def count_confusion(pred: Tensor, gt: Tensor, num_classes: int) -> Tensor:
    """Count the pixels of an image by label and prediction, without waiting for the device.

    Pixels that do not count get rows of their own instead of being selected away, which would need their
    number on the host.

    Args:
        pred: Predicted classes, integers of any shape.
        gt: Labels of the same shape on the same device.
        num_classes: Number of classes C.

    Returns:
        int64 of shape (C + 2, C + 1). Rows are the labels 0 … C-1, then ignored pixels, then labels that do
        not exist. Columns are the predictions 0 … C-1, then anything else.
    """
    column = pred.flatten().int()
    column = column.masked_fill((column < 0) | (column >= num_classes), num_classes)
    label = gt.flatten().int()
    row = label.masked_fill((label < 0) | (label >= num_classes), num_classes + 1)
    row = row.masked_fill_(label == IGNORE_INDEX, num_classes)
    index = row.mul_(num_classes + 1).add_(column)
    return _count(index, (num_classes + 2) * (num_classes + 1)).view(num_classes + 2, num_classes + 1)


def _count(index: Tensor, number: int) -> Tensor:
    """How often each of 0 … number - 1 occurs, int64, without waiting for the device."""
    if index.device.type == "cpu":
        return torch.bincount(index, minlength=number)
    # torch.bincount reads its largest input on the host; adding ones does not. Integers add up exactly.
    index = index.long()
    return torch.zeros(number, dtype=torch.int64, device=index.device).scatter_add_(
        0, index, torch.ones_like(index)
    )
