"""Start the runs of an experiment ID of the papers, or that of a config file."""

from mmseg.cli import command
from mmseg.experiments.table import EXPERIMENTS
from mmseg.launch.main import launch


@command
def main(argv: list[str] | None = None) -> int:
    """Start them, or show them."""
    return launch(EXPERIMENTS, argv)
