"""Files that are written whole or not at all, and files that one process keeps to itself."""

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def replacing(path: str | Path, flush: bool = True) -> Iterator[Path]:
    """Give the path of a temporary file; what was written there replaces ``path`` at once, or not at all.

    Args:
        path: Of the file; its folder is made.
        flush: Put the content on the disk before the name changes, so that neither a killed process nor a
            power failure leaves half a file under the final name. Without, as for thousands of small files
            that can be made again, a file may be empty after a power failure.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[-60:]}.{os.getpid()}.tmp")  # names have a limit
    try:
        yield temporary
        if flush:
            _flush(temporary, os.O_RDWR)
        os.replace(temporary, path)
        if flush and os.name == "posix":  # elsewhere folders cannot be opened
            _flush(path.parent, os.O_RDONLY)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a full disk is told without it
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Replace a small text file as :func:`replacing` does."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def claim(path: Path, wait: bool = False) -> Iterator[bool]:
    """Keep a file locked in a block; the lock of a process that is killed goes with it.

    Child processes do not hold it, so data workers that outlive their trainer keep nobody out. Gives whether
    the file was free, or is now (``wait``). Where the file system or the system (Windows, with a warning)
    knows no such locks, every file is.
    """
    descriptor, free = os.open(path, os.O_RDWR | os.O_CREAT, 0o644), True
    try:
        if fcntl is None:
            warnings.warn("no file locks on this system: two runs in one folder go unnoticed", stacklevel=3)
        else:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        free = error.errno not in (errno.EACCES, errno.EAGAIN)
    try:
        yield free
    finally:
        os.close(descriptor)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
