"""One way to evaluate, in the process that is measured: ours, or the published one."""

import argparse
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.utils.data import DataLoader

from benchmarks.machine import memory, reset_peak_memory, synchronize, use_tf32
from benchmarks.published import hrda, segmentor
from benchmarks.published.evaluation import PublishedEvaluation
from benchmarks.step_case import StepCase, config_of
from benchmarks.stopwatch import Phase, Seconds, Stopwatch
from mmseg.datasets import CityscapesDataset, seg_collate
from mmseg.evaluation import IoUMetric
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS


@dataclass
class Times:
    """Of one way to evaluate.

    Attributes:
        seconds: Wall time of each image.
        cpu: CPU time of each image.
        memory: Bytes of the process after each image.
        peak_memory: Bytes of the process at the peak.
        parts: Seconds by part, of all images together.
        loader_rate: Images per second with a data loader of several processes.
        agreement: Share of pixels that both ways predict alike.
    """

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    peak_memory: int = 0
    parts: dict[Phase, Seconds] = field(default_factory=dict)
    loader_rate: float | None = None
    agreement: float | None = None


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

    def __call__(self, index: int) -> np.ndarray:
        """Evaluate an image; returns the prediction (H, W)."""
        with self.watch.phase("decode"):
            batch = seg_collate([self.dataset[index]])
        return self.evaluate(batch).cpu().numpy()

    @torch.no_grad()
    def evaluate(self, batch: dict[str, Any]) -> torch.Tensor:
        """Predict and score a loaded image; returns the prediction (H, W), on the device."""
        with self.watch.phase("decode"):
            batch = self.model.data_preprocessor(batch)
        with ExitStack() as stack, self.watch.phase("upsampling, arg-max"):
            for name, module in (("encoder", self.model.backbone), ("head", self.model.decode_head)):
                stack.enter_context(timed(self.watch, name, module, "forward"))
            if hasattr(self.model.decode_head, "head"):
                stack.enter_context(timed(self.watch, "head", self.model.decode_head.head, "forward"))
            samples = self.model(**batch, mode="predict")
        with self.watch.phase("metric"):
            self.metric.process(None, samples)
        return samples[0]["pred"]

    def mean_iou(self) -> float:
        """In [0, 1]."""
        return self.metric.evaluate(len(self.dataset))["mIoU"] / 100


class Published:
    """The evaluation as published; see :class:`Ours`."""

    def __init__(self, model: EncoderDecoder, dataset: CityscapesDataset, watch: Stopwatch) -> None:
        self.model, self.dataset, self.watch = model, dataset, watch
        self.evaluation = PublishedEvaluation(model)

    def __call__(self, index: int) -> np.ndarray:
        """Evaluate an image; returns the prediction (H, W)."""
        with self.watch.phase("decode"):
            batch = seg_collate([self.dataset[index]])
        return self.evaluate(batch)

    @torch.no_grad()
    def evaluate(self, batch: dict[str, Any]) -> np.ndarray:
        """Predict and score a loaded image; returns the prediction (H, W)."""
        with self.watch.phase("decode"):
            label = batch["gt_semantic_seg"][0].numpy()
            batch = self.model.data_preprocessor(batch)
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
        use_tf32(args.tf32)
        torch.backends.cudnn.benchmark = True
        self.device, self.workers, self.dataset = args.device, args.workers or 0, dataset_of(folder, args)
        self.watch = Stopwatch(args.device)
        self.way = WAYS[name](build(args).to(args.device), self.dataset, self.watch)

    def predict(self, index: int) -> np.ndarray:
        """Prediction (H, W) of an image."""
        return self.way(index)

    def mean_iou(self) -> float:
        """Of what was predicted, in [0, 1]."""
        return self.way.mean_iou()

    def start(self) -> None:
        """Measure from now on."""
        reset_peak_memory(self.device)
        self.watch.seconds()
        self.times = Times()

    def measure(self, index: int) -> None:
        """Evaluate an image."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.way(index)
        synchronize(self.device)
        self.times.seconds.append(time.perf_counter() - wall)
        self.times.cpu.append(time.process_time() - cpu)
        self.times.memory.append(memory(self.device)["now"])

    def result(self) -> Times:
        """What was measured."""
        return replace(self.times, parts=self.watch.seconds(), peak_memory=memory(self.device)["peak"])

    def loader_rate(self, images: int) -> float:
        """Images per second that come from a data loader, with as many before to warm it up."""
        indices = [index % len(self.dataset) for index in range(2 * images)]
        loader = DataLoader(
            self.dataset, sampler=indices, num_workers=self.workers, collate_fn=seg_collate,
            pin_memory=self.device == "cuda",
        )  # fmt: skip
        begin = 0.0
        for number, batch in enumerate(loader):
            if number == images:
                synchronize(self.device)
                begin = time.perf_counter()
            self.way.evaluate(batch)
        synchronize(self.device)
        return images / (time.perf_counter() - begin)


WAYS = {"ours": Ours, "published": Published}


def build(args: argparse.Namespace) -> EncoderDecoder:
    """The network, with random weights, in eval mode."""
    cfg = config_of(StepCase(args.method, args.backbone, crop=args.crop))
    cfg.model.test_cfg = dict(mode="whole")
    if args.mode == "slide":
        window, stride = (args.crop, args.crop), (args.crop // 2, args.crop // 2)
        cfg.model.test_cfg = dict(mode="slide", batched_slide=True, crop_size=window, stride=stride)
    torch.manual_seed(0)
    return MODELS.build(cfg.model).eval()


def dataset_of(folder: Path, args: argparse.Namespace) -> CityscapesDataset:
    """The scenes with the pipeline that reads them."""
    scale = dict(scale=tuple(reversed(args.size)))
    steps = ["LoadImage", "Resize", "LoadLabel", "PackInputs"]
    pipeline = [dict(type=step, **(scale if step == "Resize" else {})) for step in steps]
    root = str(folder / "cityscapes")
    return CityscapesDataset(root, "leftImg8bit/val", "gtFine/val", pipeline=pipeline, test_mode=True)
