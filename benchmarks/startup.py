"""Time from the start of a program to its first iteration: ``python -m benchmarks.startup --exp 80``.

The data sets have as many files as the real ones (24,966 images of GTA, 2,975 + 500 of Cityscapes, …) in the
same layout: hard links to a few toy street scenes of real size, so that every one of them can be read. The
ImageNet weights are a file of random ones. Launcher and trainer are timed apart; for a program that starts a
trainer of its own, the time runs from the start of the launcher.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import experiments
from mmseg import datasets, models  # noqa: F401  (fill the registries)
from mmseg.config.load import load_config
from mmseg.config.work_dir import generated_config
from mmseg.datasets.conversion.cityscapes import convert_cityscapes
from mmseg.datasets.conversion.gta import GTA
from mmseg.datasets.conversion.runner import convert_dataset
from mmseg.datasets.conversion.synthia import SYNTHIA
from mmseg.datasets.sampling.class_statistics import (
    STATISTICS_FILE,
    Counted,
    read_class_statistics,
    write_class_statistics,
)
from mmseg.errors import MMSegError
from mmseg.registry import DATASETS, MODELS
from mmseg.toy import make_toy_dataset

ROOT = Path(__file__).parents[1]
TARGET_SECONDS = 10.0
MARKER = ".startup_benchmark"
"""Lies in a folder that this benchmark has filled."""
FILES = {
    "gta": (24966, 0),
    "synthia": (9400, 0),
    "cityscapes": (2975, 500),
    "acdc": (1600, 406),
    "dark_zurich": (2416, 50),
}
"""Images of the data sets: training, validation."""
CONVERTERS = {
    "gta": partial(convert_dataset, GTA),
    "synthia": partial(convert_dataset, SYNTHIA),
    "cityscapes": convert_cityscapes,
}


# ------------------------------------------------------------------------------------------------------ data


def prepare(folder: Path, cfg: Any, size: tuple[int, int], images: int | None = None) -> None:
    """Write the data sets and the weights that a config names, with the paths it names, below a folder.

    Args:
        folder: Empty, or what this function left there.
        cfg: The config.
        size: (width, height) of the images.
        images: Number of training images of each set, instead of those of the real ones.
    """
    train, val = cfg.train_dataloader.dataset, cfg.val_dataloader.dataset
    sets = [(part, 0) for part in ([train["source"], train["target"]] if "source" in train else [train])]
    for part, split in [*sets, (val, 1)]:
        if Path(part.data_root).is_absolute():
            raise SystemExit(f"{part.data_root}: toy images would go there; name a relative data_root")
        root = folder / part.data_root
        done = root / f"{part.type}_{split}.done"
        if done.exists():
            continue
        make_toy_dataset(root.parent, [root.name], size, train=2, val=1)
        if (convert := CONVERTERS.get(root.name)) and not (root / STATISTICS_FILE).exists():
            convert(str(root), nproc=1)
        multiply(DATASETS.build(dict(part, data_root=str(root))), images or FILES[root.name][split])
        done.touch()
    weights = folder / (cfg.model.get("pretrained") or "none")
    if cfg.model.get("pretrained") and not weights.exists():
        weights.parent.mkdir(exist_ok=True)
        torch.save(MODELS.build(cfg.model.backbone).state_dict(), weights)


def multiply(dataset: datasets.SegmentationDataset, number: int) -> None:
    """Link the files of a data set under further names until it has ``number`` images; its class statistics,
    if it has some, name them all."""
    copies: dict[str, list[str]] = {sample.name: [] for sample in dataset.samples}
    names = list(copies)
    for index in range(len(names), number):
        copies[names[index % len(names)]].append(f"{names[index % len(names)]}-{index:05d}")
    for folder in {dataset.img_dir, dataset.ann_dir} - {None}:
        for name, others in copies.items():
            for file in folder.glob(f"{name}[._]*"):
                suffix = str(file.relative_to(folder)).removeprefix(name)
                for other in others:
                    (folder / f"{other}{suffix}").hardlink_to(file)
    if (dataset.root / STATISTICS_FILE).exists():
        _repeat_statistics(dataset, copies)


def _repeat_statistics(dataset: datasets.SegmentationDataset, copies: dict[str, list[str]]) -> None:
    def repeated(file: str) -> list[str]:
        name = next((name for name in copies if f"/{name}_" in file), None)
        return [file, *(file.replace(f"/{name}_", f"/{other}_") for other in copies.get(name or "", []))]

    pixels_of_file = {
        file: {int(c): count for c, count in entry.items() if c != "file"}
        for entry in read_class_statistics(dataset).samples
        for file in repeated(entry["file"])
    }
    write_class_statistics(dataset.root, pixels_of_file, Counted.of(dataset))


# ---------------------------------------------------------------------------------------------------- timing


def start(folder: Path, arguments: list[str], iterate: bool) -> list[dict[str, Any]]:
    """Start ``run_experiments.py`` in a folder; end it at the first iteration, or behind it.

    Returns:
        What :mod:`benchmarks.startup_trace` wrote, and first an entry with the time of the start.
    """
    log = folder / "startup.jsonl"
    log.unlink(missing_ok=True)
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    begin = time.time()
    trace = ["-m", "benchmarks.startup_trace", str(log), str(int(iterate)), "run_experiments"]
    done = subprocess.run(
        [sys.executable, *trace, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    if not any("reached" in entry for entry in entries):
        raise SystemExit(f"the first iteration was not reached:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return [dict(begin=begin), *entries]


def report(entries: list[dict[str, Any]]) -> Table:
    """A table of the parts of one start."""
    begin = entries[0]["begin"]
    reached = next(entry for entry in entries if "reached" in entry)
    table = Table("process", "part", "seconds", "CPU seconds", title="start to first iteration")
    cpu = 0.0
    for entry in entries[1:]:
        if "finished" in entry:
            continue
        for part, (wall, used) in sorted(entry["seconds"].items(), key=lambda item: -item[1][0]):
            cpu += used
            table.add_row(entry["program"].removeprefix("tools."), part, f"{wall:.2f}", f"{used:.2f}")
    table.add_section()
    table.add_row("", "until the first iteration", f"{reached['reached'] - begin:.2f}", f"{cpu:.2f}")
    table.add_row("", "target", f"{TARGET_SECONDS:.0f}", "")
    if finished := [entry["finished"] for entry in entries if "finished" in entry]:
        table.add_row("", "the first iteration itself", f"{finished[0] - reached['reached']:.2f}", "")
    return table


def _arguments_of_run(args: argparse.Namespace) -> tuple[Any, list[str]]:
    """The config of what is started (of an ID: its first run), and the words of the command line."""
    if args.config:
        cfg, words = load_config(args.config), ["--config", str(Path(args.config).resolve())]
    else:
        cfg, words = experiments.make_config(experiments.runs(args.exp)[0]), ["--exp", str(args.exp)]
    return cfg, [
        *words,
        "--startup-test",
        *(["--cfg-options", *args.cfg_options] if args.cfg_options else []),
    ]


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--exp", type=int, default=80, help="experiment ID; its first run is started")
    what.add_argument("--config", help="a config file instead")
    parser.add_argument("--repeat", type=int, default=1, help="starts; the median one is shown")
    parser.add_argument("--iterate", action="store_true", help="run and time the first iteration as well")
    parser.add_argument("--size", default="1914x1052", help="WIDTHxHEIGHT of the images")
    parser.add_argument("--images", type=int, help="files of each data set instead of the real number")
    parser.add_argument("--folder", type=Path, help="keep the data there, for the next time")
    parser.add_argument("--cfg-options", nargs="+", metavar="KEY=VALUE", help="handed to the program")
    args = parser.parse_args(argv)
    if not (size := re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", args.size)):
        parser.error(f"--size {args.size}: expected WIDTHxHEIGHT, as 1914x1052")
    args.size = tuple(int(length) for length in size.groups())
    if args.repeat < 1 or (args.images is not None and args.images < 1):
        parser.error("--repeat and --images have to be 1 or more")
    if args.folder and args.folder.exists():
        if not args.folder.is_dir() or (any(args.folder.iterdir()) and not (args.folder / MARKER).exists()):
            parser.error(f"--folder {args.folder}: holds other things than this benchmark's; name a new one")
        if (args.folder / "work_dirs").exists():
            parser.error(f"--folder {args.folder}: holds work_dirs, which would be deleted; move it away")
    try:
        args.cfg, args.words = _arguments_of_run(args)
    except MMSegError as error:
        parser.error(str(error))
    return args


def remove_runs(folder: Path) -> None:
    """Remove the runs in a folder, and the configs that were generated for them."""
    for run in (folder / "work_dirs").glob("*/*"):
        (folder / generated_config(run.name, run.parent.name)).unlink(missing_ok=True)
    shutil.rmtree(folder / "work_dirs", ignore_errors=True)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()
        prepare(folder, args.cfg, args.size, args.images)
        try:
            starts = [start(folder, args.words, args.iterate) for _ in range(args.repeat)]
        finally:
            remove_runs(folder)
    starts.sort(key=lambda entries: max(entry.get("reached", 0) for entry in entries) - entries[0]["begin"])
    Console().print(report(starts[len(starts) // 2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
