"""Scores for people (a table) and for programs (JSON)."""

import io
import json
import math
from pathlib import Path

from mmengine.logging import print_log
from rich import box
from rich.console import Console
from rich.table import Table

from mmseg.evaluation.metrics import SegmentationScores


def per_class_table(scores: SegmentationScores) -> Table:
    """IoU and accuracy of each class in percent; '-' for classes that do not occur."""
    table = Table("Class", box=box.MARKDOWN)
    table.add_column("IoU", justify="right")
    table.add_column("Acc", justify="right")
    rows = zip(
        scores.classes, scores.per_class["IoU"].tolist(), scores.per_class["Acc"].tolist(), strict=True
    )
    for name, iou, accuracy in rows:
        table.add_row(name, _percent(iou), _percent(accuracy))
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


def write_scores(path: str | Path, scores: SegmentationScores, iteration: int | None = None) -> None:
    """Write all scores in percent with full precision as JSON.

    The file holds the iteration, the means and every score of every class (``IoU.road``, ``Dice.road``, …).
    Classes that occur neither in the labels nor in the predictions are null.
    """
    values = {
        name: None if math.isnan(value) else value
        for name, value in scores.percent(tuple(scores.per_class)).items()
    }
    Path(path).write_text(json.dumps({"iteration": iteration, **values}, indent=2) + "\n", encoding="utf-8")


def _percent(fraction: float) -> str:
    return "-" if math.isnan(fraction) else f"{100 * fraction:.2f}"
