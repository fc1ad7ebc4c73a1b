"""Downloading a weight file: resumed where it broke off, checked when complete."""

import hashlib
import http.client
import shutil
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from mmseg.errors import CheckpointError

ATTEMPTS = 5
CHUNK = 1 << 20
TIMEOUT = 60  # seconds without a byte
COMPLETE, PARTIAL, BEYOND_THE_END = 200, 206, 416  # status codes of HTTP
NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def download(url: str, path: Path, sha256: str | None = None, pause: float = 2.0) -> None:
    """Fetch a file. What has arrived is kept as ``<name>.part`` and is continued by the next call.

    Args:
        url: Its address, http or https.
        path: Where to save it; a file that is there already is checked and kept.
        sha256: The hash, or its first digits; None = not known.
        pause: Seconds before the second attempt; they double with each further one.

    Raises:
        CheckpointError: The connection broke too often, the address does not exist, or the hash is another.
    """
    if not url.startswith(("http://", "https://")):
        raise CheckpointError(f"{url}: expected an address that begins with http:// or https://")
    if path.is_file():
        _check(path, sha256, url)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            if _continue(url, part):
                _check(part, sha256, url)
                part.rename(path)
                return
            reason = "the connection broke"
        except urllib.error.HTTPError as error:
            if error.code < 500:  # another attempt would get the same answer
                raise CheckpointError(f"{url}: the server answers {error.code} {error.reason}") from error
            reason = f"the server answers {error.code}"
        except NETWORK_ERRORS as error:
            reason = str(error) or type(error).__name__
        size = part.stat().st_size if part.is_file() else 0
        print(f"{path.name}: {reason} after {size} bytes", file=sys.stderr)
    raise CheckpointError(
        f"{url}: not complete after {ATTEMPTS} attempts ({reason}); start the command again, it continues "
        f"{part.name}"
    )


def _continue(url: str, part: Path) -> bool:
    """Fetch what is missing in a partial file; whether it is complete then."""
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != BEYOND_THE_END or not start:
            raise
        if error.headers.get("Content-Range") == f"bytes */{start}":  # nothing is missing
            return True
        part.unlink()
        return False
    with response:
        if response.status != PARTIAL:
            start = 0  # the server sends the whole file
        length = response.headers.get("Content-Length")
        with part.open("ab" if start else "wb") as file:
            shutil.copyfileobj(response, file, CHUNK)
    return length is None or part.stat().st_size == start + int(length)


def _check(path: Path, sha256: str | None, url: str) -> None:
    """Compare the hash of a file; a wrong one is deleted unless it was there before.

    Raises:
        CheckpointError: It is another.
    """
    found = sha256_of(path)
    if sha256 is None or found.startswith(sha256.lower()):
        return
    if path.suffix == ".part":
        path.unlink()
        remedy = "it was deleted; start the command again"
    else:
        remedy = "move it away and start the command again"
    raise CheckpointError(f"{path}: SHA-256 {found}, expected {sha256}… for {url}; {remedy}")
