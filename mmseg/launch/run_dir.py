"""Find the config and the checkpoint of a run: ``python mmseg/launch/run_dir.py RUN_DIR`` prints both."""

import re
import sys
from pathlib import Path

from mmseg.cli import command
from mmseg.errors import CheckpointError, ConfigError

OTHER_FILES = {"results.json", "calibration.json", "run_state.json"}
"""What tests and launchers write beside the config."""


def find_config(run_dir: Path) -> Path:
    """The config file in a run folder; of several the one that is named like the folder, or ends like it.

    Raises:
        ConfigError: There is none, or it is not clear which.
    """
    candidates = sorted(
        path
        for path in run_dir.iterdir()
        if path.suffix in (".py", ".json")
        and not path.name.endswith(".log.json")
        and path.name not in OTHER_FILES
    )
    name = run_dir.resolve().name
    ending = name.rpartition("_")[2]
    namesakes = [path for path in candidates if path.stem == name]
    relatives = [path for path in candidates if path.stem.endswith(f"_{ending}")]
    for chosen in (candidates, namesakes, relatives):
        if len(chosen) == 1:
            return chosen[0]
    found = ", ".join(path.name for path in candidates) or "none"
    raise ConfigError(
        f"{run_dir}: expected one config file (*.py or *.json), found {found}; move the others away, or run "
        "tools/test.py CONFIG CHECKPOINT"
    )


def find_checkpoint(run_dir: Path) -> Path:
    """The last checkpoint of a run: ``latest.pth``, what ``last_checkpoint`` names, the highest iteration, or
    the only file of weights.

    Raises:
        CheckpointError: There is none, or it is not clear which.
    """
    latest = run_dir / "latest.pth"
    if latest.is_file():  # not so for a link whose target was left behind
        return latest
    pointer = run_dir / "last_checkpoint"
    if pointer.is_file():
        named = run_dir / Path(pointer.read_text().strip()).name  # the folder may have been moved
        if named.is_file():
            return named
    weights = sorted(path for path in run_dir.glob("*.pth") if path.is_file())
    iterations = {int(m[1]): path for path in weights if (m := re.fullmatch(r"iter_(\d+)\.pth", path.name))}
    if iterations:
        return iterations[max(iterations)]
    if len(weights) == 1:
        return weights[0]
    found = ", ".join(path.name for path in weights) or "none"
    raise CheckpointError(
        f"{run_dir}: no checkpoint (latest.pth or iter_*.pth), found {found}; has the run finished?"
    )


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
