"""The checkpoints of a run: their names, which are whole, and which one a run continues from."""

import re
import zipfile
import zlib
from pathlib import Path

POINTER = "last_checkpoint"
NUMBERED = re.compile(r"iter_(\d+)\.pth")


def is_intact(path: str | Path) -> bool:
    """Whether all parts of a checkpoint are there and equal their checksums (CRC-32, stored by torch)."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        return False


def iteration_of(path: Path) -> int:
    """The number in ``iter_<number>.pth``; -1 for other names."""
    match = NUMBERED.fullmatch(path.name)
    return int(match[1]) if match else -1


def numbered_checkpoints(run_dir: str | Path) -> list[Path]:
    """All ``iter_<number>.pth`` of a run folder, the newest first."""
    found = (path for path in Path(run_dir).glob("iter_*.pth") if iteration_of(path) >= 0)
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


def newest_intact(run_dir: str | Path) -> tuple[Path | None, list[Path]]:
    """The newest checkpoint that is whole, and the damaged ones that are newer."""
    damaged: list[Path] = []
    for path in candidates(run_dir):
        if is_intact(path):
            return path, damaged
        damaged.append(path)
    return None, damaged
