"""Compare the parts of DAFormer on the toy street scenes: ``python -m benchmarks.toy_benchmark``.

Trains every row of the table over several seeds (two runs side by side, one core each), then writes
``docs/toy_benchmark.md`` and one picture of all methods on the same target images. Finished runs are kept and
reused.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from mmseg.apis.run_dir import find_checkpoint
from tools.quickstart import draw, write_data

DATA_ROOT = Path("data/toy")
PAGE = Path("docs/toy_benchmark.md")
START, END = "<!-- results: start -->", "<!-- results: end -->"
SOURCE_ONLY = "source-only"


@dataclass(frozen=True)
class Row:
    """One method of the table.

    Attributes:
        config: Its config under configs/quickstart.
        meaning: What it is, for the table.
        adapts: Starts from the source-only weights of the same seed.
        anchor: The frozen encoder of the feature distance holds those weights, too.
    """

    config: str
    meaning: str
    adapts: bool = False
    anchor: bool = False


ROWS = {
    SOURCE_ONLY: Row("source_only", "source labels only"),
    "source-only, longer": Row(
        "source_only_longer", "continued on the source for as long as the rows below", adapts=True
    ),
    "DACS": Row("dacs", "self-training with ClassMix", adapts=True),
    "DACS + RCS": Row("dacs_rcs", "and rare class sampling", adapts=True),
    "DACS + FD": Row("dacs_fd", "and thing-class feature distance", adapts=True, anchor=True),
    "DAFormer": Row("daformer", "DACS, RCS and feature distance", adapts=True, anchor=True),
    "oracle": Row("oracle", "target labels"),
}


def train(name: str, seed: int, work_dir: Path) -> None:
    """Train one row with one seed in a process of its own, unless its results are there."""
    row, out = ROWS[name], run_dir(work_dir, name, seed)
    if (out / "results.json").is_file():
        return
    command = [sys.executable, "tools/train.py", f"configs/quickstart/{row.config}.py"]
    command += ["--work-dir", str(out), "--seed", str(seed)]
    if row.adapts:
        weights = str(find_checkpoint(run_dir(work_dir, SOURCE_ONLY, seed)))
        command += ["--load-from", weights]
        if row.anchor:
            command += ["--cfg-options", f"model.pretrained={weights}"]
    start = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    with (out / "output.txt").open("w") as log:
        subprocess.run(
            command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=log, stderr=log, check=True
        )
    (out / "seconds.txt").write_text(f"{time.monotonic() - start:.0f}\n")
    print(f"{name}, seed {seed}: {scores(work_dir, name, seed)['mIoU']:.1f} mIoU", flush=True)


def run_dir(work_dir: Path, name: str, seed: int) -> Path:
    return work_dir / f"{ROWS[name].config}_s{seed}"


def scores(work_dir: Path, name: str, seed: int) -> dict[str, float]:
    return json.loads((run_dir(work_dir, name, seed) / "results.json").read_text())


def run_all(work_dir: Path, seeds: Sequence[int], jobs: int) -> None:
    """First what the adaptation starts from, then everything else."""
    with ThreadPoolExecutor(jobs) as pool:
        for names in ([SOURCE_ONLY], [name for name in ROWS if name != SOURCE_ONLY]):
            list(
                pool.map(
                    lambda run: train(*run, work_dir), [(name, seed) for seed in seeds for name in names]
                )
            )


def markdown(work_dir: Path, seeds: Sequence[int]) -> str:
    """The table with its command, machine and versions."""
    seconds = [
        int((run_dir(work_dir, name, seed) / "seconds.txt").read_text()) for name in ROWS for seed in seeds
    ]
    minutes = round(sum(seconds) / 60)
    lines = ["| method | | mIoU | per seed |", "| --- | --- | ---: | --- |"]
    for name, row in ROWS.items():
        values = [scores(work_dir, name, seed)["mIoU"] for seed in seeds]
        spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
        each = ", ".join(f"{value:.1f}" for value in values)
        lines.append(f"| {name} | {row.meaning} | {statistics.mean(values):.1f}{spread} | {each} |")
    machine = f"{os.cpu_count()} CPU cores, Python {platform.python_version()}, torch {torch.__version__}"
    return "\n".join(lines) + f"\n\nMeasured on {machine}; {minutes} minutes of training in all.\n"


def write_results(text: str) -> None:
    """Replace the generated part of the page; the explanations around it are written by hand."""
    head, rest = PAGE.read_text().split(START)
    tail = rest.split(END)[1]
    PAGE.write_text(f"{head}{START}\n{text}{END}{tail}")


def draw_all(work_dir: Path, seed: int) -> Path:
    """Test every method once more with predictions and draw them side by side."""
    runs = {name: run_dir(work_dir, name, seed) for name in ROWS}
    for out in runs.values():
        if not (out / "preds").is_dir():
            environment = {**os.environ, "PYTHON": sys.executable}
            subprocess.run(
                ["sh", "test.sh", str(out)], env=environment, stdout=subprocess.DEVNULL, check=True
            )
    return draw(work_dir, DATA_ROOT, runs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one core each")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/toy_benchmark"))
    args = parser.parse_args()
    write_data(DATA_ROOT, smoke=False)
    run_all(args.work_dir, args.seeds, args.jobs)
    write_results(markdown(args.work_dir, args.seeds))
    print(f"{PAGE} written; picture: {draw_all(args.work_dir, args.seeds[0])}")


if __name__ == "__main__":
    main()
