"""Check the data of a config.

Counts images, and reports missing pairs, unreadable files, size mismatches, label values outside the classes,
crops larger than the image and class statistics that do not fit the files. Exit status 1 with a list when
something is wrong.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mmseg.cli import add_cfg_options, command, print_or_write
from mmseg.config.checks import check_classes, check_crops, validation_problem
from mmseg.config.load import load_config
from mmseg.datasets.loaders import LOADERS, data_of
from mmseg.datasets.transforms.loading import LoadImage, LoadLabel
from mmseg.datasets.verify import Part, ignored_values, open_parts, verify
from mmseg.errors import ConfigError
from mmseg.visualization.grid import Tile, write_grid
from mmseg.visualization.palette_image import Pixels, colorize

SHOWN = 20
PICTURES = 4
"""Images of each data set that are drawn, spread over it."""


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file")
    parser.add_argument("--nproc", type=int, default=4, help="processes (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="read only one sample of each data set")
    parser.add_argument(
        "--write-statistics",
        action="store_true",
        help="count the classes of the source and write the files that rare class sampling needs into its "
        "data_root (for own data; tools/convert_datasets does it for the published data sets)",
    )
    parser.add_argument("--json", help="write what was found out as JSON to this file")
    parser.add_argument("--show-dir", type=Path, help="write pictures of some images and labels here")
    add_cfg_options(parser)
    return parser.parse_args(argv)


def print_report(parts: list[Part], console: Console) -> None:
    """Print one line for each data set, then everything that is wrong."""
    table = Table("data set", "type", "images", "labels", "classes", "problems")
    for part in parts:
        dataset = part.dataset
        found = ("-", "-", "-")
        if dataset is not None:
            found = (str(len(dataset)), "yes" if dataset.has_labels else "no", str(dataset.num_classes))
        table.add_row(part.name, str(part.cfg["type"]), *found, str(len(part.problems)))
    console.print(table)
    for part in parts:
        if part.files:
            print_contents(part, console)
    for part in parts:
        for warning in part.warnings:
            console.print(f"warning: {part.name}: {warning}", markup=False, soft_wrap=True, highlight=False)
        for problem in part.problems[:SHOWN]:
            console.print(f"error: {part.name}: {problem}", markup=False, soft_wrap=True, highlight=False)
        if len(part.problems) > SHOWN:
            console.print(f"error: {part.name}: … and {len(part.problems) - SHOWN} more")


def contents(part: Part) -> dict[str, Any]:
    """What the files of a data set hold, as numbers and texts."""
    dataset = part.dataset
    sizes = Counter("x".join(map(str, file.size)) for file in part.files if file.size)
    found: dict[str, Any] = dict(
        name=part.name, type=str(part.cfg["type"]), problems=part.problems, warnings=part.warnings,
        images=0 if dataset is None else len(dataset), sizes=dict(sizes.most_common()),
    )  # fmt: skip
    if dataset is None or not dataset.has_labels or not part.files:
        return found
    share, ignored = ignored_values(part.files)
    pixels: Counter[int] = Counter()
    for file in part.files:
        pixels.update(file.pixels)
    total = max(pixels.total() + ignored.total(), 1)
    classes = {
        name: dict(
            pixels=pixels[c], share=pixels[c] / total, images=sum(c in file.pixels for file in part.files)
        )
        for c, name in enumerate(dataset.classes)
    }
    values = {str(value): count for value, count in ignored.most_common()}
    return dict(found, classes=classes, ignored_share=share, ignored_values=values)


def print_contents(part: Part, console: Console) -> None:
    """Print sizes, classes and ignored values of a data set."""
    found = contents(part)
    sizes = [f"{size} ({count})" for size, count in found["sizes"].items()]
    more = f" and {len(sizes) - 5} more" if len(sizes) > 5 else ""
    console.print(f"{part.name}: sizes {', '.join(sizes[:5])}{more}", highlight=False)
    if "classes" not in found:
        return
    table = Table("class", "share of pixels", "images with it", title=f"{part.name}, classes")
    for name, each in found["classes"].items():
        table.add_row(name, f"{each['share']:.2%}", f"{each['images']} of {found['images']}")
    values = [f"{value} ({count})" for value, count in found["ignored_values"].items()]
    more = f" and {len(values) - 8} more" if len(values) > 8 else ""
    table.add_row("ignored", f"{found['ignored_share']:.2%}", f"values {', '.join(values[:8])}{more}")
    console.print(table)


def write_pictures(parts: list[Part], out_dir: Path) -> Iterator[Path]:
    """Draw some images of each data set above their labels, and yield the files."""
    for part in parts:
        dataset = part.dataset
        if dataset is None or part.problems:
            print(f"--show-dir: no picture of {part.name}, which has problems", file=sys.stderr)
            continue
        chosen = np.linspace(0, len(dataset) - 1, min(PICTURES, len(dataset))).round().astype(int)
        rows: list[list[Tile]] = [[], []]
        for sample in (dataset.samples[index] for index in chosen):
            image = LoadImage.of(dataset.transforms).read(sample.img_path)
            rows[0].append(Tile(thumbnail(image), (sample.name,)))
            if sample.seg_map_path is not None:
                _, label = LoadLabel().read(dataset.describe(sample))
                rows[1].append(Tile(thumbnail(colorize(label, dataset.palette))))
        path = out_dir / f"{part.name.replace(' ', '_')}.png"
        try:
            write_grid(path, [row for row in rows if row])
        except OSError as error:
            raise ConfigError(f"--show-dir: {path}: cannot be written ({error.strerror})") from error
        yield path


def thumbnail(picture: Pixels) -> Pixels:
    """At most 384 pixels wide; every pixel shown is one of the picture."""
    step = -(-picture.shape[1] // 384)
    return picture[::step, ::step]


@command
def main(argv: list[str] | None = None) -> int:
    """Run the check; returns the exit status."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    if not any(data_of(cfg, loader) for loader in LOADERS):
        raise ConfigError(f"{args.config}: none of {', '.join(LOADERS)} names data; see docs/own_data.md")
    parts = open_parts(cfg) if args.quick else verify(cfg, max(args.nproc, 1), args.write_statistics)
    try:
        if parts and parts[0].dataset is not None:
            check_classes(cfg, parts[0])
    except ConfigError as error:
        parts[0].problems.append(str(error))
    for part in parts:
        if problem := validation_problem(parts[0], part):
            part.problems.append(problem)
    if cfg.get("uda") and parts:
        parts[0].warnings += check_crops(cfg, parts)
    print_report(parts, Console())
    if args.json is not None:
        print_or_write(json.dumps([contents(part) for part in parts], indent=2) + "\n", args.json, "--json")
    if args.show_dir is not None:
        for path in write_pictures(parts, args.show_dir):
            print(path)
    return int(any(part.problems for part in parts))
