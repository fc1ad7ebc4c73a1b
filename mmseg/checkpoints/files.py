"""The files of a run: its config, its checkpoints, and which of those is the last one that is whole."""

import json
import re
import sys
import zipfile
import zlib
from pathlib import Path

from mmseg.errors import CheckpointError, ConfigError

POINTER = "last_checkpoint"
LATEST = "latest.pth"
"""What the published code links to its last checkpoint."""
NUMBERED = re.compile(r"iter_(\d+)\.pth")
DAMAGES = (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


def is_complete(path: str | Path) -> bool:
    """Whether a checkpoint was written to its end, where the table of its parts stands; costs no reading."""
    try:
        with zipfile.ZipFile(path):
            return True
    except DAMAGES:
        return False


def is_intact(path: str | Path) -> bool:
    """Whether all parts of a checkpoint are there and equal their checksums (CRC-32, stored by torch).

    Reads the whole file; for what is about to be loaded.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except DAMAGES:
        return False


def iteration_of(path: Path) -> int:
    """The number in ``iter_<number>.pth``; -1 for other names."""
    match = NUMBERED.fullmatch(path.name)
    return int(match[1]) if match else -1


def numbered_checkpoints(run_dir: str | Path) -> list[Path]:
    """All ``iter_<number>.pth`` of a run folder, the newest first."""
    found = (path for path in Path(run_dir).glob("iter_*.pth") if path.is_file() and iteration_of(path) >= 0)
    return sorted(found, key=iteration_of, reverse=True)


def candidates(run_dir: str | Path) -> list[Path]:
    """The checkpoints that a run may continue from, in the order of preference.

    First the one that the pointer file names, then those of fewer iterations. Ones of more iterations belong
    to an earlier run in the same folder.
    """
    numbered = numbered_checkpoints(run_dir)
    pointer = Path(run_dir) / POINTER
    if not pointer.is_file():
        return numbered
    named = Path(run_dir) / Path(pointer.read_text().strip()).name  # the folder may have been moved
    return [path for path in numbered if iteration_of(path) <= iteration_of(named)] or numbered


def last_written(run_dir: str | Path) -> Path | None:
    """The newest checkpoint that was written to its end; None where there is none.

    To ask whether a run can be continued; who loads it takes :func:`last_checkpoint`, which reads it.
    """
    return next(filter(is_complete, candidates(run_dir)), None)


def last_checkpoint(run_dir: str | Path) -> Path | None:
    """The checkpoint that a run continues from: the newest that is whole; None where there is none.

    Newer ones that are damaged are named on the terminal.
    """
    for path in candidates(run_dir):
        if is_intact(path):
            return path
        print(f"warning: {path} is damaged and not used", file=sys.stderr)
    return None


def find_checkpoint(run_dir: Path) -> Path:
    """The weights that stand for a run.

    These are ``latest.pth`` of the published code, :func:`last_checkpoint`, or the only file of weights.

    Raises:
        CheckpointError: There is none that is whole, or it is not clear which.
    """
    latest = run_dir / LATEST
    if latest.is_file():  # not so for a link whose target was left behind
        return latest
    if last := last_checkpoint(run_dir):
        return last
    weights = sorted(path for path in run_dir.glob("*.pth") if path.is_file())
    if len(weights) == 1 and iteration_of(weights[0]) < 0:
        return weights[0]
    found = ", ".join(path.name for path in weights) or "none"
    raise CheckpointError(
        f"{run_dir}: no checkpoint that is whole ({LATEST} or iter_*.pth), found {found}; "
        "has the run finished?"
    )


def _is_config(path: Path) -> bool:
    """Whether a file is a config: what metrics and launchers write beside it has neither network nor base."""
    if path.suffix != ".json" or path.name.endswith(".log.json"):
        return path.suffix == ".py"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return True  # its damage is told when it is read
    return isinstance(content, dict) and ("model" in content or "_base_" in content)


def find_config(run_dir: Path) -> Path:
    """The config file in a run folder; of several the one that is named like the folder, or ends like it.

    Raises:
        ConfigError: There is none, or it is not clear which.
    """
    configs = sorted(filter(_is_config, run_dir.iterdir()))
    name = run_dir.resolve().name
    ending = name.rpartition("_")[2]
    namesakes = [path for path in configs if path.stem == name]
    relatives = [path for path in configs if path.stem.endswith(f"_{ending}")]
    for chosen in (configs, namesakes, relatives):
        if len(chosen) == 1:
            return chosen[0]
    found = ", ".join(path.name for path in configs) or "none"
    raise ConfigError(
        f"{run_dir}: expected one config file (*.py or *.json), found {found}; move the others away, or run "
        "tools/test.py CONFIG CHECKPOINT"
    )
