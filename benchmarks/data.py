"""Speed of the training data pipeline on one core: ``python -m benchmarks.data --pair gta``.

``--prepared`` reads the data that ``tools/prepare_data.py`` writes. ``--published`` measures the pipeline
with the operations of the published code. ``--compare-published`` first compares the pixels of both, then
measures them in turns; the ratio is the median of the pairs. Pictures of the real sizes are made on the first
call, which takes a few minutes.

Seconds are processor time of the process, all of its threads: what a core can deliver, whoever else uses the
machine. Files come from the page cache.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe
from benchmarks.pictures import FILES, SIZES, write_pictures
from benchmarks.published.data import MEAN, STD, PublishedPairs, PublishedPipeline
from benchmarks.stopwatch import Stopwatch
from mmseg.datasets import SegmentationDataset, UDADataset
from mmseg.datasets.prepared.write import plan_preparation, prepare
from mmseg.datasets.sampling.keyed_random import keyed_random_state
from mmseg.registry import DATASETS

CONFIGS = Path(__file__).parents[1] / "configs" / "_base_" / "datasets"
STANDARD = "uda_gta_to_cityscapes_512x512.py"
PAIRS = {
    "gta": STANDARD,
    "cityscapes": STANDARD,
    "uda": STANDARD,
    "rcs": STANDARD,
    "hr": "uda_gtaHR_to_cityscapesHR_1024x1024.py",
}
RCS = dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=0.5)
PARTS = {
    "LoadImage": "decode picture",
    "LoadLabel": "decode label",
    "Resize": "resize",
    "RandomCrop": "crop",
    "RandomFlip": "flip",
    "Pad": "pad, to tensors",
    "PackInputs": "pad, to tensors",
}
MIN_PAIRS = 5
TOLERANCE = 1e-5  # of normalised pixels
AnyDataset = SegmentationDataset | UDADataset
Sampler = Callable[[int], dict[str, Any]]


# ------------------------------------------------------------------------------------------------ what is run


def dataset_configs(pair: str, data: Path, shrink: int) -> dict[str, dict]:
    """Configs of the data sets of a pair by their role, with everything divided by ``shrink``."""
    cfg = Config.fromfile(CONFIGS / PAIRS[pair])
    found = {"source": cfg.train_dataloader.dataset.source, "target": cfg.train_dataloader.dataset.target}
    if pair in SIZES:
        found = {"source": {"gta": cfg.gta_train, "cityscapes": cfg.cityscapes_train}[pair]}
    configs = {}
    for role, dataset in found.items():
        configs[role] = {**dataset, "data_root": str(data / Path(dataset["data_root"]).name)}
        configs[role]["pipeline"] = [_shrunk(step, shrink) for step in dataset["pipeline"]]
        if role == "target":
            configs[role]["load_labels"] = False
    return configs


def _shrunk(step: dict, shrink: int) -> dict:
    sizes = {
        key: tuple(n // shrink for n in step[key]) for key in ("scale", "crop_size", "size") if key in step
    }
    return {**step, **sizes}


def build(pair: str, data: Path, shrink: int, prepared: bool) -> AnyDataset:
    """The data set of a pair; ``prepared`` data are written when they are not there yet."""
    configs = dataset_configs(pair, data, shrink)
    if prepared:
        for role, cfg in configs.items():
            folder = data / "prepared" / f"{pair}_{role}"
            dataset = DATASETS.build(cfg)
            prepare(dataset, folder, plan_preparation(dataset, folder), nproc=1)
            cfg["prepared"] = str(folder)
    if "target" not in configs:
        return DATASETS.build(configs["source"])
    rcs = {**RCS, "min_pixels": RCS["min_pixels"] // shrink**2} if pair == "rcs" else None
    return DATASETS.build({"type": "UDADataset", **configs, "rare_class_sampling": rcs})


def sampler(dataset: Any) -> Sampler:
    """Sample by position, the same for both organisations."""
    if hasattr(dataset, "draw"):
        return lambda position: dataset.draw(keyed_random_state(0, position))
    return lambda position: dataset.get(position, keyed_random_state(0, position))


def timed(dataset: AnyDataset, watch: Stopwatch) -> AnyDataset:
    """Time the transforms of a data set."""
    for one in (dataset.source, dataset.target) if isinstance(dataset, UDADataset) else (dataset,):
        one.transforms = [watch.phase(PARTS[type(step).__name__])(step) for step in one.transforms]
    return dataset


def published(dataset: AnyDataset, watch: Stopwatch) -> PublishedPairs | PublishedPipeline:
    """The published organisation of a data set."""
    return (PublishedPairs if isinstance(dataset, UDADataset) else PublishedPipeline)(dataset, watch)


def check_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Compare a sample of both organisations.

    Raises:
        AssertionError: Labels differ, or normalised pixels differ by more than :data:`TOLERANCE`.
    """
    for key, expected in theirs.items():
        if key == "gt_semantic_seg":
            assert torch.equal(ours[key].long(), expected), key
            continue
        mean, std = (torch.from_numpy(array).view(3, 1, 1) for array in (MEAN, STD))
        torch.testing.assert_close(
            (ours[key] - mean) / std, expected.double(), atol=TOLERANCE, rtol=TOLERANCE
        )


# ------------------------------------------------------------------------------------------------- measuring


def run(sample: Sampler, number: int) -> float:
    """Processor seconds of ``number`` samples."""
    begin = time.process_time()
    for position in range(number):
        sample(position)
    return time.process_time() - begin


def measure(samplers: dict[str, Sampler], number: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of every repeat, the organisations in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in samplers}
    for _ in range(repeats):
        for name, sample in samplers.items():
            seconds[name].append(run(sample, number))
    return seconds


def surroundings(args: argparse.Namespace, data: Path) -> Table:
    """What was measured, and on what."""
    table = Table("data pipeline", args.pair)
    for name, (width, height) in SIZES.items():
        files = [data / name / FILES[name][0].format(index) for index in range(args.images)]
        size = statistics.mean(file.stat().st_size for file in files) / 1e6
        table.add_row(f"{name} pictures", f"{width // args.shrink}x{height // args.shrink}, {size:.2f} MB")
    libraries = ("numpy", "opencv-python", "pillow", "kornia_rs")
    for name, value in {**describe("cpu"), **{library: _version(library) for library in libraries}}.items():
        table.add_row(name, value)
    return table


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "missing"


def report(seconds: dict[str, list[float]], watches: dict[str, Stopwatch], args: argparse.Namespace) -> Table:
    """Samples per second and milliseconds of every part."""
    table = Table("one core", *seconds)
    rates = {name: args.images / statistics.median(values) for name, values in seconds.items()}
    table.add_row("samples/s", *(f"{rate:.1f}" for rate in rates.values()), end_section=True)
    number = args.images * args.repeats
    means = {name: sum(values) / number for name, values in seconds.items()}
    parts = {
        name: {part: spent.cpu / number for part, spent in watch.seconds().items()}
        for name, watch in watches.items()
    }
    for name, mean in means.items():
        parts[name]["rest"] = mean - sum(parts[name].values())
    for part in dict.fromkeys(part for found in parts.values() for part in found):
        table.add_row(f"{part}, ms", *(f"{1000 * parts[name].get(part, 0):.2f}" for name in seconds))
    table.add_row("all, ms", *(f"{1000 * mean:.2f}" for mean in means.values()))
    return table


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pair", choices=PAIRS, default="gta", help="what is loaded (default: %(default)s)")
    parser.add_argument("--images", type=int, default=8, help="pictures of each set (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="passes over them (default: %(default)s)")
    parser.add_argument("--prepared", action="store_true", help="with prepared data")
    organisation = parser.add_mutually_exclusive_group()
    organisation.add_argument("--published", action="store_true", help="only as published")
    organisation.add_argument("--compare-published", action="store_true", help="both, in turns")
    parser.add_argument("--shrink", type=int, default=1, help="divisor of all sizes, for tests")
    parser.add_argument("--data", default="work_dirs/benchmarks/data", help="default: %(default)s")
    args = parser.parse_args(argv)
    if min(args.images, args.repeats, args.shrink) < 1:
        parser.error("--images, --repeats and --shrink have to be 1 or more")
    if args.compare_published and args.repeats < MIN_PAIRS:
        parser.error(f"--repeats {args.repeats}: a ratio takes at least {MIN_PAIRS}")
    return args


def main(argv: list[str] | None = None) -> None:
    """Measure and print the tables."""
    args = parse_args(argv)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    data = Path(args.data, f"{args.images}_images_{args.shrink}")
    write_pictures(data, args.images, args.shrink)
    dataset = build(args.pair, data, args.shrink, prepared=False)
    ours = build(args.pair, data, args.shrink, args.prepared)
    name = "prepared" if args.prepared else "ours"
    watches = {"published": Stopwatch(), name: Stopwatch()}
    samplers = {
        "published": sampler(published(dataset, watches["published"])),
        name: sampler(timed(ours, watches[name])),
    }
    if not args.compare_published:
        samplers.pop(name if args.published else "published")
    for position in range(args.images):  # also warms up
        samples = [sample(position) for sample in samplers.values()]
        if args.compare_published:
            check_same(samples[1], samples[0])
    for watch in watches.values():
        watch.seconds()  # of these samples
    seconds = measure(samplers, args.images, args.repeats)
    console = Console()
    console.print(surroundings(args, data))
    console.print(report(seconds, {name: watches[name] for name in samplers}, args))
    if args.compare_published:
        ratios = np.divide(seconds["published"], seconds[name])
        console.print(
            f"{name} is {np.median(ratios):.2f} x as fast as published (median of {len(ratios)} pairs, "
            f"{ratios.min():.2f} to {ratios.max():.2f}); same pixels"
        )


if __name__ == "__main__":
    main()
