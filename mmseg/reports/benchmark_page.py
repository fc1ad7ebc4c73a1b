"""What an experiment with a page ends with: one table over seeds and pictures of the same target images."""

import json
import os
import platform
import shutil
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from mmseg.apis import inference_segmentor, init_segmentor
from mmseg.checkpoints.files import find_checkpoint, find_config
from mmseg.datasets.decoding import read_image
from mmseg.experiments.experiment import Row, Run
from mmseg.registry import DATASETS
from mmseg.visualization.grid import draw_comparison

START, END = "<!-- results: start -->", "<!-- results: end -->"
NUM_PICTURES = 4
PAGE_TILE_WIDTH = 256

Finished = Mapping[Run, Path]
"""The finished runs and their folders, in the order of the table."""


def report(runs: Mapping[Run, Path | None], out: Path, page: Path | None) -> None:
    """Print the table; write ``table.md`` and the pictures.

    Args:
        runs: All runs of the experiment and the folders of those that are finished.
        out: Folder of the experiment.
        page: Documentation to be changed, too.
    """
    finished = {run: folder for run, folder in runs.items() if folder is not None}
    if not finished:
        return
    table = markdown(rows_of(runs), finished)
    (out / "table.md").write_text(table)
    picture = draw(finished, out)
    print(f"\n{table}\nTable: {out / 'table.md'}, pictures: {picture} and one per method beside it")
    if page:
        write_page(page, table, picture)
        print(f"{page} written")


def rows_of(runs: Iterable[Run]) -> list[Row]:
    """The rows of some runs, each once."""
    return list(dict.fromkeys(run.row for run in runs))


# ------------------------------------------------------------------------------------------------------ table


def mean_iou(run_dir: Path) -> float:
    """The last score of a run in percent."""
    return json.loads((run_dir / "results.json").read_text())["mIoU"]


def markdown(rows: Iterable[Row], finished: Finished) -> str:
    """The table, and on what it was measured.

    Args:
        rows: The methods.
        finished: Methods without a finished run have no score; of the others all finished seeds count.
    """
    lines = ["| method | | mIoU | per seed |", "| --- | --- | ---: | --- |"]
    for row in rows:
        scores = {run.seed: mean_iou(folder) for run, folder in finished.items() if run.row == row}
        values = [scores[seed] for seed in sorted(scores)]
        mean = f"{statistics.mean(values):.1f}" if values else "–"
        spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
        each = ", ".join(f"{value:.1f}" for value in values)
        lines.append(f"| {row.title or row.name} | {row.meaning} | {mean}{spread} | {each} |")
    machine = f"{os.cpu_count()} CPU cores, Python {platform.python_version()}, torch {torch.__version__}"
    return "\n".join(lines) + f"\n\nMean ± standard deviation over seeds. Measured on {machine}.\n"


# --------------------------------------------------------------------------------------------------- pictures


def draw(finished: Finished, folder: Path) -> Path:
    """Predictions of every method for the same target images, of the seed that most methods have.

    Returns:
        ``comparison.png`` in ``folder``: image, truth, each method; beside it one picture per method.
    """
    seeds = [run.seed for run in finished]
    shown = {run: run_dir for run, run_dir in finished.items() if run.seed == max(seeds, key=seeds.count)}
    images, truth, palette = target_images(Config.fromfile(find_config(next(iter(shown.values())))))
    pixels = [read_image(path) for path in images]
    columns: dict[str, Sequence[np.ndarray]] = {"truth": truth}
    for row in rows_of(shown):
        (run_dir,) = (each for run, each in shown.items() if run.row == row)
        model = init_segmentor(find_config(run_dir), find_checkpoint(run_dir), device="cpu")
        title = row.title or row.name
        columns[title] = inference_segmentor(model, images)
        path = folder / f"comparison_{row.name}.png"
        draw_comparison(pixels, {"truth": truth, title: columns[title]}, palette, path)
    path = folder / "comparison.png"
    draw_comparison(pixels, columns, palette, path, PAGE_TILE_WIDTH)
    return path


def target_images(cfg: Config) -> tuple[list[str], list[np.ndarray], list[tuple[int, int, int]]]:
    """Files of a few evenly spread validation images, their label maps (H, W), and the palette."""
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    indices = range(0, len(dataset), max(1, len(dataset) // NUM_PICTURES))[:NUM_PICTURES]
    truth = [dataset[index]["gt_semantic_seg"].numpy().astype(np.uint8) for index in indices]
    return [dataset.samples[index].img_path for index in indices], truth, dataset.palette


# ------------------------------------------------------------------------------------------------------- page


def write_page(page: Path, table: str, picture: Path) -> None:
    """Replace the generated part of the documentation; the explanations around it are written by hand."""
    head, rest = page.read_text().split(START)
    tail = rest.split(END)[1]
    page.write_text(f"{head}{START}\n{table}{END}{tail}")
    shutil.copyfile(picture, page.parent / "images" / f"{page.stem}.png")
