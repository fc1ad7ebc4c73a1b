"""Predictions of runs side by side: python tools/compare_runs.py RUN_DIR ... [--images 6] [--out FILE]

One picture with a row for each test image: the image, its labels, and what each run predicts. The names and
scores of the runs stand above, the colours of the classes below. Predictions that test.sh stored in
RUN_DIR/preds are taken from there; otherwise the newest checkpoint predicts.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from mmseg.cli import command, writing


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN_DIR", help="folders of runs with the same classes")
    parser.add_argument(
        "--images", nargs="+", default=["4"], metavar="N|NAME",
        help="how many images of the first run's test set, evenly spread, or names of images (default: 4)",
    )  # fmt: skip
    parser.add_argument(
        "--out", default="work_dirs/comparison.png", help="PNG to write (default: %(default)s)"
    )
    parser.add_argument("--device", help="cpu, cuda:0, ... (default: a GPU when there is one)")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    """Write the picture and print its path."""
    args = parse_args(argv)
    from mmseg.reports.comparison import compare, titles_of

    names = args.images
    chosen = int(names[0]) if len(names) == 1 and names[0].isdecimal() else names
    runs = titles_of([Path(run_dir) for run_dir in dict.fromkeys(args.runs)])
    with writing(args.out):
        compare(runs, Path(args.out), chosen, args.device)
    print(args.out)


if __name__ == "__main__":
    sys.exit(main())
