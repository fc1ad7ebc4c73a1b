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
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe, matrix_seconds, memory, reset_peak_memory
from benchmarks.published import environment, hrda, segmentor
from benchmarks.published.evaluation import PublishedEvaluation
from benchmarks.step_case import BACKBONES, StepCase, config_of
from benchmarks.stopwatch import Phase, Seconds, Stopwatch
from benchmarks.worker import Worker
from mmseg.datasets import CityscapesDataset, seg_collate
from mmseg.datasets.conversion.cityscapes import convert_cityscapes
from mmseg.evaluation import IoUMetric
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.toy import make_toy_dataset

MIN_PAIRS = 5
MIN_AGREEMENT, MAX_IOU_DIFFERENCE = 0.9999, 1e-3
MEGABYTE = 2**20
SMALLEST = 32
"""Pixels in each direction that the encoder takes."""


@dataclass
class Times:
    """Of one way to evaluate.

    Attributes:
        seconds: Wall time of each image.
        cpu: CPU time of each image.
        memory: Bytes of the process after each image.
        peak_memory: Bytes of the process at the peak.
        parts: Seconds by part, of all images together.
    """

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    peak_memory: int = 0
    parts: dict[Phase, Seconds] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------------ both ways


class Ours:
    """The evaluation of this framework: data set, preprocessor, network, metric.

    Args:
        model: In eval mode.
        dataset: The images.
        watch: What times the parts.
    """

    def __init__(self, model: EncoderDecoder, dataset: CityscapesDataset, watch: Stopwatch) -> None:
        self.model, self.dataset, self.watch = model, dataset, watch
        self.metric = IoUMetric()
        self.metric.dataset_meta = dataset.metainfo

    @torch.no_grad()
    def __call__(self, index: int) -> np.ndarray:
        """Evaluate an image; returns the prediction (H, W)."""
        with self.watch.phase("decode"):
            batch = self.model.data_preprocessor(seg_collate([self.dataset[index]]))
        with ExitStack() as stack, self.watch.phase("upsampling, arg-max"):
            for name, module in (("encoder", self.model.backbone), ("head", self.model.decode_head)):
                stack.enter_context(timed(self.watch, name, module, "forward"))
            if hasattr(self.model.decode_head, "head"):
                stack.enter_context(timed(self.watch, "head", self.model.decode_head.head, "forward"))
            samples = self.model(**batch, mode="predict")
        with self.watch.phase("metric"):
            self.metric.process(None, samples)
        return samples[0]["pred"].numpy()

    def mean_iou(self) -> float:
        """In [0, 1]."""
        return self.metric.evaluate(len(self.dataset))["mIoU"] / 100


class Published:
    """The evaluation as published; see :class:`Ours`."""

    def __init__(self, model: EncoderDecoder, dataset: CityscapesDataset, watch: Stopwatch) -> None:
        self.model, self.dataset, self.watch = model, dataset, watch
        self.evaluation = PublishedEvaluation(model)

    @torch.no_grad()
    def __call__(self, index: int) -> np.ndarray:
        """Evaluate an image; returns the prediction (H, W)."""
        with self.watch.phase("decode"):
            batch = self.model.data_preprocessor(seg_collate([self.dataset[index]]))
            label = batch["gt_semantic_seg"][0].numpy()
        with ExitStack() as stack, self.watch.phase("upsampling, arg-max"):
            for module in (segmentor, hrda):
                stack.enter_context(timed(self.watch, "encoder", module, "encode"))
                stack.enter_context(timed(self.watch, "head", module, "decode"))
            prediction = self.evaluation.predict(batch["img"], label)
        with self.watch.phase("metric"):  # as published behind the last image; the cost is the same
            self.evaluation.areas(-1)
        return prediction

    def mean_iou(self) -> float:
        """In [0, 1]."""
        return float(np.nanmean(self.evaluation.iou()))


def timed(watch: Stopwatch, part: str, owner: Any, name: str) -> AbstractContextManager:
    """Time a function while the context lasts."""
    return patch.object(owner, name, watch.phase(part)(getattr(owner, name)))


class EvaluationRun:
    """One way of evaluating, in the process that is measured.

    Args:
        name: Key of :data:`WAYS`.
        args: The command line.
        folder: Where :func:`write_images` wrote.
    """

    def __init__(self, name: str, args: argparse.Namespace, folder: Path) -> None:
        self.watch = Stopwatch()
        self.way = WAYS[name](build(args), dataset_of(folder, args), self.watch)

    def predict(self, index: int) -> np.ndarray:
        """Prediction (H, W) of an image."""
        return self.way(index)

    def mean_iou(self) -> float:
        """Of what was predicted, in [0, 1]."""
        return self.way.mean_iou()

    def start(self) -> None:
        """Measure from now on."""
        reset_peak_memory("cpu")
        self.watch.seconds()
        self.times = Times()

    def measure(self, index: int) -> None:
        """Evaluate an image."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.way(index)
        self.times.seconds.append(time.perf_counter() - wall)
        self.times.cpu.append(time.process_time() - cpu)
        self.times.memory.append(memory("cpu")["now"])

    def result(self) -> Times:
        """What was measured."""
        return replace(self.times, parts=self.watch.seconds(), peak_memory=memory("cpu")["peak"])


WAYS = {"ours": Ours, "published": Published}


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


def build(args: argparse.Namespace) -> EncoderDecoder:
    """The network, with random weights, in eval mode."""
    cfg = config_of(StepCase(args.method, args.backbone, crop=args.crop))
    cfg.model.test_cfg = dict(mode="whole")
    if args.mode == "slide":
        window, stride = (args.crop, args.crop), (args.crop // 2, args.crop // 2)
        cfg.model.test_cfg = dict(mode="slide", batched_slide=True, crop_size=window, stride=stride)
    torch.manual_seed(0)
    return MODELS.build(cfg.model).eval()


def write_images(folder: Path, args: argparse.Namespace) -> None:
    """Write toy street scenes."""
    height, width = args.size
    scale = 1 if args.method == "hrda" else 2
    make_toy_dataset(folder, ["cityscapes"], (scale * width, scale * height), train=1, val=args.images)
    convert_cityscapes(str(folder / "cityscapes"), nproc=1)


def dataset_of(folder: Path, args: argparse.Namespace) -> CityscapesDataset:
    """The scenes with the pipeline that reads them."""
    scale = dict(scale=tuple(reversed(args.size)))
    steps = ["LoadImage", "Resize", "LoadLabel", "PackInputs"]
    pipeline = [dict(type=step, **(scale if step == "Resize" else {})) for step in steps]
    root = str(folder / "cityscapes")
    return CityscapesDataset(root, "leftImg8bit/val", "gtFine/val", pipeline=pipeline, test_mode=True)


def check(workers: dict[str, Worker], images: int) -> str:
    """Evaluate all images both ways and compare.

    Raises:
        SystemExit: They differ by more than rounding.
    """
    pairs = [[worker.ask("predict", index) for worker in workers.values()] for index in range(images)]
    agreement = float(np.mean([np.mean(first == second) for first, second in pairs]))
    difference = abs(float(np.subtract(*(worker.ask("mean_iou") for worker in workers.values()))))
    text = f"predictions agree on {100 * agreement:.4f} % of the pixels, mIoU differs by {difference:.1e}"
    if agreement < MIN_AGREEMENT or difference > MAX_IOU_DIFFERENCE:
        raise SystemExit(f"not the same evaluation: {text}")
    return text


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
    if args.images < 1 or args.pairs < 1:
        parser.error("--images and --pairs have to be 1 or more")
    if args.compare_published and args.pairs < MIN_PAIRS:
        parser.error(f"--pairs {args.pairs}: a ratio takes at least {MIN_PAIRS}")
    return args


def measure(args: argparse.Namespace, names: Sequence[str], console: Console) -> dict[str, Times]:
    """Evaluate in one process for each way, in turn, image by image."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_images(folder, args)
        workers = {}
        for name in names:
            variables = environment(published=name == "published")
            worker = Worker(EvaluationRun, name, args, folder, environment=variables)
            workers[name] = stack.enter_context(worker)
        if len(workers) > 1:
            console.print(check(workers, args.images))
        for worker in workers.values():
            worker.ask("predict", 0)  # warms up
            worker.ask("start")
        for index in range(args.pairs):
            for worker in workers.values():
                worker.ask("measure", index % args.images)
        return {name: worker.ask("result") for name, worker in workers.items()}


def main(argv: list[str] | None = None) -> int:
    """The command."""
    args, console = parse_args(argv), Console()
    names = list(WAYS) if args.compare_published else ["published" if args.published else "ours"]
    times = measure(args, names, console)
    machine = dict(describe("cpu"), matrix=f"2048³ product in {matrix_seconds('cpu'):.3f} s")
    console.print(", ".join(f"{key}: {value}" for key, value in machine.items()))
    for name, found in times.items():
        console.print(table_of(f"{args.method} {args.backbone} {name}", found))
        settled = len(found.memory) // 2  # by then the allocator of the host has what it needs
        kept = (found.memory[-1] - found.memory[settled]) / max(len(found.memory) - 1 - settled, 1)
        peak = f"peak memory: {found.peak_memory / MEGABYTE:.0f} MB"
        console.print(f"{peak}; kept with every image: {kept / MEGABYTE:.1f} MB")
    if args.compare_published:
        console.print(ratio_table(**times))
    return 0


if __name__ == "__main__":
    sys.exit(main())
