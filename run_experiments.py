"""Start runs: those of an ID in experiments.py, or that of a config file; see mmseg/launch/main.py."""

import sys

from experiments import EXPERIMENTS
from mmseg.cli import command
from mmseg.launch.main import launch


@command
def main(argv: list[str] | None = None) -> int:
    return launch(EXPERIMENTS, argv)


if __name__ == "__main__":
    sys.exit(main())
