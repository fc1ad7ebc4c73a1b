"""From nothing to adapted predictions on toy street scenes: ``make quickstart``.

Writes toy data in the GTA and Cityscapes layouts, converts it, trains a network on the source alone, adapts
it to the target with DAFormer, tests both and draws their predictions side by side. Every step is a command
you can type.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, default=Path("data/toy"), help="where the toy data goes")
    parser.add_argument(
        "--work-dir", type=Path, default=Path("work_dirs/quickstart"), help="where the runs go"
    )
    parser.add_argument(
        "--smoke", action="store_true", help="a few iterations on a few images: does it run at all?"
    )
    parser.add_argument(
        "--weights",
        choices=["none", "imagenet"],
        default="none",
        help="start from random weights, or from ImageNet's (another network, trained shorter)",
    )
    return parser.parse_args()


def run(title: str, *command: str) -> None:
    """Run one step; stop the quickstart with its exit status when it fails."""
    Console().rule(title)
    print("$", shlex.join(command), flush=True)
    # one core is left to the process that loads the data
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) - 1))
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": threads}
    result = subprocess.run(command, env=environment, check=False)
    if result.returncode:
        sys.exit(f"error: the step '{title}' failed (exit status {result.returncode}); see the output above")


def write_data(root: Path, smoke: bool) -> None:
    sizes = ["--train", "8", "--val", "2"] if smoke else ["--train", "400", "--val", "40"]
    run(
        "Write toy data",
        sys.executable,
        "tools/make_toy_dataset.py",
        str(root),
        "--sets",
        "gta,cityscapes",
        *sizes,
    )
    for name in ("gta", "cityscapes"):
        run(
            f"Convert {name}",
            sys.executable,
            f"tools/convert_datasets/{name}.py",
            str(root / name),
            "--nproc",
            "2",
        )


def data_options(root: Path, *train_keys: str) -> list[str]:
    """Overrides that point a quickstart config to another data root."""
    options = [f"{split}_dataloader.dataset.data_root={root}/cityscapes" for split in ("val", "test")]
    return options + [f"train_dataloader.dataset.{key}" for key in train_keys]


def train_and_test(
    name: str, config: str, work_dir: Path, smoke: bool, options: list[str], *arguments: str
) -> dict:
    """Train one config, test its last checkpoint, return the scores."""
    if smoke:
        options = [
            *options,
            "train_cfg.max_iters=3",
            "train_cfg.val_interval=3",
            "default_hooks.logger.interval=1",
        ]
        options += ["default_hooks.checkpoint.interval=3"]
    command = ["tools/train.py", config, "--work-dir", str(work_dir), *arguments]
    run(f"Train {name}", sys.executable, *command, *(["--cfg-options", *options] if options else []))
    run(f"Test {name}", "sh", "test.sh", f"{work_dir}/")
    return json.loads((work_dir / "test" / "results.json").read_text())


def draw(work_dir: Path, runs: dict[str, Path]) -> Path:
    """Image, truth and the prediction of every run for a few test images."""
    from mmseg.reports.comparison import compare  # loads torch

    out = work_dir / "comparison.png"
    compare(runs, out)
    return out


def main() -> None:
    args = parse_args()
    os.chdir(ROOT)
    begin = time.monotonic()
    work_dir, data_root = args.work_dir, args.data_root
    if args.smoke and data_root == Path("data/toy"):
        data_root = Path("data/toy-smoke")
    write_data(data_root, args.smoke)
    source_only = work_dir / "source_only"
    daformer = work_dir / "daformer"
    scores = {}
    prefix = "pretrained_" if args.weights == "imagenet" else ""
    options = data_options(data_root, f"data_root={data_root}/gta")
    scores["source-only"] = train_and_test(
        "source-only", f"configs/quickstart/{prefix}source_only.py", source_only, args.smoke, options
    )
    options = data_options(
        data_root, f"source.data_root={data_root}/gta", f"target.data_root={data_root}/cityscapes"
    )
    if args.smoke:  # in a few images no class may have many pixels
        options.append("train_dataloader.dataset.rare_class_sampling.min_pixels=0")
    start = []
    if args.weights == "none":
        weights = (source_only / "last_checkpoint").read_text().strip()
        options.append(
            f"model.pretrained={weights}"
        )  # for the feature distance, in place of ImageNet weights
        start = ["--load-from", weights]
    scores["DAFormer"] = train_and_test(
        "DAFormer", f"configs/quickstart/{prefix}daformer.py", daformer, args.smoke, options, *start
    )
    picture = draw(work_dir, {"source-only": source_only, "DAFormer": daformer})

    console = Console()
    console.rule("Done")
    table = Table("method", "mIoU on the toy target (%)")
    for name, score in scores.items():
        table.add_row(name, f"{score['mIoU']:.1f}")
    console.print(table)
    console.print(f"Took {(time.monotonic() - begin) / 60:.1f} min. Look at:")
    for path, meaning in {
        picture: "target images, truth and both predictions side by side",
        daformer / "debug": "what the adaptation saw: pseudo-labels, mixed images, weights",
        daformer / "preds": "predictions as trainId PNGs with the Cityscapes palette",
        daformer / "test" / "results.json": "scores per class",
        daformer: "checkpoints, log and TensorBoard curves (tensorboard --logdir)",
    }.items():
        console.print(f"  {path}  [dim]{meaning}[/dim]", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
