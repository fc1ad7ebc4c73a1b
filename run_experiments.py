"""Start runs: those of an experiment ID or that of a config file.

  python run_experiments.py --list [--exp ID]   what there is and what is finished
  python run_experiments.py --exp ID            the runs of an ID that are not finished yet
  python run_experiments.py --exp 0             all methods in small, on toy scenes: a table and pictures
  python run_experiments.py --status [--exp ID] where every run stands
  python run_experiments.py --config FILE       one run

Every run gets a name of its own, a config under configs/generated and a folder under work_dirs. An
interrupted run of an ID goes on from its last checkpoint.
Many runs at a time, several GPUs, Slurm: docs/many_runs.md
"""

import argparse
import sys
from collections import Counter, defaultdict
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import Config

import experiments
from benchmarks import toy_ladder
from mmseg.checkpoints.atomic import claim
from mmseg.cli import add_cfg_options, command, printing
from mmseg.config.load import load_config
from mmseg.errors import ConfigError
from mmseg.experiments.make_config import make_config
from mmseg.experiments.names import Run
from mmseg.launch import slurm
from mmseg.launch.local import PlannedRun, TrainedElsewhere, slots, train_all
from mmseg.launch.process import Job
from mmseg.launch.run_folders import (
    config_in,
    differing_sections,
    finished_dir,
    has_checkpoint,
    unique_name,
    work_dir_for,
    write_child_config,
    write_run_config,
)
from mmseg.launch.run_state import claim_run
from mmseg.launch.status import FINISHED, RUNNING, STATES, Status, status_of

STARTUP_TEST: dict[str, Any] = {
    "train_cfg.max_iters": 2,
    "train_cfg.val_interval": 100,
    "train_cfg.val_begin": 100,  # otherwise the last iteration is followed by an evaluation
    "default_hooks.checkpoint.save_last": False,
    "log_level": "ERROR",
}
DEBUG: dict[str, Any] = {"default_hooks.logger.interval": 10, "train_cfg.val_interval": 200}
DEBUG_PICTURES = 10

AnyRun = Run | toy_ladder.ToyRun


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
        if args.exp == toy_ladder.EXP_ID:  # other runs start from these weights
            del settings["default_hooks.checkpoint.save_last"]
    return settings | (args.cfg_options or {})


# ------------------------------------------------------------------------------------------------ experiments


def titles() -> dict[int, str]:
    """The known IDs and what they are."""
    papers = {exp_id: experiment.title for exp_id, experiment in experiments.EXPERIMENTS.items()}
    return {toy_ladder.EXP_ID: toy_ladder.TITLE, **papers}


def runs_of(exp_id: int) -> list[AnyRun]:
    """The runs of an ID, seeds innermost.

    Raises:
        ConfigError: The ID is not known.
    """
    return [*(toy_ladder.runs() if exp_id == toy_ladder.EXP_ID else experiments.runs(exp_id))]


def config_of(run: AnyRun) -> Config:
    """The config of a run."""
    return toy_ladder.make_config(run) if isinstance(run, toy_ladder.ToyRun) else make_config(run)


def folder_of(args: argparse.Namespace, exp: int | str) -> str:
    """Folder of an experiment in configs/generated and work_dirs."""
    return f"{args.machine}-{exp}" + ("-startup" if args.startup_test else "")


def iterations_of(run: AnyRun, args: argparse.Namespace) -> int:
    """Length of a run with the options of the command line."""
    key = "train_cfg.max_iters"
    return (args.cfg_options or {}).get(key, STARTUP_TEST[key] if args.startup_test else run.max_iters)


def list_experiments(args: argparse.Namespace) -> None:
    """Print what the IDs are, their runs, and which of those are finished."""
    for exp_id in [args.exp] if args.exp is not None else titles():
        exp = folder_of(args, f"exp{exp_id}")
        runs = runs_of(exp_id)
        rows: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for run in runs:
            state = "finished" if finished_dir(run.name, exp, iterations_of(run, args)) else "open"
            rows[run.row_name][state].append(run.seed)
        finished = sum(len(seeds["finished"]) for seeds in rows.values())
        print(f"{exp_id}: {titles()[exp_id]} ({len(runs)} runs, {finished} finished)")
        for name, states in rows.items():
            found = (f"{state} s{' s'.join(map(str, seeds))}" for state, seeds in states.items() if seeds)
            print(f"    {name}: {', '.join(found)}")


def show_status(args: argparse.Namespace) -> None:
    """Print where every run stands; without an ID, the runs of those IDs of which one was started."""
    for exp_id in [args.exp] if args.exp is not None else titles():
        exp = folder_of(args, f"exp{exp_id}")
        if args.exp is None and not Path("work_dirs", exp).is_dir():
            continue
        runs = runs_of(exp_id)
        found = {run.name: status_of(run.name, exp, iterations_of(run, args)) for run in runs}
        counts = Counter(status.state for status in found.values())
        summary = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
        print(f"{exp_id}: {titles()[exp_id]} ({summary})")
        for name, status in found.items():
            print(f"    {status.state:<11} {name}" + (f": {status.detail}" if status.detail else ""))


def run_experiment(args: argparse.Namespace) -> int:
    """Train the runs of an ID that are open; a failing one does not stop the others."""
    exp = folder_of(args, f"exp{args.exp}")
    runs = runs_of(args.exp)
    if args.startup_test:
        runs = [run for run in runs if run.seed == runs[0].seed]
    found = {run.name: status_of(run.name, exp, iterations_of(run, args)) for run in runs}
    busy = {name for name, status in found.items() if status.state == RUNNING or status.queued}
    finished = {
        name: status.folder
        for name, status in found.items()
        if status.state == FINISHED and status.folder is not None and not starts_anew(args)
    }
    open_runs = [run for run in runs if run.name not in finished and run.name not in busy]
    for run in runs:
        if run.name in finished:
            print(f"Skip {run.name}: finished in {finished[run.name]}")
            if differing := other_settings(run, exp, args, finished[run.name]):
                print(
                    f"    with other settings ({', '.join(differing)}); --rerun trains it with those of now"
                )
        elif run.name in busy:
            status = found[run.name]
            print(f"Skip {run.name}: {status.state} in {status.folder} ({status.detail})")
        elif args.dry_run:
            folder = folder_to_continue(run, exp, args, found[run.name])
            print(f"{run.name} -> {folder or work_dir_for(f'<date>_<time>_{run.name}_<id>', exp)}")
    if args.dry_run:
        return 0
    planned = [
        PlannedRun(run.name, partial(prepare_here, run, exp, args), run.start and run.start.name)
        for run in open_runs
    ]
    if args.launcher == "slurm":
        return submit_to_slurm(open_runs, found, exp, args)
    return train_here(planned, finished, exp, args)


def starts_anew(args: argparse.Namespace) -> bool:
    """Whether what was trained before does not count; a start-up test is there to be repeated."""
    return args.rerun or args.startup_test


def other_settings(run: AnyRun, exp: str, args: argparse.Namespace, folder: Path) -> list[str]:
    """Sections in which a run in a folder differs from what would be started now."""
    config = config_in(folder, exp)
    if config is None:
        return []
    cfg = config_of(run)
    cfg.merge_from_dict(mode_settings(cfg, args))
    return differing_sections(cfg, config)


def folder_to_continue(run: AnyRun, exp: str, args: argparse.Namespace, status: Status) -> Path | None:
    """The folder of an interrupted or failed run that has a checkpoint and the settings of today."""
    folder = status.folder
    if starts_anew(args) or folder is None or config_in(folder, exp) is None or not has_checkpoint(folder):
        return None
    if differing := other_settings(run, exp, args, folder):
        print(f"{run.name}: {folder} is not continued, it has other settings ({', '.join(differing)})")
        return None
    return folder


def prepare(run: AnyRun, exp: str, args: argparse.Namespace, status: Status, start: Path | None) -> Job:
    """Write the config of a run, or find that of the interrupted one.

    Raises:
        CheckpointError: The run whose weights it starts from has no checkpoint.
        ConfigError: An option does not fit.
    """
    iterations, processes = iterations_of(run, args), max(1, args.gpus or 1)
    folder = folder_to_continue(run, exp, args, status)
    if folder is not None:
        config = config_in(folder, exp)
        assert config is not None
        print(f"Continue {run.name} in {folder}", flush=True)
        return Job(run.name, config, folder, iterations, processes)
    cfg = config_of(run)
    config = write_run_config(cfg, unique_name(run.name), exp, mode_settings(cfg, args))
    if start is not None:
        from benchmarks import toy_start

        toy_start.start_from(config, start)
    return Job(run.name, config, work_dir_for(config.stem, exp), iterations, processes)


def prepare_here(run: AnyRun, exp: str, args: argparse.Namespace, start: Path | None) -> Job:
    """Prepare a run whose turn it is, unless another launcher trains it or has done so in the meantime.

    Raises:
        TrainedElsewhere: It does.
    """
    lock = Path("work_dirs", exp, ".launching")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with claim(lock, wait=True):  # excludes other processes; threads prepare one at a time anyway
        status = status_of(run.name, exp, iterations_of(run, args))
        if status.state == RUNNING or status.queued or (status.state == FINISHED and not starts_anew(args)):
            raise TrainedElsewhere(f"{status.state} in {status.folder} ({status.detail})")
        job = prepare(run, exp, args, status, start)
        claim_run(job.work_dir, job.max_iters)
    return job


def train_here(
    planned: list[PlannedRun], finished: dict[str, Path], exp: str, args: argparse.Namespace
) -> int:
    """Train runs on this machine, ``--max-parallel`` of them side by side."""
    if args.exp == toy_ladder.EXP_ID:
        failures = train_ladder(planned, finished, exp, args)
    else:
        _, failures = train_all(planned, finished, slots(args.max_parallel, args.gpus))
    if failures:
        print(f"{len(failures)} of {len(planned)} runs failed:", file=sys.stderr)
        for name, error in failures.items():
            print(f"  {name}: {error}", file=sys.stderr)
    return 1 if failures else 0


def train_ladder(
    planned: list[PlannedRun], finished: dict[str, Path], exp: str, args: argparse.Namespace
) -> dict[str, str]:
    """Train the runs of experiment 0 and report on all of them; returns what made some fail, by name."""
    from benchmarks import toy_report, toy_start

    environments = slots(args.max_parallel, args.gpus, default=2)
    with toy_report.cost(Path("work_dirs", exp)) if planned else nullcontext():
        if planned:
            toy_start.write_data()
        trained, failures = train_all(planned, finished, environments)
    if not args.startup_test:
        toy_report.report(finished | trained, Path("work_dirs", exp), args.write_page)
    return failures


def submit_to_slurm(runs: list[AnyRun], found: dict[str, Status], exp: str, args: argparse.Namespace) -> int:
    """Hand runs over to Slurm; ``--status`` shows what becomes of them.

    Raises:
        ConfigError: A setting does not fit, or Slurm is not there.
    """
    names = ("time", "partition", "account", "qos", "mem", "gpus", "cpus")
    options = {name: getattr(args, name) for name in names}
    settings = slurm.read_settings(args.profile, {**options, "extra": args.slurm})
    if any(run.start for run in runs):
        raise ConfigError(
            f"--exp {args.exp} --launcher slurm: its runs start from the weights of others and are small; "
            "train them with --launcher local"
        )
    slurm.check_cluster()
    args.gpus = settings.gpus
    jobs = [prepare(run, exp, args, found[run.name], None) for run in runs]
    numbers = slurm.submit(jobs, exp, settings, args.max_parallel) if jobs else []
    for job, number in zip(jobs, numbers, strict=True):
        print(f"Submitted {job.name} as {number}")
    return 0


def run_config(args: argparse.Namespace) -> None:
    """Train a config file in this process."""
    from mmseg.apis.training import build_runner, check_before_training

    settings = mode_settings(load_config(args.config), args)
    cfg = load_config(args.config, settings)
    base_name = cfg.get("name") or Path(args.config).stem
    exp = folder_of(args, cfg.get("exp") or "basic")
    if args.dry_run:
        print(f"{base_name} -> {work_dir_for(f'<date>_<time>_{base_name}_<id>', exp)}")
        return
    check_before_training(cfg)
    child = write_child_config(Path(args.config), unique_name(base_name), exp)
    print(f"Run job {base_name}")
    build_runner(load_config(child, settings)).train()


# ----------------------------------------------------------------------------------------------- command line


def add_launch_options(parser: argparse.ArgumentParser) -> None:
    """Where and how many runs of ``--exp`` are trained."""
    from mmengine.config import DictAction

    group = parser.add_argument_group("many runs (--exp)")
    group.add_argument(
        "--launcher", choices=["local", "slurm"], default="local", help="this machine, or Slurm"
    )
    group.add_argument(
        "--max-parallel", type=int, metavar="N",
        help="runs side by side (default: 1, for --exp 0: 2, on Slurm: as many as it likes)",
    )  # fmt: skip
    group.add_argument(
        "--gpus", type=int, metavar="G", help="GPUs of each run (default: 1 where there are any)"
    )
    group = parser.add_argument_group(
        "--launcher slurm", "what each run asks for; these win over the profile"
    )
    group.add_argument("--profile", metavar="FILE", help="settings in YAML or Python, see docs/many_runs.md")
    group.add_argument("--time", help="time limit: minutes, HH:MM:SS or D-HH:MM:SS")
    group.add_argument("--partition")
    group.add_argument("--account")
    group.add_argument("--qos")
    group.add_argument("--mem", help="main memory, as 64G")
    group.add_argument("--cpus", type=int, help="CPU cores")
    group.add_argument(
        "--slurm", nargs="+", action=DictAction, metavar="KEY=VALUE", help="further options of sbatch"
    )


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exp", type=int, metavar="ID", help="experiment ID, see --list")
    parser.add_argument("--config", metavar="FILE", help="config file to run")
    parser.add_argument("--list", action="store_true", help="show experiments, their runs and their state")
    parser.add_argument("--status", action="store_true", help="show where every run stands")
    parser.add_argument("--dry-run", action="store_true", help="show what would run and write nothing")
    parser.add_argument(
        "--rerun",
        action="store_true",
        help="start all runs of --exp anew, also finished and interrupted ones",
    )
    parser.add_argument(
        "--startup-test", action="store_true", help="two iterations without evaluation, of the first seed"
    )
    parser.add_argument(
        "--debug", action="store_true", help="log and draw every 10 iterations, evaluate every 200"
    )
    parser.add_argument(
        "--write-page",
        action="store_true",
        help="put table and picture of --exp 0 into docs/toy_benchmark.md",
    )
    parser.add_argument("--machine", choices=["local"], default="local", help="where to run")
    add_launch_options(parser)
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    shows = args.list or args.status
    if shows and args.config:
        parser.error("--list and --status show experiment IDs; they take no --config")
    if not shows and (args.exp is None) == (args.config is None):
        parser.error("give either --exp ID or --config FILE (or --list, --status)")
    if args.launcher == "slurm" and args.config:
        parser.error("--launcher slurm belongs to --exp")
    for option in ("max_parallel", "gpus"):
        value, least = getattr(args, option), 0 if args.launcher == "slurm" and option == "gpus" else 1
        if value is not None and value < least:
            parser.error(f"--{option.replace('_', '-')} {value}: expected at least {least}")
    if args.write_page and args.exp != toy_ladder.EXP_ID:
        parser.error(f"--write-page belongs to --exp {toy_ladder.EXP_ID}")
    return args


@command
def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    if args.list or args.status:
        with printing():
            (list_experiments if args.list else show_status)(args)
        return 0
    if args.exp is not None:
        return run_experiment(args)
    run_config(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
