"""Downloads against a server of our own on this machine: cut, resumed, refused, checked."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from mmseg.checkpoints import download as module
from mmseg.checkpoints.download import download, sha256_of
from mmseg.checkpoints.weights import require_file
from mmseg.errors import CheckpointError
from tools import download_checkpoints
from tools.download_checkpoints import catalogue
from tools.download_checkpoints import main as tool

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves ``CONTENT`` at /file.pth.

    Attributes:
        cuts: After how many bytes each of the next answers breaks off.
        ranges: Whether parts can be asked for.
        statuses: Errors that the next requests get.
        requests: The ``Range`` header of each request so far.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cuts: list[int] = []
        self.ranges = True
        self.statuses: list[int] = []
        self.requests: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.requests.append(asked)
        if self.server.statuses or self.path != "/file.pth":
            self.send_error(self.server.statuses.pop(0) if self.server.statuses else 404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        part = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts else len(part)
        self.wfile.write(part[:cut])
        self.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_whole_file_and_no_second_download(server, tmp_path):
    path = tmp_path / "pretrained" / "file.pth"
    download(server.url, path, SHA256[:8])
    assert path.read_bytes() == CONTENT and sha256_of(path) == SHA256
    download(server.url, path, SHA256.upper())
    assert server.requests == [None] and [p.name for p in path.parent.iterdir()] == ["file.pth"]
    with pytest.raises(CheckpointError, match=r"expected 00000000… .* move it away"):
        download(server.url, path, "00000000")
    assert path.is_file()


def test_cut_connections_are_continued(server, tmp_path, capsys):
    server.cuts = [100_000, 50_000]
    download(server.url, tmp_path / "file.pth", SHA256, pause=0.01)
    assert (tmp_path / "file.pth").read_bytes() == CONTENT
    assert server.requests == [None, "bytes=100000-", "bytes=150000-"]
    assert "file.pth: the connection broke after 150000 bytes" in capsys.readouterr().err


def test_next_call_continues_what_is_there(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    server.cuts = [1000]
    with pytest.raises(CheckpointError, match=r"not complete after 1 attempts .* continues file\.pth\.part"):
        download(server.url, tmp_path / "file.pth")
    assert (tmp_path / "file.pth.part").read_bytes() == CONTENT[:1000] and not (
        tmp_path / "file.pth"
    ).exists()
    download(server.url, tmp_path / "file.pth")
    assert server.requests[-1] == "bytes=1000-" and (tmp_path / "file.pth").read_bytes() == CONTENT


def test_server_without_ranges_starts_anew(server, tmp_path):
    server.ranges, server.cuts = False, [1000]
    download(server.url, tmp_path / "file.pth", SHA256, pause=0.01)
    assert server.requests == [None, "bytes=1000-"] and sha256_of(tmp_path / "file.pth") == SHA256


@pytest.mark.parametrize("extra", [b"", b"too long"])
def test_part_that_is_complete_or_too_long(server, tmp_path, extra):
    (tmp_path / "file.pth.part").write_bytes(CONTENT + extra)
    download(server.url, tmp_path / "file.pth", SHA256, pause=0.01)
    assert (tmp_path / "file.pth").read_bytes() == CONTENT
    assert len(server.requests) == (2 if extra else 1)


def test_wrong_content_is_deleted(server, tmp_path):
    (tmp_path / "file.pth.part").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match=rf"expected {SHA256}… .* it was deleted"):
        download(server.url, tmp_path / "file.pth", SHA256)
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_server(server, tmp_path):
    with pytest.raises(CheckpointError, match="answers 404"):
        download(server.url + ".gz", tmp_path / "file.pth")
    assert len(server.requests) == 1
    server.statuses = [503, 500]
    download(server.url, tmp_path / "file.pth", SHA256, pause=0.01)
    assert len(server.requests) == 4


def test_no_server_and_no_address(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 2)
    with Server() as closed:
        url = closed.url
    with pytest.raises(CheckpointError, match="not complete after 2 attempts"):
        download(url, tmp_path / "file.pth", pause=0.01)
    for address in ("file:///etc/hostname", "pretrained/mit_b5.pth"):
        with pytest.raises(CheckpointError, match="expected an address"):
            download(address, tmp_path / "file.pth")


# ------------------------------------------------------------------------------------------------------- tool


def test_list_names_addresses_hashes_and_places(capsys, tmp_path):
    (tmp_path / "pretrained").mkdir()
    (tmp_path / "pretrained" / "mit_b5.pth").write_bytes(bytes(3 << 20))
    assert tool(["--list", "--root", str(tmp_path)]) == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    listed = {row[0]: row for row in rows if row}
    assert listed["mit_b5"][2:4] == ["pretrained/mit_b5.pth", "3 MiB"]
    assert "NVlabs/SegFormer" in listed["mit_b5"][4] and listed["mit_b5"][5] == "unknown"
    assert listed["daformer"][2] == "work_dirs/211108_1622_gta2cs_daformer_s0_7f24c"
    resnet = listed["resnet101_v1c"]
    assert resnet[4].startswith("https://") and resnet[5] in resnet[4] and len(resnet[5]) == 8


def test_every_entry_has_an_address_or_a_page():
    entries = list(catalogue())
    assert len({entry.name for entry in entries}) == len(entries) == 16
    for entry in entries:
        assert bool(entry.url) != bool(entry.page)
        assert entry.sha256 is None or entry.sha256 in entry.url
        assert entry.path.parts[0] in ("pretrained", "work_dirs")


def test_manual_way_and_direct_link(server, tmp_path, capsys):
    root = ["--root", str(tmp_path)]
    assert tool(["mit_b5", *root]) == 1
    message = capsys.readouterr().err
    assert "NVlabs/SegFormer" in message and f"{tmp_path}/pretrained/mit_b5.pth" in message
    assert tool(["mit_b5", *root, "--url", server.url, "--sha256", SHA256[:10]]) == 0
    assert (tmp_path / "pretrained" / "mit_b5.pth").read_bytes() == CONTENT
    assert f"300000 bytes, SHA-256 {SHA256}" in capsys.readouterr().out
    assert tool(["hrda", *root, "--url", server.url]) == 1
    assert "is a folder" in capsys.readouterr().err


def test_names_of_the_list_are_fetched(server, tmp_path, monkeypatch, capsys):
    entry = download_checkpoints.Weights(
        "net", "a network", Path("pretrained/net.pth"), server.url, SHA256[:8]
    )
    monkeypatch.setattr(download_checkpoints, "catalogue", lambda: iter([entry]))
    assert tool(["net", "--root", str(tmp_path)]) == 0
    assert (tmp_path / "pretrained" / "net.pth").read_bytes() == CONTENT
    assert tool(["nett", "--root", str(tmp_path)]) == 1
    assert "did you mean 'net'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["a", "b", "--url", "http://x"]])
def test_usage(arguments):
    with pytest.raises(SystemExit):
        tool(arguments)


def test_an_address_as_weights_is_downloaded_once_and_checked(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = require_file(f"{server.url}#sha256={SHA256}")
    assert path == Path("pretrained/file.pth") and path.read_bytes() == CONTENT
    assert require_file(server.url) == path
    assert len(server.requests) == 1
    with pytest.raises(CheckpointError, match=f"SHA-256 {SHA256}, expected 0123456789ab"):
        require_file(f"{server.url}#sha256=0123456789ab")
    assert path.read_bytes() == CONTENT


def test_the_hash_in_a_name_is_checked(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pretrained").mkdir()
    for digits, fits in ((SHA256[:8], True), ("0" * 8, False)):
        name = f"resnet101_v1c-{digits}.pth"
        (Path("pretrained") / name).write_bytes(CONTENT)
        address = server.url.replace("file.pth", name)
        if fits:
            assert require_file(address).name == name
        else:
            with pytest.raises(CheckpointError, match="expected 00000000"):
                require_file(address)
    assert not server.requests
