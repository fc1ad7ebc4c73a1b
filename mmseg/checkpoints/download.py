"""Downloading a weight file: whole and checked, or not at all."""

import hashlib
import shutil
import urllib.request
from http.client import HTTPException
from pathlib import Path

from rich.console import Console
from rich.progress import wrap_file

from mmseg.checkpoints.atomic import replacing
from mmseg.errors import CheckpointError

TIMEOUT = 60  # seconds without a byte


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def download(url: str, path: Path, sha256: str = "") -> None:
    """Fetch a file, unless it is there already; it is checked in either case.

    Args:
        url: Its address, http or https.
        path: Where to save it.
        sha256: The hash, or its first digits as far as they are known.

    Raises:
        CheckpointError: The address cannot be read to the end, or the hash is another.
    """
    if not url.startswith(("http://", "https://")):
        raise CheckpointError(f"{url}: expected an address that begins with http:// or https://")
    if path.is_file():
        _check(path, sha256, url, f"move {path} away and start the command again")
        return
    try:
        with replacing(path) as temporary, urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            length = int(response.headers.get("Content-Length", 0))
            shown = wrap_file(response, length, description=path.name, console=Console(stderr=True))
            with shown as content, temporary.open("wb") as file:
                shutil.copyfileobj(content, file)
            if length and (size := temporary.stat().st_size) != length:
                raise HTTPException(f"the connection broke after {size} of {length} bytes")
            _check(temporary, sha256, url, "check the address")
    except (OSError, HTTPException) as error:
        raise CheckpointError(
            f"{url}: cannot be downloaded: {error}; start the command again, or save the file as {path}"
        ) from error


def _check(path: Path, expected: str, url: str, remedy: str) -> None:
    if not (found := sha256_of(path)).startswith(expected.lower()):
        raise CheckpointError(f"{url}: SHA-256 {found}, expected {expected}…; {remedy}")
