"""Read the numbers that runs log, as JSON lines.

A run of this framework writes ``RUN_DIR/<start>/vis_data/scalars.json``, one folder each time it is started.
Runs of mmsegmentation 0.x (also DAFormer, HRDA and MIC as published) wrote ``RUN_DIR/<start>.log.json``.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmseg.errors import DataError
from mmseg.legacy.logs import todays_line

NOT_LOGGED = {"iter", "step", "epoch"}
OF_TRAINING = {"time", "data_time", "memory", "lr", "base_lr"}
"""Names that evaluations log as well, of themselves."""

Entry = tuple[int, dict[str, float]]
"""Iteration, and values by name."""


@dataclass
class TrainingLog:
    """What a run logged.

    Attributes:
        name: Of the run.
        curves: Name of a value to its course, value by iteration, ascending. Scores are in percent.
        problems: What could not be read.
    """

    name: str
    curves: dict[str, dict[int, float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_training_log(run_dir: Path) -> TrainingLog:
    """Put the log files of a run together.

    A resumed run has several. Each replaces what earlier ones say from its own first iteration on: what was
    trained after the checkpoint that it started from is not part of the run.

    Args:
        run_dir: Folder of the run, or a single log file.

    Raises:
        DataError: There is no log, or nothing in it.
    """
    files = [run_dir] if run_dir.is_file() else _log_files(run_dir)
    if not files:
        what = "no log found" if run_dir.is_dir() else "no such folder"
        raise DataError(f"{run_dir}: {what}; expected */vis_data/*.json or *.log.json of a run there")
    log = TrainingLog(run_dir.name)
    merged: dict[int, dict[str, float]] = {}
    for file in files:
        entries = list(_read(file, log.problems))
        first = min((iteration for iteration, _ in entries), default=None)
        if first is not None:
            merged = {iteration: values for iteration, values in merged.items() if iteration < first}
        for iteration, values in entries:
            merged.setdefault(iteration, {}).update(values)
    if not merged:
        problems = f" ({'; '.join(log.problems)})" if log.problems else ""
        raise DataError(f"{run_dir}: nothing is logged yet{problems}; look again after some iterations")
    for iteration in sorted(merged):
        for name, value in merged[iteration].items():
            log.curves.setdefault(name, {})[iteration] = value
    return log


def _log_files(run_dir: Path) -> list[Path]:
    """Log files in the order of writing."""
    files = []
    for folder in sorted(run_dir.glob("*/vis_data")):
        scalars = folder / "scalars.json"  # mmengine writes most of it a second time under another name
        files += [scalars] if scalars.is_file() else sorted(folder.glob("*.json"))
    return files or sorted(run_dir.glob("*.log.json"))


def _read(file: Path, problems: list[str]) -> Iterator[Entry]:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    iteration = interval = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError:
            problems.append(f"{file}, line {number}: half a line is left out (the run was killed?)")
            continue
        if not isinstance(values, dict) or not {"step", "mode"} & set(values):
            continue  # as the environment that 0.x writes first
        if "mode" in values:
            values = todays_line(values, iteration, interval)
        step = int(values["step"])
        if "iter" in values:  # a line of training
            interval, iteration = step - iteration, step
        else:
            values = {name: value for name, value in values.items() if name not in OF_TRAINING}
        yield (
            step,
            {
                name.replace("/", "."): float(value)
                for name, value in values.items()
                if name not in NOT_LOGGED and isinstance(value, int | float)
            },
        )
