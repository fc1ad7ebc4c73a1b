"""Parameters and operations of networks: python tools/get_param_count.py [--exp ID] [CONFIG ...]

Every network is listed once, however many runs train it. Without CONFIG and --exp those of all experiment IDs
are counted.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from mmengine.config import Config
from rich.console import Console
from rich.progress import track
from rich.table import Table

import experiments
from mmseg.cli import command
from mmseg.config.load import load_config
from mmseg.errors import ConfigError
from mmseg.reports.counts import Network, NetworkCost, count, unique_networks

NOTE = (
    "Operations of one image of the size of the training crop, in units of 10^9; a multiply-add counts as 2. "
    "Convolutions, matrix products and attention are counted. Training: one forward pass, for HRDA of the "
    "context and one detail crop. Inference: for HRDA of the context and all detail windows."
)
MIN_WIDTH = 130
"""Columns of the terminal below which numbers would be cut."""


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("configs", nargs="*", metavar="CONFIG", help="config files of runs")
    parser.add_argument("--exp", type=int, nargs="+", metavar="ID", help="experiment IDs")
    return parser.parse_args(argv)


def configs_of(args: argparse.Namespace, problems: list[str]) -> Iterator[tuple[str, Config]]:
    """(Who uses it, config) of everything that the command line names; adds what cannot be composed to
    ``problems``."""
    for path in args.configs:
        yield Path(path).stem, load_config(path)
    everything = list(experiments.EXPERIMENTS) if not args.configs else []
    for exp_id in everything if args.exp is None else args.exp:
        seen = set()  # seeds share a network
        for run in experiments.runs(exp_id):
            if run.row.name not in seen:
                seen.add(run.row.name)
                try:
                    yield str(exp_id), experiments.make_config(run)
                except ConfigError as error:
                    problems.append(f"{run.row.name} (ID {exp_id}): {error}")


def table_of(counted: list[tuple[Network, NetworkCost]]) -> Table:
    table = Table("network", "used by", "crop")
    for column in ("encoder", "decoder", "parameters", "training", "inference"):
        table.add_column(column, justify="right", no_wrap=True)
    table.columns[0].overflow = "fold"
    for network, cost in counted:
        parameters = (f"{number:,}" for number in (cost.encoder, cost.decoder, cost.total))
        flops = (f"{number / 1e9:,.1f}" for number in (cost.training_flops, cost.inference_flops))
        height, width = network.crop
        table.add_row(network.name, " ".join(network.users), f"{height}x{width}", *parameters, *flops)
    return table


@command
def main(argv: list[str] | None = None) -> int:
    """Print the table; exit status 1 if a network could not be counted."""
    args = parse_args(argv)
    counted: list[tuple[Network, NetworkCost]] = []
    problems: list[str] = []
    networks = unique_networks(configs_of(args, problems))
    for network in track(networks, "Counting", console=Console(stderr=True), transient=True):
        try:
            counted.append((network, count(network)))
        except ConfigError as error:
            problems.append(f"{network.name} ({' '.join(network.users)}): {error}")
    if counted:
        console = Console(width=max(Console().width, MIN_WIDTH))
        console.print(table_of(counted))
        console.print(NOTE)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
