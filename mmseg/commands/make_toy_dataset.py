"""Write toy street scenes in the layouts of the real data sets."""

import argparse
import os
from pathlib import Path

from mmseg.cli import command
from mmseg.toy import SETS, make_toy_dataset


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(number) for number in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT such as 512x256, got {text!r}") from None
    return width, height


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description="Draw street scenes with all 19 classes of Cityscapes: gta and synthia as a game shows "
        "them, cityscapes, acdc and dark_zurich as a camera does. The labels are in the formats of the real "
        "data sets; tools/convert_datasets makes them ready for training."
    )
    parser.add_argument("out", metavar="OUT", help="folder that gets one folder for each set")
    parser.add_argument(
        "--sets", default=",".join(SETS), metavar="A,B", help="which sets to write (default: %(default)s)"
    )
    parser.add_argument(
        "--size", type=_size, default="512x256", metavar="WxH", help="image size (default: %(default)s)"
    )
    parser.add_argument(
        "--train", type=int, default=200, metavar="N",
        help="training images of each set (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--val", type=int, default=50, metavar="N",
        help="validation images of each target (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default: %(default)s")
    parser.add_argument(
        "--nproc", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: %(default)s)"
    )
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    """Write the sets."""
    args = parse_args(argv)
    sets = [name.strip() for name in args.sets.split(",") if name.strip()]
    written = make_toy_dataset(args.out, sets, args.size, args.train, args.val, args.seed, args.nproc)
    for name, count in written.items():
        state = f"{count} images written" if count else "complete already, nothing to do"
        print(f"{Path(args.out, name)}: {state}")
