"""Scores for people (a table) and for programs (JSON).

What a metric of an evaluator (any :class:`mmengine.evaluator.BaseMetric`) says of itself:

- ``compute_metrics`` returns numbers by name, those of a class as ``IoU.road``. They are logged, shown in the
  tables of an evaluation and stored in ``results.json``.
- ``report()``, which a metric need not have, returns what is stored beyond them after an evaluation. A number
  becomes a further entry of ``results.json``, or replaces the entry of its name (as by its value before
  rounding); a table, a dict or list, becomes a file ``NAME.json`` beside it.
- ``confusion``, which it need not have, are the counts that a confusion matrix is drawn of.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mmseg.checkpoints.atomic import write_text
from mmseg.evaluation.counting_metric import over_domains


def format_scores(scores: Mapping[str, Any], classes: Sequence[str]) -> str:
    """What metrics return, as plain text: a table of the classes and one row of all other numbers.

    Args:
        scores: Number by name; of a class as ``IoU.road``. '-' stands for NaN.
        classes: Names of the classes.
    """
    of_class: dict[str, dict[str, str]] = {name: {} for name in classes}
    summary: dict[str, str] = {}
    for name, value in _plain(dict(scores)).items():
        if isinstance(value, dict | list):
            continue
        score, _, cls = name.partition(".")
        row, column = (of_class[cls], score) if cls in of_class else (summary, name)
        row[column] = _cell(value)
    columns = list(dict.fromkeys(score for row in of_class.values() for score in row))
    rows = [[name, *(row.get(score, "-") for score in columns)] for name, row in of_class.items()]
    tables = [_table(["Class", *columns], rows)] if columns else []
    return "\n\n".join([*tables, _table(list(summary), [list(summary.values())])])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    table = Table(box=box.MARKDOWN)
    for name in header:
        table.add_column(name, justify="left" if name == "Class" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    with io.StringIO() as text:
        Console(file=text, width=10_000, color_system=None, markup=False, emoji=False).print(table)
        return text.getvalue().strip()


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if round(value, 2) == value else f"{value:.5g}"
    return "-" if value is None else str(value)


def log_scores(scores: Mapping[str, Any], classes: Sequence[str]) -> None:
    """Write :func:`format_scores` to the terminal and the log file of the run."""
    print_log("\n" + format_scores(scores, classes), logger="current")


def write_results(
    folder: str | Path, iteration: int | None, scores: Mapping[str, Any], metrics: Iterable[BaseMetric]
) -> None:
    """Write what is stored of an evaluation.

    ``results.json`` holds the iteration, what the metrics returned and what they report beyond it; NaN, as of
    classes that occur neither in the labels nor in the predictions, is null. Each table that a metric reports
    is a file beside it.

    Args:
        folder: Folder of the files.
        iteration: Of the training, None after it.
        scores: What the metrics returned.
        metrics: The metrics.
    """
    values: dict[str, Any] = {"iteration": iteration, **scores}
    for metric in metrics:
        prefix = f"{metric.prefix}/" if metric.prefix else ""
        for name, value in _reported(metric).items():
            values[prefix + name] = value
    values = _plain(values)
    tables = [name for name, value in values.items() if isinstance(value, dict | list)]
    for name in tables:
        write_json(Path(folder, name.replace("/", "_") + ".json"), values.pop(name))
    write_json(Path(folder, "results.json"), values)


def _reported(metric: BaseMetric) -> dict[str, Any]:
    """What a metric stores beyond its scores; of several domains their means, and that of each."""
    if domains := getattr(metric, "of_domains", None):
        return over_domains({domain: getattr(part, "report", dict)() for domain, part in domains.items()})
    return getattr(metric, "report", dict)()


def write_json(path: str | Path, content: Any) -> None:
    """Write numbers, texts, lists and dicts as indented JSON; NaN, which JSON does not have, becomes null."""
    write_text(path, json.dumps(_plain(content), indent=2) + "\n")


def _plain(content: Any) -> Any:
    """Python's own numbers and lists instead of tensors and arrays, None instead of NaN."""
    if isinstance(content, dict):
        return {name: _plain(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    if hasattr(content, "tolist"):
        return _plain(content.tolist())
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
