"""Curves and last values of runs: python tools/analyze_logs.py RUN_DIR ... [--keys 'mIoU*' lr]

Draws losses, accuracies, mIoU and learning rate over the iterations, all runs in one PNG, and prints the last
and the best value of each. Resumed runs are put together from their parts. Logs of mmsegmentation 0.x
(*.log.json) are read as well.
"""

import argparse
import math
import sys
from fnmatch import fnmatchcase
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from rich.console import Console
from rich.table import Table

from mmseg.cli import command, writing
from mmseg.errors import DataError
from mmseg.reports.curves import TrainingLog, read_training_log
from mmseg.visualization.curves import draw_curves

USUAL_KEYS = ("*loss*", "*acc_seg", "mIoU*", "lr")
MIN_WIDTH = 100
"""Columns of the terminal below which numbers would be cut."""


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN_DIR", help="folders of runs, or single log files")
    parser.add_argument(
        "--keys", nargs="+", default=USUAL_KEYS, metavar="NAME",
        help=f"what to show, * stands for anything (default: {' '.join(USUAL_KEYS)}); "
        "IoU of classes: 'IoU.*'",
    )  # fmt: skip
    parser.add_argument("--out", default="work_dirs/curves.png", help="PNG to write (default: %(default)s)")
    return parser.parse_args(argv)


def read_logs(paths: list[str]) -> list[TrainingLog]:
    """The logs that can be read; what cannot be read is said on the terminal.

    Raises:
        DataError: None can be read.
    """
    logs: list[TrainingLog] = []
    for path in paths:
        try:
            log = read_training_log(Path(path))
        except DataError as error:
            print(f"warning: {error}", file=sys.stderr)
            continue
        if log.name in {other.name for other in logs}:
            log.name = path
        logs.append(log)
        for problem in log.problems:
            print(f"warning: {problem}", file=sys.stderr)
    if not logs:
        raise DataError(f"no log can be read of {', '.join(paths)}")
    return logs


def chosen_keys(logs: list[TrainingLog], patterns: list[str]) -> list[str]:
    """Names of logged values in the order of the patterns.

    Raises:
        DataError: A pattern of the command line fits nothing.
    """
    names = list(dict.fromkeys(name for log in logs for name in log.curves))
    found = {pattern: [name for name in names if fnmatchcase(name, pattern)] for pattern in patterns}
    for pattern, fitting in found.items():
        if not fitting and patterns is not USUAL_KEYS:
            raise DataError(f"--keys {pattern}: nothing of that name is logged; there are {', '.join(names)}")
    keys = list(dict.fromkeys(name for fitting in found.values() for name in fitting))
    if not keys:
        raise DataError(f"none of {', '.join(patterns)} is logged; choose with --keys of {', '.join(names)}")
    return keys


def best_of(name: str, curve: dict[int, float]) -> tuple[int, float] | None:
    """(iteration, value) of the lowest loss or the highest score; None if the value is neither."""
    known = {iteration: value for iteration, value in curve.items() if not math.isnan(value)}
    is_score = "acc" in name.lower() or "iou" in name.lower()
    if not known or not (is_score or "loss" in name):
        return None
    best = (max if is_score else min)(known, key=known.__getitem__)
    return best, known[best]


def table_of(logs: list[TrainingLog], keys: list[str]) -> Table:
    table = Table("run", "value")
    for column in ("last", "iteration", "best", "iteration"):
        table.add_column(column, justify="right", no_wrap=True)
    table.columns[0].overflow = "fold"
    for log in logs:
        for name in (key for key in keys if key in log.curves):
            curve = log.curves[name]
            last, best = list(curve.items())[-1], best_of(name, curve)
            cells = [f"{last[1]:.5g}", str(last[0])] + (
                [f"{best[1]:.5g}", str(best[0])] if best else ["-", ""]
            )
            table.add_row(log.name, name, *cells)
        table.add_section()
    return table


@command
def main(argv: list[str] | None = None) -> None:
    """Print the table and write the picture."""
    args = parse_args(argv)
    logs = read_logs(args.runs)
    keys = chosen_keys(logs, args.keys)
    console = Console()
    Console(width=max(console.width, MIN_WIDTH)).print(table_of(logs, keys))
    with writing(args.out):
        draw_curves({log.name: log.curves for log in logs}, keys, Path(args.out))
    print(args.out)


if __name__ == "__main__":
    sys.exit(main())
