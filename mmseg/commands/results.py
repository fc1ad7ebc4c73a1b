"""Scores of finished runs over their seeds: name their folders, or experiment IDs.

One row for the seeds of a run: mean ± sample standard deviation of the last evaluation in percent, on the
validation set of the run's config. Beside it stands what a paper reports, for runs that repeat one.
"""

import argparse
import io
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mmseg.cli import command, print_or_write
from mmseg.errors import DataError
from mmseg.experiments.experiment import Experiment, runs_of
from mmseg.experiments.table import EXPERIMENTS
from mmseg.reports.collect import collect_results
from mmseg.reports.table import (
    Group,
    Rows,
    group_by_name,
    table_rows,
    to_csv,
    to_latex,
    to_markdown,
)

MIN_WIDTH = 120
"""Columns of the terminal below which scores would be cut."""


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", metavar="RUN_DIR", help="folders of finished runs")
    parser.add_argument(
        "--exp",
        type=int,
        nargs="+",
        metavar="ID",
        help="all runs of experiment IDs, in work_dirs/local-expID",
    )
    parser.add_argument("--per-class", action="store_true", help="show the IoU of every class, too")
    parser.add_argument(
        "--format", choices=["table", "markdown", "latex", "csv"], default="table",
        help="csv has full precision (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--out", metavar="FILE", help="write the table there instead of printing it")
    args = parser.parse_args(argv)
    if bool(args.runs) == bool(args.exp):
        parser.error("give either RUN_DIR ... or --exp ID ...")
    return args


def groups_of(args: argparse.Namespace, experiments: Mapping[int, Experiment]) -> list[Group]:
    """The runs of the command line by name; of experiments also those that nobody has finished.

    Raises:
        DataError: None of the folders holds a finished run.
    """
    run_dirs = [Path(run) for run in args.runs]
    names: list[str] = []
    for exp_id in args.exp or ():
        names += dict.fromkeys(run.row.name for run in runs_of(experiments, exp_id))
        run_dirs += sorted(Path("work_dirs", f"local-exp{exp_id}").glob("*/"))
    results, problems = collect_results(run_dirs)
    groups, left_out = group_by_name(results)
    for problem in problems + left_out:
        print(f"warning: {problem}", file=sys.stderr)
    if not groups and not names:
        raise DataError(f"none of {', '.join(args.runs)} is a finished run")
    found = {group.name: group for group in groups}
    return [found.pop(name, Group(name)) for name in dict.fromkeys(names)] + list(found.values())


def as_text(rows: Rows, per_class: bool) -> str:
    """The table for the terminal; with classes a run is a column, since there are more classes than fit
    beside each other."""
    header, *body = [list(row) for row in zip(*rows, strict=True)] if per_class else rows
    table = Table(show_lines=not per_class)
    for index, name in enumerate(header):
        is_text = index == 0 or name == rows[0][-1]
        table.add_column(name, justify="left" if is_text else "right", overflow="fold")
    for row in body:
        table.add_row(*row)
    console = Console(file=io.StringIO(), width=max(Console().width, MIN_WIDTH), markup=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


@command
def main(argv: list[str] | None = None, experiments: Mapping[int, Experiment] = EXPERIMENTS) -> None:
    """Print or write the table; ``experiments`` are the IDs that are known."""
    args = parse_args(argv)
    groups = groups_of(args, experiments)
    rows = table_rows(groups, args.per_class)
    if args.format == "csv":
        text = to_csv(groups, args.per_class)
    elif args.format == "table":
        text = as_text(rows, args.per_class)
    else:
        text = {"markdown": to_markdown, "latex": to_latex}[args.format](rows)
    print_or_write(text, args.out)
