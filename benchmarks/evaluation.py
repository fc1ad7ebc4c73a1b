"""Images per second of an evaluation: ``python -m benchmarks.evaluation --method hrda --backbone mit_b0``.

Reads toy street scenes from files, predicts and scores them, and prints where the time goes, the peak of the
memory and what of it is kept with every image. ``--published`` does the same organised as published;
``--compare-published`` does both in turn, each in a process of its own, and checks first that they agree.
Images of DAFormer are read at twice the size of the network's input, as from Cityscapes; HRDA takes them as
they are.
"""

import argparse
import re
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.evaluation_run import WAYS, EvaluationRun, Times
from benchmarks.machine import MATRIX_SIZE, describe, matrix_seconds
from benchmarks.published import environment
from benchmarks.step_case import BACKBONES
from benchmarks.worker import Worker
from mmseg.datasets.conversion.cityscapes import convert_cityscapes
from mmseg.toy import make_toy_dataset

MIN_PAIRS = 5
MIN_AGREEMENT, MAX_IOU_DIFFERENCE = 0.9999, 1e-3
MEGABYTE = 2**20
SMALLEST = 32
"""Pixels in each direction that the encoder takes."""


# ---------------------------------------------------------------------------------------------------- report


def table_of(name: str, times: Times) -> Table:
    """Seconds per image by part, and images per second."""
    table = Table(name, "seconds per image", "CPU seconds")
    for part, (wall, cpu) in times.parts.items():
        table.add_row(part, f"{wall / len(times.seconds):.3f}", f"{cpu / len(times.seconds):.3f}")
    table.add_section()
    median = statistics.median(times.seconds)
    table.add_row("an image (median)", f"{median:.3f}", f"{statistics.median(times.cpu):.3f}")
    table.add_row("images per second", f"{1 / median:.3f}", "")
    return table


def ratio_table(ours: Times, published: Times) -> Table:
    """How many times as many images per second ours makes."""
    table = Table(f"ratio of {len(ours.seconds)} pairs", "median", "min", "max")
    for name, first, second in (
        ("images/s, wall", published.seconds, ours.seconds),
        ("images/s, CPU", published.cpu, ours.cpu),
    ):
        ratios = [slow / fast for slow, fast in zip(first, second, strict=True)]
        table.add_row(name, *(f"{f(ratios):.2f}" for f in (statistics.median, min, max)))
    return table


# ----------------------------------------------------------------------------------------------- command line


def write_images(folder: Path, args: argparse.Namespace) -> None:
    """Write toy street scenes."""
    height, width = args.size
    scale = 1 if args.method == "hrda" else 2
    make_toy_dataset(folder, ["cityscapes"], (scale * width, scale * height), train=1, val=args.images)
    convert_cityscapes(str(folder / "cityscapes"), nproc=1)


def check(workers: dict[str, Worker], images: int, rounded: bool) -> float:
    """Evaluate all images both ways and compare; returns the share of pixels on which they agree.

    Args:
        workers: Both ways.
        images: How many there are.
        rounded: Whether both round their factors.

    Raises:
        SystemExit: They differ by more than rounding.
    """
    pairs = [[worker.ask("predict", index) for worker in workers.values()] for index in range(images)]
    agreement = float(np.mean([np.mean(first == second) for first, second in pairs]))
    difference = abs(float(np.subtract(*(worker.ask("mean_iou") for worker in workers.values()))))
    text = f"predictions agree on {agreement:.4%} of the pixels, mIoU differs by {difference:.1e}"
    least, most = (0.99, 0.01) if rounded else (MIN_AGREEMENT, MAX_IOU_DIFFERENCE)
    if agreement < least or difference > most:
        raise SystemExit(f"not the same evaluation: {text}; expected at least {least:.2%}, at most {most}")
    return agreement


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--method", choices=["daformer", "hrda"], default="daformer")
    parser.add_argument("--backbone", choices=BACKBONES, default="mit_b0")
    parser.add_argument("--mode", choices=["whole", "slide"], help="default: slide for hrda, otherwise whole")
    parser.add_argument("--size", default="512x1024", help="HEIGHTxWIDTH of the network's input")
    parser.add_argument(
        "--crop", type=int, default=512, help="edge of a window; HRDA's detail has half of it"
    )
    parser.add_argument("--images", type=int, default=4, help="different images")
    parser.add_argument("--pairs", type=int, default=MIN_PAIRS, help="measured images, or pairs of them")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--tf32", action="store_true", help="float32 factors rounded to TF32 on a GPU")
    parser.add_argument("--workers", type=int, help="processes of the data loader, which is measured, too")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--published", action="store_true", help="organised as published")
    way.add_argument("--compare-published", action="store_true", help="both, in turn")
    args = parser.parse_args(argv)
    args.mode = args.mode or ("slide" if args.method == "hrda" else "whole")
    if not (size := re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", args.size)):
        parser.error(f"--size {args.size}: expected HEIGHTxWIDTH, as 512x1024")
    args.size = [int(length) for length in size.groups()]
    if min(args.size) < SMALLEST or args.crop < SMALLEST:
        parser.error(f"--size and --crop: expected at least {SMALLEST} pixels")
    if args.method == "hrda" and (args.crop < 128 or args.crop % 64):
        parser.error(f"--crop {args.crop}: HRDA needs a multiple of 64, at least 128")
    if args.images < 1 or args.pairs < 1 or (args.workers or 0) < 0:
        parser.error("--images and --pairs have to be 1 or more, --workers 0 or more")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: there is no GPU; leave it out to measure on the CPU")
    if args.compare_published and args.pairs < MIN_PAIRS:
        parser.error(f"--pairs {args.pairs}: a ratio takes at least {MIN_PAIRS}")
    return args


def measure(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Times]:
    """Evaluate in one process for each way, in turn, image by image."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_images(folder, args)
        workers = {}
        for name in names:
            variables = environment(published=name == "published")
            worker = Worker(EvaluationRun, name, args, folder, environment=variables)
            workers[name] = stack.enter_context(worker)
        agreement = check(workers, args.images, args.tf32) if len(workers) > 1 else None
        for worker in workers.values():
            worker.ask("predict", 0)  # warms up
            worker.ask("start")
        for index in range(args.pairs):
            for worker in workers.values():
                worker.ask("measure", index % args.images)
        times = {name: replace(worker.ask("result"), agreement=agreement) for name, worker in workers.items()}
        if args.workers is not None:
            ours = next(iter(workers.values()))
            times[names[0]].loader_rate = ours.ask("loader_rate", max(args.pairs, args.images))
        return times


def numbers(args: argparse.Namespace) -> dict[str, Any]:
    """Those of both ways in short, for a report of several benchmarks."""
    times = measure(args, list(WAYS))
    ours, published = times["ours"], times["published"]
    ratios = [slow / fast for slow, fast in zip(published.seconds, ours.seconds, strict=True)]
    return {
        "images_per_second": 1 / statistics.median(ours.seconds),
        "loader_images_per_second": ours.loader_rate,
        "ratio": statistics.median(ratios),
        "agreement": ours.agreement,
        "peak_memory": ours.peak_memory,
        "published_peak_memory": published.peak_memory,
    }


def main(argv: list[str] | None = None) -> int:
    """The command."""
    args, console = parse_args(argv), Console()
    names = list(WAYS) if args.compare_published else ["published" if args.published else "ours"]
    times = measure(args, names)
    product = f"{MATRIX_SIZE[args.device]}³ product in {matrix_seconds(args.device):.3g} s"
    machine = dict(describe(args.device), matrix=product)
    console.print(", ".join(f"{key}: {value}" for key, value in machine.items()))
    for name, found in times.items():
        console.print(table_of(f"{args.method} {args.backbone} {name}", found))
        settled = len(found.memory) // 2  # by then the allocator of the host has what it needs
        kept = (found.memory[-1] - found.memory[settled]) / max(len(found.memory) - 1 - settled, 1)
        peak = f"peak memory: {found.peak_memory / MEGABYTE:.0f} MB"
        console.print(f"{peak}; kept with every image: {kept / MEGABYTE:.1f} MB")
        if found.loader_rate:
            console.print(
                f"with a data loader of {args.workers} processes: {found.loader_rate:.3f} images per second"
            )
    if args.compare_published:
        agreement = times["ours"].agreement
        console.print(ratio_table(**times), f"predictions agree on {agreement:.4%} of the pixels", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
