"""Start runs: those of an experiment ID or that of a config file.

  %(prog)s --list [--exp ID]    what there is and what is finished
  %(prog)s --exp ID             the runs of an ID that are not finished yet
  %(prog)s --exp 0              all methods in small, on toy scenes: a table and pictures
  %(prog)s --status [--exp ID]  where every run stands
  %(prog)s --config FILE        one run
  %(prog)s --config FILE --seeds 0 1 2 --grid uda.alpha=0.99,0.999
                                every combination, with names, status and results as those of an ID

Every run gets a name of its own, a config under configs/generated and a folder under work_dirs. An
interrupted run of an ID goes on from its last checkpoint.
Many runs at a time, several GPUs, Slurm: docs/many_runs.md
"""

import argparse
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from mmengine.config import DictAction

from mmseg.cli import add_cfg_options, printing
from mmseg.config.load import load_config
from mmseg.config.tracking import TRACKERS, track
from mmseg.config.work_dir import unique_name, work_dir_for
from mmseg.experiments.experiment import Experiment
from mmseg.experiments.sweep import sweep
from mmseg.launch.experiment import ExperimentLauncher, folder_of, mode_settings
from mmseg.launch.run_folders import write_config


def launch(experiments: Mapping[Any, Experiment], argv: list[str] | None = None) -> int:
    """The commands ``run_experiments.py`` and ``mmseg-uda run``.

    Args:
        experiments: The known IDs.
        argv: Its options; None = those of the command line.

    Returns:
        Exit status.

    Raises:
        ConfigError: An option does not fit, or the ID is not known.
    """
    args = parse_args(argv, experiments)
    if is_sweep(args):
        args.exp = f"sweep_{Path(args.config).stem}"
        experiments = {args.exp: sweep(args.config, args.seeds or (0,), args.grid or {})}
    if args.list or args.status:
        with printing():
            for exp_id in experiments if args.exp is None else [args.exp]:
                launcher = ExperimentLauncher(experiments, exp_id, args)
                launcher.show_runs() if args.list else launcher.show_status(unless_untouched=args.exp is None)
        return 0
    if args.exp is not None:
        launcher = ExperimentLauncher(experiments, args.exp, args)
        with printing() if args.dry_run else nullcontext():
            return launcher.run()
    run_config(args)
    return 0


def is_sweep(args: argparse.Namespace) -> bool:
    """Whether a config file is an experiment of several runs."""
    return args.config is not None and bool(args.seeds or args.grid)


def run_config(args: argparse.Namespace) -> None:
    """Train a config file in this process."""
    from mmseg.apis.training import build_runner, check_before_training

    cfg = load_config(args.config, mode_settings(load_config(args.config), args))
    base_name = cfg.get("name") or Path(args.config).stem
    exp = folder_of(cfg.get("exp") or "basic", args)
    if args.dry_run:
        print(f"{base_name} -> {work_dir_for(f'<date>_<time>_{base_name}_<id>', exp)}")
        return
    track(cfg, args.track)
    check_before_training(cfg)
    path = write_config(cfg, unique_name(base_name), exp)
    print(f"Run job {base_name}")
    build_runner(load_config(path)).train()


# ----------------------------------------------------------------------------------------------- command line


def add_launch_options(parser: argparse.ArgumentParser) -> None:
    """Where and how many runs of ``--exp`` are trained."""
    group = parser.add_argument_group("many runs (--exp)")
    group.add_argument(
        "--launcher", choices=["local", "slurm"], default="local", help="this machine, or Slurm"
    )
    group.add_argument(
        "--max-parallel", type=int, metavar="N",
        help="runs side by side (default: 1, for --exp 0: 2, on Slurm: as many as it likes)",
    )  # fmt: skip
    group.add_argument(
        "--runs", nargs="+", metavar="PATTERN",
        help="only the runs whose names fit one of them, as '*_dacs_s?', and those that these start from",
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


def parse_args(argv: list[str] | None, experiments: Mapping[int, Experiment]) -> argparse.Namespace:
    """The options; ends the program where they make no sense."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exp", type=int, metavar="ID", help="experiment ID, see --list")
    parser.add_argument("--config", metavar="FILE", help="config file to run")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="SEED", help="several runs of --config")
    parser.add_argument(
        "--grid", nargs="+", action=DictAction, metavar="KEY=VALUE,VALUE",
        help="settings of --config, every combination of which is trained",
    )  # fmt: skip
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
        help="put table and picture of an experiment with a page into it (--exp 0: docs/toy_benchmark.md)",
    )
    parser.add_argument(
        "--track", nargs="+", choices=TRACKERS, default=[], help="send numbers and pictures there, too"
    )
    add_launch_options(parser)
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    shows = args.list or args.status
    if (args.seeds or args.grid) and not args.config:
        parser.error("--seeds and --grid belong to --config; an ID has its own seeds and rows")
    if shows and args.config and not is_sweep(args):
        parser.error("--list and --status show experiment IDs, or a --config with --seeds or --grid")
    if not shows and (args.exp is None) == (args.config is None):
        parser.error("give either --exp ID or --config FILE (or --list, --status)")
    for option, given in {
        "--launcher slurm": args.launcher == "slurm",
        "--runs": args.runs is not None,
    }.items():
        if given and (shows or (args.config and not is_sweep(args))):
            parser.error(f"{option} belongs to --exp, or to --config with --seeds or --grid")
    for option in ("max_parallel", "gpus"):
        value, least = getattr(args, option), 0 if args.launcher == "slurm" and option == "gpus" else 1
        if value is not None and value < least:
            parser.error(f"--{option.replace('_', '-')} {value}: expected at least {least}")
    with_page = [exp_id for exp_id, experiment in experiments.items() if experiment.page]
    if args.write_page and args.exp not in with_page:
        parser.error(f"--write-page belongs to --exp {', '.join(map(str, with_page))}")
    page = args.write_page and experiments[args.exp].page
    if page and not page.is_file():
        parser.error(f"--write-page: there is no {page}; the page belongs to a checkout")
    return args
