"""Downloads against a server of our own on this machine: cut, hanging, refused, checked."""

import hashlib
import threading
import time
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
        hangs: Whether an answer that breaks off keeps its connection open.
        tells_length: Whether answers say how long they are.
        requests: How many there were.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cuts: list[int] = []
        self.hangs = threading.Event()
        self.tells_length = True
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        self.server.requests += 1
        if self.path != "/file.pth":
            self.send_error(404)
            return
        self.send_response(200)
        if self.server.tells_length:
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: self.server.cuts.pop(0) if self.server.cuts else None])
        while self.server.hangs.is_set():
            time.sleep(0.05)
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
    assert server.requests == 1 and [p.name for p in path.parent.iterdir()] == ["file.pth"]
    with pytest.raises(CheckpointError, match=rf"expected 00000000…; move {path} away"):
        download(server.url, path, "00000000")
    assert path.is_file()


@pytest.mark.parametrize("hangs", [False, True])
def test_part_of_a_file_is_never_taken_for_the_whole(server, tmp_path, monkeypatch, hangs):
    """The connection breaks, or nothing more arrives; the message names address and place."""
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    server.cuts = [100_000]
    if hangs:
        server.hangs.set()
    reason = "timed out" if hangs else "broke after 100000 of 300000 bytes"
    with pytest.raises(CheckpointError, match=rf"{server.url}: .*{reason}; .* save the file as {tmp_path}/f"):
        download(server.url, tmp_path / "file.pth")
    server.hangs.clear()
    assert list(tmp_path.iterdir()) == []
    download(server.url, tmp_path / "file.pth")
    assert (tmp_path / "file.pth").read_bytes() == CONTENT


def test_wrong_content_is_not_kept(server, tmp_path):
    """Also a file that breaks off without the server having said its length."""
    server.tells_length, server.cuts = False, [1000]
    with pytest.raises(CheckpointError, match=rf"{server.url}: SHA-256 .* expected {SHA256}…"):
        download(server.url, tmp_path / "file.pth", SHA256)
    assert list(tmp_path.iterdir()) == []
    download(server.url, tmp_path / "file.pth", SHA256)
    assert (tmp_path / "file.pth").read_bytes() == CONTENT


def test_wrong_addresses(server, tmp_path):
    with pytest.raises(CheckpointError, match="cannot be downloaded: HTTP Error 404"):
        download(server.url + ".gz", tmp_path / "file.pth")
    with Server() as closed:
        url = closed.url
    with pytest.raises(CheckpointError, match=f"{url}: cannot be downloaded: .*refused"):
        download(url, tmp_path / "file.pth")
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
        assert entry.sha256 in (entry.url or "")
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
    assert server.requests == 1
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
