"""A confusion matrix as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt


def draw_confusion_matrix(counts: npt.NDArray[np.int64], classes: Sequence[str], path: Path) -> None:
    """Write a heat map: of the pixels of each class (row), the percentage predicted as each class (column).

    Rows of classes without pixels stay empty.

    Args:
        counts: Pixels by label (rows) and prediction, shape (C, C) or (C, C + 1) with a last column of
            predictions that are no class; they count, but are not shown.
        classes: Names of the C classes.
        path: PNG file to write.
    """
    from matplotlib.figure import Figure  # slow to import, and training needs none

    number = len(classes)
    share = row_percentages(counts)[:, :number]
    figure = Figure(figsize=(2.5 + 0.45 * number, 1.5 + 0.45 * number), layout="constrained")
    axes = figure.add_subplot()
    picture = axes.imshow(np.ma.masked_invalid(share), cmap="viridis", vmin=0, vmax=100)
    axes.set_xticks(range(number), list(classes), rotation=90)
    axes.set_yticks(range(number), list(classes))
    axes.set_xlabel("prediction")
    axes.set_ylabel("label")
    figure.colorbar(picture, ax=axes, label="% of the label's pixels", shrink=0.8)
    for row, column in np.argwhere(share >= 0.5):
        value = share[row, column]
        colour = "black" if value > 60 else "white"
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=7, color=colour)
    figure.savefig(path, dpi=120)


def row_percentages(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Each row in percent of its sum; NaN where the sum is 0."""
    total = counts.sum(axis=1, keepdims=True).astype(np.float64)
    return 100 * np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
