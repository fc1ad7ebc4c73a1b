"""Check the data of a config.

Counts images, and reports missing pairs, unreadable files, size mismatches, label values outside the classes,
crops larger than the image and class statistics that do not fit the files. Exit status 1 with a list when
something is wrong.
"""

import argparse

from rich.console import Console
from rich.table import Table

from mmseg.cli import add_cfg_options, command
from mmseg.config.load import load_config
from mmseg.datasets.verify import Part, open_parts, verify

SHOWN = 20


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
        for warning in part.warnings:
            console.print(f"warning: {part.name}: {warning}", markup=False, soft_wrap=True, highlight=False)
        for problem in part.problems[:SHOWN]:
            console.print(f"error: {part.name}: {problem}", markup=False, soft_wrap=True, highlight=False)
        if len(part.problems) > SHOWN:
            console.print(f"error: {part.name}: … and {len(part.problems) - SHOWN} more")


@command
def main(argv: list[str] | None = None) -> int:
    """Run the check; returns the exit status."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    parts = open_parts(cfg) if args.quick else verify(cfg, max(args.nproc, 1), args.write_statistics)
    print_report(parts, Console())
    return int(any(part.problems for part in parts))
