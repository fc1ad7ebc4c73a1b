"""Find the config and the checkpoint of a run: ``python -m mmseg.apis.run_dir RUN_DIR`` prints both."""

import sys
from pathlib import Path

from mmseg.apis.cli import command
from mmseg.errors import CheckpointError, ConfigError


def find_config(run_dir: Path) -> Path:
    """The one config file in a run folder.

    Raises:
        ConfigError: There is none, or more than one.
    """
    candidates = sorted(
        path
        for path in run_dir.iterdir()
        if path.suffix in (".py", ".json")
        and not path.name.endswith(".log.json")
        and path.name not in ("results.json",)
    )
    if len(candidates) != 1:
        found = ", ".join(path.name for path in candidates) or "none"
        raise ConfigError(f"{run_dir}: expected one config file (*.py or *.json), found {found}")
    return candidates[0]


def find_checkpoint(run_dir: Path) -> Path:
    """The last checkpoint of a run: ``latest.pth``, what ``last_checkpoint`` names, or the highest iteration.

    Raises:
        CheckpointError: There is none.
    """
    latest = run_dir / "latest.pth"
    if latest.is_file():
        return latest
    pointer = run_dir / "last_checkpoint"
    if pointer.is_file():
        named = run_dir / Path(pointer.read_text().strip()).name  # the folder may have been moved
        if named.is_file():
            return named
    numbered = sorted(run_dir.glob("iter_*.pth"), key=lambda path: int(path.stem.split("_")[1]))
    if not numbered:
        raise CheckpointError(f"{run_dir}: no checkpoint (latest.pth or iter_*.pth); has the run finished?")
    return numbered[-1]


@command
def main() -> None:
    """Print the config and the checkpoint of the run folder on the command line, one per line."""
    if len(sys.argv) != 2:
        raise ConfigError("usage: python -m mmseg.apis.run_dir RUN_DIR")
    run_dir = Path(sys.argv[1])
    if not run_dir.is_dir():
        raise ConfigError(f"{run_dir}: no such folder")
    print(find_config(run_dir))
    print(find_checkpoint(run_dir))


if __name__ == "__main__":
    sys.exit(main())
