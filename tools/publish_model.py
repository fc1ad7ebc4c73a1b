"""Make a checkpoint fit to be passed on: ``python tools/publish_model.py iter_40000.pth daformer.pth``.

Only the student's weights and the names of its classes stay: no optimizer, teacher, ImageNet branch, logging
history or paths. The first 8 hexadecimal digits of the file's SHA-256 become a part of its name.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from mmseg.checkpoints.download import sha256_of
from mmseg.checkpoints.export import check_out, extract_network, write_weights
from mmseg.cli import command


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="file to read")
    parser.add_argument("out", type=Path, help="file to write, as NAME.pth or NAME.safetensors")
    return parser.parse_args(argv)


def write_with_hash(weights: dict[str, Any], path: Path, checkpoint: str) -> Path:
    """Write weights to ``NAME-<first 8 digits of the file's SHA-256>.pth`` for a path ``NAME.pth``.

    Raises:
        CheckpointError: The file cannot be written, or exists already.
    """
    partial = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        write_weights(weights, partial)
        published = path.with_name(f"{path.stem}-{sha256_of(partial)[:8]}{path.suffix}")
        check_out(published, checkpoint)
        return partial.rename(published)
    finally:
        partial.unlink(missing_ok=True)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_out(args.out, args.checkpoint)
    print(write_with_hash(extract_network(args.checkpoint), args.out, args.checkpoint))


if __name__ == "__main__":
    sys.exit(main())
