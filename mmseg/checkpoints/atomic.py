"""Files that are written whole or not at all, and files that one process keeps to itself."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
