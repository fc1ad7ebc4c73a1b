"""Checkpoint files that survive a crash: written whole or not at all, and checked before they are trusted."""

import errno
import fcntl
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POINTER = "last_checkpoint"
NUMBERED = re.compile(r"iter_(\d+)\.pth")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give the path of a temporary file; what was written there replaces ``path`` at once, or not at all.

    The content is on the disk before the name changes, so neither a killed process nor a power failure leaves
    half a file under the final name.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Replace a small text file as :func:`replacing` does."""
    with replacing(path) as temporary:
        temporary.write_text(text)


@contextmanager
def claim(path: Path, wait: bool = False) -> Iterator[bool]:
    """Keep a file locked in a block; the lock of a process that is killed goes with it.

    Gives whether the file was free, or is now (``wait``). Where the file system knows no locks, every file
    is.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        free = True
    except OSError as error:
        free = error.errno not in (errno.EACCES, errno.EAGAIN)
    try:
        yield free
    finally:
        os.close(descriptor)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
