"""Make a checkpoint fit to be passed on: ``python tools/publish_model.py iter_40000.pth daformer.pth``.

Only the student's weights and the names of its classes stay: no optimizer, teacher, ImageNet branch, logging
history or paths. The first 8 hexadecimal digits of the file's SHA-256 become a part of its name.
"""

import argparse
import hashlib
import sys
from pathlib import Path

from mmseg.checkpoints.export import check_out, encode_weights, extract_network, write_weights
from mmseg.cli import command
from mmseg.models.backbones.timm_backbone import todays_name


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="file to read")
    parser.add_argument("out", type=Path, help="file to write, as NAME.pth or NAME.safetensors")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_out(args.out, args.checkpoint)
    content = encode_weights(extract_network(args.checkpoint, rename=todays_name), args.out.suffix)
    digits = hashlib.sha256(content).hexdigest()[:8]
    published = args.out.with_name(f"{args.out.stem}-{digits}{args.out.suffix}")
    check_out(published, args.checkpoint)
    write_weights(published, content)
    print(published)


if __name__ == "__main__":
    sys.exit(main())
