"""What an experiment with a page ends with: tables over seeds and pictures of the same target images."""

import shutil
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg.checkpoints.files import find_config
from mmseg.config.load import load_config
from mmseg.experiments.experiment import Experiment, Row, Run
from mmseg.reports.collect import CLASS_PREFIX
from mmseg.reports.comparison import Labels, column_of, draw_columns, shown_images, tested_data
from mmseg.reports.run_record import TARGET_NORMS, read_record, record_of, write_record

START, END = "<!-- results: start -->", "<!-- results: end -->"
PAGE_TILE_WIDTH = 256
NOT_YET = "not run yet"

Finished = Mapping[Run, Path]
"""The finished runs and their folders, in the order of the table."""
Records = Mapping[Run, Mapping[str, Any]]
"""What is kept of the finished runs, see :func:`~mmseg.reports.run_record.record_of`."""


def records_folder(page: Path) -> Path:
    """Where the records of the runs of a page are."""
    return page.parent / page.stem


def keep(run: Run, run_dir: Path, cpu_seconds: float, folder: Path, is_new: bool) -> None:
    """Write the record of a run, see :func:`record_of`; unless it ``is_new``, one that is there stays."""
    if is_new or read_record(folder, run) is None:
        write_record(folder, run, record_of(run, run_dir, cpu_seconds))


def recorded(runs: Iterable[Run], folder: Path) -> dict[Run, dict[str, Any]]:
    """The records that are there."""
    return {run: record for run in runs if (record := read_record(folder, run)) is not None}


def report(experiment: Experiment, runs: Sequence[Run], out: Path, records: Path, drawn: Finished) -> None:
    """Print the tables and write them to ``table.md`` and, if the records are beside it, to the page.

    Args:
        experiment: What was trained.
        runs: All runs of the experiment.
        out: Folder of the experiment.
        records: Folder of the records of its runs.
        drawn: The runs that predictions are drawn of; none draws nothing.
    """
    found = recorded(runs, records)
    if not found:
        return
    rows = rows_of(experiment, runs)
    text = markdown(rows, found)
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(text, encoding="utf-8")
    pictures = draw_groups(rows, drawn, out)
    if drawn:
        shown = ", ".join(map(str, pictures))
        print(f"\n{text}\nTable: {out / 'table.md'}, pictures: {shown} and one per method beside it")
    if experiment.page and records == records_folder(experiment.page):
        write_page(experiment.page, text, pictures if experiment.shows_pictures else [])
        print(f"{experiment.page} written", flush=True)


def rows_of(experiment: Experiment, runs: Iterable[Run]) -> list[Row]:
    """The rows of some runs by their tables, in the order in which the experiment names the methods."""
    rows, titles = dict.fromkeys(run.row for run in runs), [row.title for row in experiment.rows]
    groups = list(dict.fromkeys(row.group for row in rows))
    return sorted(rows, key=lambda row: (groups.index(row.group), titles.index(row.title)))


def groups_of(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows by the title of their table."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return groups


# ----------------------------------------------------------------------------------------------------- tables


def markdown(rows: Iterable[Row], records: Records) -> str:
    """The tables, a table of the classes for each where there are several, and on what it was measured.

    Args:
        rows: The methods; those without a finished run have no score.
        records: Of the finished runs; all of their seeds count.
    """
    parts, groups = [], groups_of(rows)
    for title, group in groups.items():
        heading = f"### {title}\n\n" if title else ""
        parts.append(heading + scores_table(group, records))
        if title and (classes := classes_table(group, records, "scores")):
            parts.append(f"IoU of each class, mean over the seeds:\n\n{classes}")
        if title and (classes := classes_table(group, records, TARGET_NORMS)):
            parts.append(f"The same with the target's statistics in the batch norms:\n\n{classes}")
        if trusted := trusted_table(group, records):
            parts.append(
                f"Share of the target's pixels whose pseudo-labels are trusted, over the run:\n\n{trusted}"
            )
    versions = dict.fromkeys(
        ", ".join(f"{k} {v}" for k, v in r["versions"].items()) for r in records.values()
    )
    minutes = sum(record["seconds"]["processor"] for record in records.values()) / 60
    parts.append(
        "Mean ± standard deviation over seeds; the score of the last iteration, never of the best one. "
        f"Measured with {'; '.join(versions)}; {len(records)} runs, {minutes:.0f} minutes of processor time."
    )
    return "\n\n".join(parts) + "\n"


def scores_table(rows: Sequence[Row], records: Records) -> str:
    """mIoU of each row: mean and deviation over the seeds, each seed, the same with the statistics of the
    target in the batch norms, processor time of a run."""
    twice = any(row.norm_images for row in rows)
    table = [["method", "", "mIoU", "per seed", *(["target's norms"] if twice else []), "minutes"]]
    for row in rows:
        found = _seeds(row, records)
        scores = [found[seed]["scores"]["mIoU"] for seed in sorted(found)]
        again = [record[TARGET_NORMS]["mIoU"] for record in found.values() if TARGET_NORMS in record]
        each = ", ".join(f"{score:.1f}" for score in scores)
        minutes = [record["seconds"]["processor"] / 60 for record in found.values()]
        spent = f"{statistics.mean(minutes):.0f}" if minutes else ""
        second = [_mean_and_deviation(again) if found else ""] if twice else []
        table.append([row.title or row.name, row.meaning, _mean_and_deviation(scores), each, *second, spent])
    return _markdown(table, "--- --- ---: --- " + "---: " * (len(table[0]) - 4))


def classes_table(rows: Sequence[Row], records: Records, kind: str) -> str:
    """Mean IoU over the seeds of each class (columns) and row; empty without a score of this kind."""
    scores = {row: [r[kind] for r in _seeds(row, records).values() if kind in r] for row in rows}
    names = dict.fromkeys(
        k for each in scores.values() for s in each for k in s if k.startswith(CLASS_PREFIX)
    )
    table = [["method", *(name.removeprefix(CLASS_PREFIX) for name in names)]]
    for row, each in scores.items():
        if each:
            columns = ([s[name] for s in each if s.get(name) is not None] for name in names)
            cells = [f"{statistics.mean(values):.1f}" if values else "–" for values in columns]
            table.append([row.title or row.name, *cells])
    return _markdown(table, "--- " + "---: " * len(names)) if len(table) > 1 else ""


def trusted_table(rows: Sequence[Row], records: Records) -> str:
    """How the share of trusted pseudo-labels changes over a run, mean over the seeds; empty without one."""
    curves = {
        row: [r["trusted"]["trusted"] for r in _seeds(row, records).values() if r["trusted"]] for row in rows
    }
    iterations = sorted({int(i) for each in curves.values() for curve in each for i in curve})
    if not iterations:
        return ""
    table = [["method", *(f"until {i}" for i in iterations)]]
    for row, each in curves.items():
        if each:
            columns = ([curve[str(i)] for curve in each if str(i) in curve] for i in iterations)
            cells = [f"{statistics.mean(values):.2f}" if values else "" for values in columns]
            table.append([row.title or row.name, *cells])
    return _markdown(table, "--- " + "---: " * len(iterations))


def _seeds(row: Row, records: Records) -> dict[int, Mapping[str, Any]]:
    return {run.seed: record for run, record in records.items() if run.row == row}


def _mean_and_deviation(values: Sequence[float]) -> str:
    if not values:
        return NOT_YET
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def _markdown(table: Sequence[Sequence[str]], rule: str) -> str:
    header, *body = ["| " + " | ".join(cells) + " |" for cells in table]
    return "\n".join([header, "| " + " | ".join(rule.split()) + " |", *body])


# --------------------------------------------------------------------------------------------------- pictures


def draw_groups(rows: Sequence[Row], finished: Finished, folder: Path) -> list[Path]:
    """Predictions of every method for the same target images, one picture for each table."""
    paths = []
    for number, (title, group) in enumerate(groups_of(rows).items(), 1):
        ordered = sorted((run for run in finished if run.row in group), key=lambda run: group.index(run.row))
        if ordered:
            name = f"comparison_{number}.png" if title else "comparison.png"
            paths.append(draw({run: finished[run] for run in ordered}, folder, name))
    return paths


def draw(finished: Finished, folder: Path, name: str = "comparison.png") -> Path:
    """Predictions of every method for the same target images, of the seed that most methods have.

    Returns:
        ``name`` in ``folder``: image, truth, each method; beside it one picture per method.
    """
    seeds = [run.seed for run in finished]
    shown = {run: run_dir for run, run_dir in finished.items() if run.seed == max(seeds, key=seeds.count)}
    images = shown_images(tested_data(load_config(find_config(next(iter(shown.values()))))))
    columns: dict[str, Labels] = {}
    for run, run_dir in shown.items():
        column = column_of(run.row.title or run.row.name, run_dir, images, device="cpu")
        columns |= column
        draw_columns(images, column, folder / f"comparison_{run.row.name}.png")
    draw_columns(images, columns, folder / name, PAGE_TILE_WIDTH)
    return folder / name


# ------------------------------------------------------------------------------------------------------- page


def write_page(page: Path, table: str, pictures: Sequence[Path]) -> None:
    """Replace the generated part of the documentation; the explanations around it are written by hand."""
    head, rest = page.read_text(encoding="utf-8").split(START)
    tail = rest.split(END)[1]
    page.write_text(f"{head}{START}\n{table}{END}{tail}", encoding="utf-8")
    for picture in pictures:
        shutil.copyfile(picture, page.parent / "images" / f"{page.stem}.png")
