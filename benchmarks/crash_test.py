"""Kill a toy run at random moments, see that nothing is lost: ``python -m benchmarks.crash_test --kills 30``.

A DAFormer run on toy street scenes is killed with SIGKILL again and again, at moments drawn at random between
its first line and its end, while it loads, steps, evaluates or writes a checkpoint. Each time it is started
again with ``--resume``. In the end its weights and optimizer have to be bit-identical to those of a run that
nobody disturbed.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmseg.checkpoints.files import is_intact, iteration_of, last_checkpoint, numbered_checkpoints
from mmseg.checkpoints.weights import read_checkpoint
from mmseg.datasets.conversion.cityscapes import convert_cityscapes
from mmseg.datasets.conversion.gta import GTA
from mmseg.datasets.conversion.runner import convert_dataset
from mmseg.toy import make_toy_dataset

CONFIG = "configs/quickstart/daformer.py"
CHECKPOINT_INTERVAL = 3


@dataclass
class Outcome:
    """What became of the run.

    Attributes:
        kills: How often it was killed.
        lost: Checkpoints that had been written whole and were missing or damaged after a kill.
        seconds: Wall time of the disturbed run with all its starts.
        identical: Whether it ended exactly as the undisturbed one.
    """

    kills: int = 0
    lost: int = 0
    seconds: float = 0.0
    identical: bool = False


def command(data: Path, work_dir: Path, iterations: int) -> list[str]:
    """The training command; the loader has a worker, so that it may be killed while loading, too."""
    sets = [f"{split}_dataloader.dataset.data_root={data}/cityscapes" for split in ("val", "test")]
    sets += [f"train_dataloader.dataset.source.data_root={data}/gta"]
    sets += [f"train_dataloader.dataset.target.data_root={data}/cityscapes"]
    options = {
        "train_cfg.max_iters": iterations,
        "train_cfg.val_interval": iterations // 2,
        "default_hooks.checkpoint.interval": CHECKPOINT_INTERVAL,
        "default_hooks.logger.interval": 10,
        "train_dataloader.dataset.rare_class_sampling.min_pixels": 0,
    }
    sets += [f"{key}={value}" for key, value in options.items()]
    return [sys.executable, "tools/train.py", CONFIG, "--work-dir", str(work_dir), "--cfg-options", *sets]


def start(arguments: list[str], work_dir: Path, resume: bool) -> subprocess.Popen:
    """Start or continue the run in a process group of its own."""
    arguments = arguments[:2] + (["--resume"] if resume else []) + arguments[2:]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    with (work_dir.parent / f"{work_dir.name}.log").open("a") as log:
        return subprocess.Popen(arguments, stdout=log, stderr=log, env=environment, start_new_session=True)


def disturb(arguments: list[str], work_dir: Path, kills: int, longest: float) -> Outcome:
    """Kill the run ``kills`` times, then let it finish."""
    outcome, begin, done = Outcome(), time.monotonic(), 0
    for _ in track(range(kills), "Killing"):
        process = start(arguments, work_dir, resume=done > 0)
        try:
            process.wait(random.uniform(0.2, longest))
            raise SystemExit(f"the run ended by itself (status {process.returncode}); see {work_dir}.log")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        outcome.kills += 1
        last = last_checkpoint(work_dir)
        reached = 0 if last is None else iteration_of(last)
        damaged = [path for path in numbered_checkpoints(work_dir) if not is_intact(path)]
        outcome.lost += len(damaged) + (reached < done)
        done = max(done, reached)
    process = start(arguments, work_dir, resume=done > 0)
    if process.wait():
        raise SystemExit(f"the last start failed (status {process.returncode}); see {work_dir}.log")
    outcome.seconds = time.monotonic() - begin
    return outcome


def same(first: object, second: object) -> bool:
    """Whether two nested structures hold the same bits."""
    if isinstance(first, torch.Tensor):
        return isinstance(second, torch.Tensor) and torch.equal(first, second)
    if isinstance(first, dict):
        return (
            isinstance(second, dict)
            and first.keys() == second.keys()
            and all(same(v, second[k]) for k, v in first.items())
        )
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--iterations", type=int, default=400, help="length of the run")
    parser.add_argument(
        "--longest", type=float, default=15.0, help="seconds from a start to its kill at most"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/crash_test"))
    args = parser.parse_args()
    random.seed(args.seed)
    shutil.rmtree(args.work_dir, ignore_errors=True)
    data = args.work_dir / "data"
    make_toy_dataset(data, ["gta", "cityscapes"], (256, 128), 8, 2)
    convert_dataset(GTA, str(data / "gta"), nproc=1)
    convert_cityscapes(str(data / "cityscapes"), nproc=1)

    runs = {name: args.work_dir / name for name in ("undisturbed", "killed")}
    begin = time.monotonic()
    if start(command(data, runs["undisturbed"], args.iterations), runs["undisturbed"], resume=False).wait():
        raise SystemExit(f"the undisturbed run failed; see {runs['undisturbed']}.log")
    undisturbed_seconds = time.monotonic() - begin
    outcome = disturb(
        command(data, runs["killed"], args.iterations), runs["killed"], args.kills, args.longest
    )
    ends = [read_checkpoint(numbered_checkpoints(run)[0]) for run in runs.values()]
    outcome.identical = all(same(ends[0][key], ends[1][key]) for key in ("state_dict", "optimizer"))

    table = Table("crash test", "")
    table.add_row("kills survived", f"{outcome.kills} of {args.kills}")
    table.add_row("checkpoints lost", str(outcome.lost))
    table.add_row("weights and optimizer at the end", "bit-identical" if outcome.identical else "DIFFERENT")
    table.add_row("wall time", f"{outcome.seconds:.0f} s (undisturbed: {undisturbed_seconds:.0f} s)")
    Console().print(table)
    return 0 if outcome.identical and not outcome.lost else 1


if __name__ == "__main__":
    sys.exit(main())
