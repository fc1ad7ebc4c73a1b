"""What experiment 0 ends with: one table over seeds and pictures of the same target images."""

import json
import os
import platform
import resource
import shutil
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from benchmarks.toy_ladder import ROWS, SEEDS, ToyRun, runs
from mmseg.apis import inference_segmentor, init_segmentor
from mmseg.datasets.transforms.loading import read_image
from mmseg.launch.run_dir import find_checkpoint, find_config
from mmseg.registry import DATASETS
from mmseg.visualization.comparison import draw_comparison

PAGE = Path(__file__).parents[1] / "docs" / "toy_benchmark.md"
PAGE_PICTURE = PAGE.parent / "images" / "toy_benchmark.png"
START, END = "<!-- results: start -->", "<!-- results: end -->"
COST = "cost.json"
NUM_PICTURES = 4
PAGE_TILE_WIDTH = 256

Finished = Mapping[ToyRun, Path]
"""The finished runs and their folders, in the order of the table."""


def report(folders: Mapping[str, Path], out: Path, page: bool) -> None:
    """Print the table; write ``table.md`` and the pictures.

    Args:
        folders: Name of a finished run -> its folder.
        out: Folder of the experiment.
        page: Change the documentation, too.
    """
    finished = {run: folders[run.name] for run in runs() if run.name in folders}
    if not finished:
        return
    table = markdown(finished, read_costs(out))
    (out / "table.md").write_text(table)
    picture = draw(finished, out)
    print(f"\n{table}\nTable: {out / 'table.md'}, pictures: {picture} and one per method beside it")
    if page:
        write_page(table, picture)
        print(f"{PAGE} written")


# ------------------------------------------------------------------------------------------------------ table


def mean_iou(run_dir: Path) -> float:
    """The last score of a run in percent."""
    return json.loads((run_dir / "results.json").read_text())["mIoU"]


def markdown(finished: Finished, costs: Sequence[Mapping[str, float]]) -> str:
    """The table, and what it took.

    Args:
        finished: Methods without a finished run have no score; of the others all finished seeds count.
        costs: See :func:`cost`.
    """
    lines = ["| method | | mIoU | per seed |", "| --- | --- | ---: | --- |"]
    for method, row in ROWS.items():
        scores = {run.seed: mean_iou(folder) for run, folder in finished.items() if run.method == method}
        values = [scores[seed] for seed in sorted(scores)]
        mean = f"{statistics.mean(values):.1f}" if values else "–"
        spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
        each = ", ".join(f"{value:.1f}" for value in values)
        lines.append(f"| {method} | {row.meaning} | {mean}{spread} | {each} |")
    minutes, cpu_minutes = (round(sum(cost[key] for cost in costs) / 60) for key in ("wall", "cpu"))
    machine = f"{os.cpu_count()} CPU cores, Python {platform.python_version()}, torch {torch.__version__}"
    return "\n".join(lines) + (
        f"\n\nMean ± standard deviation over seeds. Measured on {machine}: {cpu_minutes} minutes of CPU "
        f"time, {minutes} minutes on the clock.\n"
    )


@contextmanager
def cost(folder: Path) -> Iterator[None]:
    """Keep what the enclosed runs take, also when they are interrupted and go on later.

    ``cost.json`` in the folder lists for each call ``wall``, the seconds on the clock, and ``cpu``, those of
    all processes that ended in it.
    """
    wall, cpu = time.monotonic(), children_seconds()
    try:
        yield
    finally:
        entry = {"wall": time.monotonic() - wall, "cpu": children_seconds() - cpu}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / COST).write_text(json.dumps([*read_costs(folder), entry], indent=2) + "\n")


def read_costs(folder: Path) -> list[dict[str, float]]:
    """What the calls of the experiment took so far, see :func:`cost`."""
    path = folder / COST
    return json.loads(path.read_text()) if path.is_file() else []


def children_seconds() -> float:
    """CPU time of the processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


# --------------------------------------------------------------------------------------------------- pictures


def draw(finished: Finished, folder: Path) -> Path:
    """Predictions of every method for the same target images, of the seed that most methods have.

    Returns:
        ``comparison.png`` in ``folder``: image, truth, each method; beside it one picture per method.
    """
    seed = max(SEEDS, key=lambda seed: sum(run.seed == seed for run in finished))
    shown = {run.method: folder for run, folder in finished.items() if run.seed == seed}
    images, truth, palette = target_images(Config.fromfile(find_config(next(iter(shown.values())))))
    predictions = {}
    for method, run_dir in shown.items():
        model = init_segmentor(find_config(run_dir), find_checkpoint(run_dir), device="cpu")
        predictions[method] = inference_segmentor(model, images)
    pixels = [read_image(path) for path in images]
    for method, maps in predictions.items():
        path = folder / f"comparison_{ROWS[method].config}.png"
        draw_comparison(pixels, {"truth": truth, method: maps}, palette, path)
    path = folder / "comparison.png"
    draw_comparison(pixels, {"truth": truth, **predictions}, palette, path, PAGE_TILE_WIDTH)
    return path


def target_images(cfg: Config) -> tuple[list[str], list[np.ndarray], list[tuple[int, int, int]]]:
    """Files of a few evenly spread validation images, their label maps (H, W), and the palette."""
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    indices = range(0, len(dataset), max(1, len(dataset) // NUM_PICTURES))[:NUM_PICTURES]
    truth = [dataset[index]["gt_semantic_seg"].numpy().astype(np.uint8) for index in indices]
    return [dataset.samples[index].img_path for index in indices], truth, dataset.palette


# ------------------------------------------------------------------------------------------------------- page


def write_page(table: str, picture: Path) -> None:
    """Replace the generated part of the documentation; the explanations around it are written by hand."""
    head, rest = PAGE.read_text().split(START)
    tail = rest.split(END)[1]
    PAGE.write_text(f"{head}{START}\n{table}{END}{tail}")
    shutil.copyfile(picture, PAGE_PICTURE)
