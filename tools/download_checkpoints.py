"""Fetch the weights of the papers: ``python tools/download_checkpoints.py --list``, or a name of the list.

Of weights that are linked on a page only, the page is named; with ``--url`` they are fetched to the right
folder.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmengine.runner.checkpoint import get_external_models
from rich.console import Console
from rich.table import Table

from mmseg.checkpoints.download import download, sha256_of
from mmseg.checkpoints.weights import HASH_IN_NAME
from mmseg.cli import command
from mmseg.config.load import closest_hint
from mmseg.errors import CheckpointError

RESNETS = (
    "resnet50_v1c", "resnet101_v1c", "resnext50_32x4d", "resnext101_32x4d", "resnest50", "resnest101",
    "resnest200",
)  # fmt: skip
README = "README.md of https://github.com/{}, section '{}'"


@dataclass(frozen=True)
class Weights:
    """A published file or folder.

    Attributes:
        name: Short name.
        content: What it is.
        path: Where the configs or ``test.sh`` expect it.
        url: Its address; None where it is linked on a page only.
        sha256: First digits of its hash; empty where it is not published.
        page: The page with the link, where there is no address.
    """

    name: str
    content: str
    path: Path
    url: str | None = None
    sha256: str = ""
    page: str = ""


def catalogue() -> Iterator[Weights]:
    """All published weights: encoders, then trained networks."""
    for size in range(6):
        yield Weights(
            f"mit_b{size}",
            f"MiT-B{size}, ImageNet-1K",
            Path("pretrained", f"mit_b{size}.pth"),
            page=README.format("NVlabs/SegFormer", "Training"),
        )
    addresses = get_external_models()  # OpenMMLab's list, a part of mmengine
    for name in RESNETS:
        url = addresses[name]
        file = url.rpartition("/")[2]
        digits = HASH_IN_NAME.search(file)
        yield Weights(
            name, f"{name}, ImageNet-1K", Path("pretrained", file), url, digits[1] if digits else ""
        )
    runs = (
        ("daformer", "DAFormer, GTA to Cityscapes", "211108_1622_gta2cs_daformer_s0_7f24c", "DAFormer"),
        ("hrda", "HRDA, GTA to Cityscapes", "gtaHR2csHR_hrda_246ef", "HRDA"),
        ("mic", "MIC with HRDA", "<name of its folder>", "MIC (folder seg)"),
    )
    for name, content, folder, repository in runs:
        page = README.format(f"lhoyer/{repository}", "Checkpoints")
        yield Weights(name, f"{content}, run folder", Path("work_dirs", folder), page=page)


def show_list(root: Path) -> None:
    """Print the names, what they are, where they belong, and where they come from."""
    table = Table("name", "content", "save as", "there", "from", "SHA-256")
    for weights in catalogue():
        path = root / weights.path
        there = f"{path.stat().st_size >> 20} MiB" if path.is_file() else "yes" if path.exists() else ""
        source = weights.url or weights.page
        table.add_row(
            weights.name, weights.content, str(weights.path), there, source, weights.sha256 or "unknown"
        )
    Console(width=None if sys.stdout.isatty() else 220).print(table)


def fetch(weights: Weights, root: Path, url: str | None, sha256: str) -> None:
    """Download a file to its place.

    Raises:
        CheckpointError: The address is not known, or the download fails.
    """
    path, url = root / weights.path, url or weights.url
    if url is None:
        raise CheckpointError(
            f"{weights.name}: no address is known; follow the link in {weights.page} and save it as "
            f"{path}, or pass a direct link with --url"
        )
    if not path.suffix:
        raise CheckpointError(f"{weights.name}: is a folder; unpack what {weights.page} links as {path}")
    download(url, path, sha256 or weights.sha256)
    print(f"{path}: {path.stat().st_size} bytes, SHA-256 {sha256_of(path)}")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="*", help="what to fetch, see --list")
    parser.add_argument("--list", action="store_true", help="show what there is and where it comes from")
    parser.add_argument("--root", type=Path, default=Path(), help="folder of pretrained/ and work_dirs/")
    parser.add_argument("--url", help="direct link to the file, for weights that are linked on a page only")
    parser.add_argument("--sha256", default="", help="its hash, or the first digits, as far as you know it")
    args = parser.parse_args(argv)
    if not args.list and not args.name:
        parser.error("give a name, or --list")
    if (args.url or args.sha256) and len(args.name) != 1:
        parser.error("--url and --sha256 go with one name")
    return args


@command
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    if args.list:
        show_list(args.root)
        return
    known = {weights.name: weights for weights in catalogue()}
    for name in args.name:
        if name not in known:
            raise CheckpointError(f"{name}: not in the list{closest_hint(name, set(known))}")
    for name in args.name:
        fetch(known[name], args.root, args.url, args.sha256)


if __name__ == "__main__":
    sys.exit(main())
