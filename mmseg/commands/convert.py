"""Convert labels to train ids, those of Cityscapes or of CamVid, and count pixels for rare class sampling."""

import argparse
import sys
from functools import partial

from mmseg.cli import command
from mmseg.datasets.conversion.camvid import CAMVID, convert_camvid
from mmseg.datasets.conversion.cityscapes import CITYSCAPES, convert_cityscapes
from mmseg.datasets.conversion.gta import GTA
from mmseg.datasets.conversion.mapillary import MAPILLARY
from mmseg.datasets.conversion.runner import convert_dataset
from mmseg.datasets.conversion.synthia import SYNTHIA
from mmseg.errors import DataError

CONVERSIONS = {
    "camvid": CAMVID,
    "cityscapes": CITYSCAPES,
    "gta": GTA,
    "mapillary": MAPILLARY,
    "synthia": SYNTHIA,
}
LISTING_SPLITS = {"camvid": convert_camvid, "cityscapes": convert_cityscapes}
"""Data sets whose conversion writes lists of images, too."""


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    data_sets = parser.add_subparsers(dest="data_set", required=True, metavar="DATA_SET")
    for name, conversion in CONVERSIONS.items():
        options = data_sets.add_parser(name, help=conversion.name)
        options.add_argument("root", metavar="ROOT", help=f"folder that holds {conversion.example}")
        options.add_argument(
            "--gt-dir",
            default=conversion.gt_dir,
            metavar="DIR",
            help="label folder below ROOT (default: %(default)r)",
        )
        options.add_argument(
            "-o", "--out-dir", metavar="OUT", help="folder of the statistics (default: ROOT)"
        )
        options.add_argument(
            "--label-dir", metavar="DIR", help="folder of the converted labels (default: beside the raw ones)"
        )
        options.add_argument(
            "--nproc", type=_positive, default=4, metavar="N", help="processes (default: %(default)s)"
        )
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> int:
    """Convert and report; the exit status is 1 when a label is damaged."""
    args = parse_args(argv)
    conversion = CONVERSIONS[args.data_set]
    convert = LISTING_SPLITS.get(args.data_set) or partial(convert_dataset, conversion)
    try:
        report = convert(args.root, args.gt_dir, args.out_dir, args.nproc, args.label_dir)
    except OSError as error:
        raise DataError(f"{error}; name another folder for the statistics with --out-dir") from error
    print(
        f"{conversion.name}: {report.converted} labels converted, {report.skipped} were finished before; "
        f"class statistics of {report.counted} labels in {args.out_dir or args.root}"
    )
    if report.damaged:
        print(f"error: {len(report.damaged)} damaged label files were left out:", file=sys.stderr)
        for path, reason in report.damaged:
            print(f"  {path}: {reason}", file=sys.stderr)
        print("Replace them and call the converter again; only they are converted then.", file=sys.stderr)
    return int(bool(report.damaged))
