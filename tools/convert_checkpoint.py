"""Write one network of a checkpoint to a file: ``python tools/convert_checkpoint.py latest.pth out.pth``.

The checkpoint is of DAFormer, HRDA, MIC or this framework; tools/test.py, --load-from and init_segmentor take
the new file. Code in the checkpoint is not run.
"""

import argparse
import sys
from pathlib import Path

from mmseg.checkpoints.export import check_out, encode_weights, extract_network, write_weights
from mmseg.checkpoints.networks import NETWORKS
from mmseg.cli import command
from mmseg.models.backbones.timm_backbone import todays_name


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="file to read")
    parser.add_argument("out", type=Path, help="file to write, .pth or .safetensors")
    parser.add_argument(
        "--network", choices=[*NETWORKS, "all"], default="student", help="which one (default: student)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite OUT, unless it is the checkpoint")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_out(args.out, args.checkpoint, overwrite=args.force)
    weights = extract_network(args.checkpoint, args.network, todays_name)
    write_weights(args.out, encode_weights(weights, args.out.suffix))
    print(f"{args.out}: {args.network}, {len(weights['state_dict'])} weights")


if __name__ == "__main__":
    sys.exit(main())
