"""Test a checkpoint: ``python tools/test.py CONFIG CHECKPOINT --eval mIoU --show-dir preds``."""

import argparse
import sys
from pathlib import Path

from mmseg.apis import test
from mmseg.apis.cli import add_cfg_options, command
from mmseg.apis.config import load_config


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config file")
    parser.add_argument("checkpoint", help="weights to test; the student's are used")
    parser.add_argument("--eval", nargs="+", default=["mIoU"], choices=["mIoU"], help="scores to compute")
    parser.add_argument("--show-dir", help="folder for predictions, one PNG per image")
    parser.add_argument(
        "--opacity", type=float, default=0.5, help="1: indexed PNG of train ids; less: colours over the image"
    )
    parser.add_argument(
        "--work-dir", help="where to write results.json (default: test/ beside the checkpoint)"
    )
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    add_cfg_options(parser)
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    cfg.work_dir = args.work_dir or str(Path(args.checkpoint).parent / "test")
    cfg.launcher = args.launcher
    test(cfg, args.checkpoint, show_dir=args.show_dir, opacity=args.opacity)


if __name__ == "__main__":
    sys.exit(main())
