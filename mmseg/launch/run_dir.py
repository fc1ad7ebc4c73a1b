"""Find the config and the checkpoint of a run: ``python mmseg/launch/run_dir.py RUN_DIR`` prints both."""

import sys
from pathlib import Path

from mmseg.checkpoints.files import find_checkpoint, find_config
from mmseg.cli import command
from mmseg.errors import ConfigError


@command
def main() -> None:
    """Print the config and the checkpoint of the run folder on the command line, one per line."""
    if len(sys.argv) != 2:
        raise ConfigError("usage: python mmseg/launch/run_dir.py RUN_DIR")
    run_dir = Path(sys.argv[1])
    if not run_dir.is_dir():
        raise ConfigError(f"{run_dir}: no such folder")
    print(find_config(run_dir))
    print(find_checkpoint(run_dir))


if __name__ == "__main__":
    sys.exit(main())
