"""Start runs: those of an experiment ID or that of a config file.

  python run_experiments.py --list [--exp ID]   what there is and what is finished
  python run_experiments.py --exp ID            the runs of an ID that are not finished yet
  python run_experiments.py --config FILE       one run

Every run gets a name of its own, a config under configs/generated and a folder under work_dirs.
"""

import argparse
import glob
import os
import re
import subprocess
import sys
import uuid
from collections import defaultdict, deque
from datetime import datetime
from pathlib import Path
from typing import Any

from mmengine.config import Config

import experiments
from mmseg.apis.cli import add_cfg_options, command
from mmseg.apis.config import load_config
from mmseg.apis.experiment_config import Run, make_config
from mmseg.apis.train import build_runner, check_before_training
from mmseg.errors import ConfigError

ROOT = Path(__file__).parent
TRAIN = Path(__file__).parent / "tools" / "train.py"

STARTUP_TEST: dict[str, Any] = {
    "train_cfg.max_iters": 2,
    "train_cfg.val_interval": 100,
    "train_cfg.val_begin": 100,  # otherwise the last iteration is followed by an evaluation
    "default_hooks.checkpoint.save_last": False,
    "log_level": "ERROR",
}
DEBUG: dict[str, Any] = {"default_hooks.logger.interval": 10, "train_cfg.val_interval": 200}
DEBUG_PICTURES = 10
ERROR_LINE = re.compile(r"error: |([\w.]+)?(Error|Exception|Interrupt)\b")


# ------------------------------------------------------------------------------------------ names and configs


def unique_name(name: str) -> str:
    """``yymmdd_HHMM_<name>_<5 hexadecimal digits>``."""
    return f"{datetime.now():%y%m%d_%H%M}_{name}_{uuid.uuid4().hex[:5]}"


def git_revision() -> str:
    """The checkout's commit, or an empty string outside of git."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # git is not installed
        return ""


def new_child(name: str, exp: str) -> Path:
    """Path of a config to be written.

    Raises:
        ConfigError: The file exists already.
    """
    child = ROOT / "configs" / "generated" / exp / f"{name}.py"
    if child.exists():
        raise ConfigError(f"{child}: exists already; start the run again to get another name")
    child.parent.mkdir(parents=True, exist_ok=True)
    return child


def write_child_config(parent: Path, name: str, exp: str) -> Path:
    """Write a config that inherits from ``parent`` and adds the run's name, folder and git revision.

    Raises:
        ConfigError: The file exists already.
    """
    child = new_child(name, exp)
    child.write_text(
        f"_base_ = [{str(parent.resolve())!r}]\n"
        f"name = {name!r}\n"
        f"work_dir = {str(Path('work_dirs') / exp / name)!r}\n"
        f"git_rev = {git_revision()!r}\n"
    )
    return child


def write_run_config(cfg: Config, name: str, exp: str, settings: dict[str, Any]) -> Path:
    """Write the complete config of a run of an experiment.

    Args:
        cfg: The run's config.
        name: Its unique name.
        exp: Folder in configs/generated and work_dirs.
        settings: Dotted key -> value, applied last.

    Raises:
        ConfigError: The file exists already, or a setting does not fit.
    """
    child = new_child(name, exp)
    identity = dict(name=name, work_dir=str(Path("work_dirs") / exp / name), git_rev=git_revision())
    cfg.merge_from_dict(identity)
    cfg.dump(child)
    if settings:
        try:
            load_config(child, settings).dump(child)
        except ConfigError:
            child.unlink()
            raise
    return child


def mode_settings(cfg: Config, args: argparse.Namespace) -> dict[str, Any]:
    """What ``--debug``, ``--startup-test`` and ``--cfg-options`` change, the last ones last."""
    settings: dict[str, Any] = {}
    if args.debug:
        settings |= DEBUG
        for index, hook in enumerate(cfg.get("custom_hooks") or []):
            if hook["type"] == "DebugPicturesHook":
                settings[f"custom_hooks.{index}.interval"] = DEBUG_PICTURES
    if args.startup_test:
        settings |= STARTUP_TEST
    return settings | (args.cfg_options or {})


# ------------------------------------------------------------------------------------------------ experiments


def folder_of(args: argparse.Namespace, exp: int | str) -> str:
    """Folder of an experiment in configs/generated and work_dirs."""
    return f"{args.machine}-{exp}" + ("-startup" if args.startup_test else "")


def finished_dir(run: Run, exp: str, iterations: int) -> Path | None:
    """The folder of a finished run, which holds scores and the checkpoint of the last iteration."""
    unique = re.compile(rf"\d{{6}}_\d{{4}}_{re.escape(run.name)}_[0-9a-f]{{5}}")
    for work_dir in sorted(Path("work_dirs", exp).glob(f"*_{glob.escape(run.name)}_*")):
        kept = (work_dir / "results.json", work_dir / f"iter_{iterations}.pth")
        if unique.fullmatch(work_dir.name) and all(path.is_file() for path in kept):
            return work_dir
    return None


def iterations_of(run: Run, args: argparse.Namespace) -> int:
    """Length of a run with the options of the command line."""
    options = args.cfg_options or {}
    return options.get("train_cfg.max_iters") or make_config(run).train_cfg.max_iters


def list_experiments(args: argparse.Namespace) -> None:
    """Print what the IDs are, their runs, and which of those are finished."""
    for exp_id in [args.exp] if args.exp is not None else experiments.EXPERIMENTS:
        exp = folder_of(args, f"exp{exp_id}")
        runs = experiments.runs(exp_id)
        rows: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for run in runs:
            state = "network not available yet"
            if run.available:
                state = "finished" if finished_dir(run, exp, iterations_of(run, args)) else "open"
            rows[run.row_name][state].append(run.seed)
        finished = sum(len(seeds["finished"]) for seeds in rows.values())
        print(f"{exp_id}: {experiments.EXPERIMENTS[exp_id].title} ({len(runs)} runs, {finished} finished)")
        for name, states in rows.items():
            found = (f"{state} s{' s'.join(map(str, seeds))}" for state, seeds in states.items() if seeds)
            print(f"    {name}: {', '.join(found)}")


def run_experiment(args: argparse.Namespace) -> int:
    """Train the runs of an ID one after the other; a failing one does not stop the others."""
    exp = folder_of(args, f"exp{args.exp}")
    runs = experiments.runs(args.exp)
    if args.startup_test:
        runs = [run for run in runs if run.seed == runs[0].seed]
    failures: dict[str, str] = {}
    started = 0
    for run in runs:
        if not run.available:
            print(f"Skip {run.name}: network not available yet")
            continue
        done = None if args.rerun else finished_dir(run, exp, iterations_of(run, args))
        if done is not None:
            print(f"Skip {run.name}: finished in {done}")
            continue
        started += 1
        if args.dry_run:
            print(f"{run.name} -> {Path('work_dirs', exp)}/<date>_<time>_{run.name}_<id>")
            continue
        cfg = make_config(run)
        child = write_run_config(cfg, unique_name(run.name), exp, mode_settings(cfg, args))
        print(f"Run job {run.name}", flush=True)
        error = train_in_a_process(child)
        if error is not None:
            failures[run.name] = error
    if failures:
        print(f"{len(failures)} of {started} runs failed:", file=sys.stderr)
        for name, error in failures.items():
            print(f"  {name}: {error}", file=sys.stderr)
    return 1 if failures else 0


def train_in_a_process(config: Path) -> str | None:
    """Train a config in a process of its own, which leaves no memory behind.

    Returns:
        None, or the line that says why it failed.
    """
    paths = [str(TRAIN.parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    last_lines: deque[str] = deque(maxlen=100)
    with subprocess.Popen(
        [sys.executable, str(TRAIN), str(config)], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            sys.stderr.write(line)
            last_lines.append(line.strip())
    if process.returncode == 0:
        return None
    lines = [line for line in last_lines if line]
    errors = [line for line in lines if ERROR_LINE.match(line)]
    return (errors or lines or ["no message"])[-1].removeprefix("error: ") + (
        f" (killed by signal {-process.returncode})" if process.returncode < 0 else ""
    )


def run_config(args: argparse.Namespace) -> None:
    """Train a config file."""
    settings = mode_settings(load_config(args.config), args)
    cfg = load_config(args.config, settings)
    base_name = cfg.get("name") or Path(args.config).stem
    exp = folder_of(args, cfg.get("exp") or "basic")
    if args.dry_run:
        print(f"{base_name} -> {Path('work_dirs', exp)}/<date>_<time>_{base_name}_<id>")
        return
    check_before_training(cfg)
    child = write_child_config(Path(args.config), unique_name(base_name), exp)
    print(f"Run job {base_name}")
    build_runner(load_config(child, settings)).train()


# ----------------------------------------------------------------------------------------------- command line


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exp", type=int, metavar="ID", help="experiment ID, see --list")
    parser.add_argument("--config", metavar="FILE", help="config file to run")
    parser.add_argument("--list", action="store_true", help="show experiments, their runs and their state")
    parser.add_argument("--dry-run", action="store_true", help="show what would run and write nothing")
    parser.add_argument("--rerun", action="store_true", help="run finished runs of --exp again")
    parser.add_argument(
        "--startup-test", action="store_true", help="two iterations without evaluation, of the first seed"
    )
    parser.add_argument(
        "--debug", action="store_true", help="log and draw every 10 iterations, evaluate every 200"
    )
    parser.add_argument("--machine", choices=["local"], default="local", help="where to run")
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    if args.list and args.config:
        parser.error("--list shows experiment IDs; it takes no --config")
    if not args.list and (args.exp is None) == (args.config is None):
        parser.error("give either --exp ID or --config FILE (or --list)")
    return args


@command
def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    if args.exp is not None and not args.list:
        return run_experiment(args)
    show_or_run = list_experiments if args.list else run_config
    show_or_run(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
