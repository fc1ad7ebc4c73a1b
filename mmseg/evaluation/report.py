"""Scores for people (a table) and for programs (JSON)."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mmseg.evaluation.metrics import SegmentationScores


def per_class_table(scores: SegmentationScores) -> Table:
    """What is reported of each class in percent; '-' for classes that do not occur."""
    table = Table("Class", box=box.MARKDOWN)
    columns = []
    for score in scores.reported_per_class:
        table.add_column(score, justify="right")
        columns.append(scores.per_class[score].tolist())
    for name, *values in zip(scores.classes, *columns, strict=True):
        table.add_row(name, *map(_percent, values))
    return table


def summary_table(scores: SegmentationScores) -> Table:
    """The means in percent, in one row."""
    summary = dict(scores.summary())
    table = Table(box=box.MARKDOWN)
    for name in summary:
        table.add_column(name, justify="right")
    table.add_row(*map(_percent, summary.values()))
    return table


def format_scores(scores: SegmentationScores) -> str:
    """Both tables as plain text."""
    return f"{_as_text(per_class_table(scores))}\n\n{_as_text(summary_table(scores))}"


def _as_text(table: Table) -> str:
    with io.StringIO() as text:
        Console(file=text, width=100, color_system=None, markup=False, emoji=False).print(table)
        return text.getvalue().strip()


def log_scores(scores: SegmentationScores) -> None:
    """Write both tables to the terminal and the log file of the run."""
    print_log("\n" + format_scores(scores), logger="current")


def write_scores(
    path: str | Path,
    scores: SegmentationScores,
    iteration: int | None = None,
    further: Mapping[str, float] | None = None,
) -> None:
    """Write all scores in percent with full precision as JSON.

    The file holds the iteration, the means and every score of every class (``IoU.road``, ``Dice.road``, …).
    Classes that occur neither in the labels nor in the predictions are null.

    Args:
        path: File to write.
        scores: Scores to write.
        iteration: Of the training, None after it.
        further: Scores of other metrics.
    """
    values = scores.percent(tuple(scores.per_class))
    means = {f"m{score}": 100 * scores.mean(score) for score in scores.per_class}
    write_json(path, {"iteration": iteration, **values, **means, **(further or {})})


def write_json(path: str | Path, content: Any) -> None:
    """Write values as indented JSON; NaN, which JSON does not have, becomes null."""
    Path(path).write_text(json.dumps(_without_nan(content), indent=2) + "\n", encoding="utf-8")


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _without_nan(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content


def write_confusion_matrix(path: str | Path, counts: Tensor, classes: Sequence[str]) -> None:
    """Write pixels by label (rows) and prediction (columns) as CSV with the names of the classes.

    Args:
        path: File to write.
        counts: Integers of shape (C, C + 1); the last column counts predictions that are no class. It is
            written as ``other`` when there are any.
        classes: Names of the C classes.
    """
    has_other = bool(counts[:, len(classes)].any())
    columns = [*classes, "other"] if has_other else list(classes)
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["label \\ prediction", *columns])
        for name, row in zip(classes, counts[:, : len(columns)].tolist(), strict=True):
            rows.writerow([name, *row])


def _percent(fraction: float) -> str:
    return "-" if math.isnan(fraction) else f"{100 * fraction:.2f}"
