"""What the command line tools of all converters share."""

import argparse
import sys
from collections.abc import Callable, Sequence

from mmseg.datasets.conversion.label_conversion import LabelConversion
from mmseg.datasets.conversion.runner import ConversionReport
from mmseg.errors import MMSegError


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value


def run_converter(
    conversion: LabelConversion,
    convert: Callable[..., ConversionReport],
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse the command line, convert and report.

    Returns:
        Exit status: 0 when every label is converted, 1 when a file is damaged or the labels are missing.
    """
    parser = argparse.ArgumentParser(
        description=f"Convert the labels of {conversion.name} to the 19 train ids of Cityscapes "
        "and count the pixels of each class for rare class sampling."
    )
    parser.add_argument("root", metavar="ROOT", help=f"folder that holds {conversion.example}")
    parser.add_argument(
        "--gt-dir",
        default=conversion.gt_dir,
        metavar="DIR",
        help="label folder below ROOT (default: %(default)r)",
    )
    parser.add_argument("-o", "--out-dir", metavar="OUT", help="folder of the statistics (default: ROOT)")
    parser.add_argument(
        "--nproc", type=_positive, default=4, metavar="N", help="processes (default: %(default)s)"
    )
    options = parser.parse_args(arguments)

    try:
        report = convert(options.root, options.gt_dir, options.out_dir, options.nproc)
    except (MMSegError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(
        f"{conversion.name}: {report.converted} labels converted, {report.skipped} were finished before; "
        f"class statistics of {report.counted} labels in {options.out_dir or options.root}"
    )
    if report.damaged:
        print(f"error: {len(report.damaged)} damaged label files were left out:", file=sys.stderr)
        for path, reason in report.damaged:
            print(f"  {path}: {reason}", file=sys.stderr)
        print("Replace them and call the converter again; only they are converted then.", file=sys.stderr)
        return 1
    return 0
