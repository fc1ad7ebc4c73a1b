"""Images per second of an evaluation: ``python -m benchmarks.evaluation --method hrda --backbone mit_b0``.

Reads toy street scenes from files, predicts and scores them, and prints where the time goes, the peak of the
memory and what of it is kept with every image. ``--published`` does the same organised as published;
``--compare-published`` does both in turn, image by image, and checks first that they agree. Images of
DAFormer are read at twice the size of the network's input, as from Cityscapes; HRDA takes them as they are.
"""

import argparse
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe, matrix_seconds, memory, reset_peak_memory
from benchmarks.published import hrda, segmentor
from benchmarks.published.evaluation import PublishedEvaluation
from benchmarks.startup_trace import PartTimes
from benchmarks.step_case import BACKBONES, StepCase, config_of
from mmseg.datasets import CityscapesDataset, uda_collate
from mmseg.datasets.conversion import convert_cityscapes
from mmseg.datasets.toy import make_toy_dataset
from mmseg.evaluation import IoUMetric
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS

MIN_PAIRS = 5
MIN_AGREEMENT, MAX_IOU_DIFFERENCE = 0.9999, 1e-3
MEGABYTE = 2**20


@dataclass
class Times:
    """Of one way to evaluate.

    Attributes:
        seconds: Wall time of each image.
        cpu: CPU time of each image.
        memory: Bytes of the process after each image.
        watch: Seconds by part.
    """

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    watch: PartTimes = field(default_factory=PartTimes)

    def run(self, evaluate: Callable[[int], Any], index: int) -> None:
        """Evaluate an image."""
        wall, cpu = time.perf_counter(), time.process_time()
        evaluate(index)
        self.seconds.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)
        self.memory.append(memory("cpu")["now"])


# ------------------------------------------------------------------------------------------------ both ways


class Ours:
    """The evaluation of this framework: data set, preprocessor, network, metric.

    Args:
        model: In eval mode.
        dataset: The images.
        watch: What times the parts.
    """

    def __init__(self, model: EncoderDecoder, dataset: CityscapesDataset, watch: PartTimes) -> None:
        self.model, self.dataset, self.watch = model, dataset, watch
        self.metric = IoUMetric()
        self.metric.dataset_meta = dataset.metainfo

    @torch.no_grad()
    def __call__(self, index: int) -> np.ndarray:
        """Evaluate an image; returns the prediction (H, W)."""
        with self.watch.part("decode"):
            batch = self.model.data_preprocessor(uda_collate([self.dataset[index]]))
        with ExitStack() as stack, self.watch.part("upsampling, arg-max"):
            for name, module in (("encoder", self.model.backbone), ("head", self.model.decode_head)):
                stack.enter_context(timed(self.watch, name, module, "forward"))
            if hasattr(self.model.decode_head, "head"):
                stack.enter_context(timed(self.watch, "head", self.model.decode_head.head, "forward"))
            samples = self.model(**batch, mode="predict")
        with self.watch.part("metric"):
            self.metric.process(None, samples)
        return samples[0]["pred"].numpy()

    def mean_iou(self) -> float:
        """In [0, 1]."""
        return self.metric.evaluate(len(self.dataset))["mIoU"] / 100


class Published:
    """The evaluation as published; see :class:`Ours`."""

    def __init__(self, model: EncoderDecoder, dataset: CityscapesDataset, watch: PartTimes) -> None:
        self.model, self.dataset, self.watch = model, dataset, watch
        self.evaluation = PublishedEvaluation(model)

    @torch.no_grad()
    def __call__(self, index: int) -> np.ndarray:
        """Evaluate an image; returns the prediction (H, W)."""
        with self.watch.part("decode"):
            batch = self.model.data_preprocessor(uda_collate([self.dataset[index]]))
            label = batch["gt_semantic_seg"][0].numpy()
        with ExitStack() as stack, self.watch.part("upsampling, arg-max"):
            for module in (segmentor, hrda):
                stack.enter_context(timed(self.watch, "encoder", module, "encode"))
                stack.enter_context(timed(self.watch, "head", module, "decode"))
            prediction = self.evaluation.predict(batch["img"], label)
        with self.watch.part("metric"):  # in the published order behind the last image; the cost is the same
            self.evaluation.areas(-1)
        return prediction

    def mean_iou(self) -> float:
        """In [0, 1]."""
        return float(np.nanmean(self.evaluation.iou()))


def timed(watch: PartTimes, part: str, owner: Any, name: str) -> AbstractContextManager:
    """Time a function while the context lasts."""
    return patch.object(owner, name, watch.around(part, getattr(owner, name)))


# ---------------------------------------------------------------------------------------------------- report


def table_of(name: str, times: Times) -> Table:
    """Seconds per image by part, and images per second."""
    table = Table(name, "seconds per image", "CPU seconds")
    for part, (wall, cpu) in times.watch.seconds.items():
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
        stride = (args.crop // 2, args.crop // 2)
        cfg.model.test_cfg = dict(mode="slide", crop_size=(args.crop, args.crop), stride=stride)
    torch.manual_seed(0)
    return MODELS.build(cfg.model).eval()


def write_images(folder: Path, args: argparse.Namespace) -> CityscapesDataset:
    """Toy street scenes, and the pipeline that reads them."""
    height, width = args.size
    scale = 1 if args.method == "hrda" else 2
    make_toy_dataset(folder, ["cityscapes"], (scale * width, scale * height), train=1, val=args.images)
    convert_cityscapes(str(folder / "cityscapes"), nproc=1)
    steps = ["LoadImage", "Resize", "LoadLabel", "PackInputs"]
    pipeline = [
        dict(type=step, **(dict(scale=(width, height)) if step == "Resize" else {})) for step in steps
    ]
    root = str(folder / "cityscapes")
    return CityscapesDataset(root, "leftImg8bit/val", "gtFine/val", pipeline=pipeline, test_mode=True)


def check(ours: Ours, published: Published) -> str:
    """Evaluate all images both ways and compare.

    Raises:
        SystemExit: They differ by more than rounding.
    """
    pairs = [(ours(index), published(index)) for index in range(len(ours.dataset))]
    agreement = float(np.mean([np.mean(first == second) for first, second in pairs]))
    difference = abs(ours.mean_iou() - published.mean_iou())
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
    if args.images < 1 or args.pairs < 1:
        parser.error("--images and --pairs have to be 1 or more")
    if args.compare_published and args.pairs < MIN_PAIRS:
        parser.error(f"--pairs {args.pairs}: a ratio takes at least {MIN_PAIRS}")
    return args


def main(argv: list[str] | None = None) -> int:
    args, console = parse_args(argv), Console()
    model = build(args)
    with tempfile.TemporaryDirectory() as folder:
        dataset = write_images(Path(folder), args)
        chosen = {"ours": Ours, "published": Published}
        if not args.compare_published:
            chosen = {"published": Published} if args.published else {"ours": Ours}
        times = {name: Times() for name in chosen}
        ways = {name: way(model, dataset, times[name].watch) for name, way in chosen.items()}
        if args.compare_published:
            console.print(check(ways["ours"], ways["published"]))
        else:
            next(iter(ways.values()))(0)  # warms up
            reset_peak_memory("cpu")
        for name in times:
            times[name].watch.seconds.clear()
        for index in range(args.pairs):
            for name, way in ways.items():
                times[name].run(way, index % len(dataset))
    machine = dict(describe("cpu"), matrix=f"2048³ product in {matrix_seconds('cpu'):.3f} s")
    console.print(", ".join(f"{key}: {value}" for key, value in machine.items()))
    for name, found in times.items():
        console.print(table_of(f"{args.method} {args.backbone} {name}", found))
    if args.compare_published:
        console.print(ratio_table(times["ours"], times["published"]))
    else:
        (found,) = times.values()
        kept = (found.memory[-1] - found.memory[0]) / max(len(found.memory) - 1, 1)
        peak = memory("cpu")["peak"] / MEGABYTE
        console.print(f"peak memory: {peak:.0f} MB; kept with every image: {kept / MEGABYTE:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
