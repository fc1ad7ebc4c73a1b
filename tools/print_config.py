"""Print a config as a run would use it: python tools/print_config.py CONFIG, or --exp ID [--run NAME]

All files in _base_ are put together and --cfg-options applied. The text is a config itself: as Python, or as
JSON, which has no tuples. Nothing is written but what --out names.
"""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from mmengine.config import Config

import experiments
from mmseg.cli import add_cfg_options, command, print_or_write
from mmseg.config.load import closest_hint, load_config
from mmseg.errors import ConfigError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", help="config file")
    parser.add_argument("--exp", type=int, metavar="ID", help="experiment ID instead of a config file")
    parser.add_argument("--run", metavar="NAME", help="run of the experiment (default: its first)")
    parser.add_argument("--format", choices=["py", "json"], default="py", help="default: %(default)s")
    parser.add_argument("--out", metavar="FILE", help="write the config there instead of printing it")
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    if (args.config is None) == (args.exp is None):
        parser.error("give either CONFIG or --exp ID")
    if args.run and args.exp is None:
        parser.error("--run names a run of --exp ID")
    return args


def config_of_run(exp_id: int, name: str | None, options: dict | None) -> Config:
    """The config of a run of an experiment, with overrides.

    Raises:
        ConfigError: There is no such experiment or run, or an override does not fit.
    """
    runs = {run.name: run for run in experiments.runs(exp_id)}
    if name is not None and name not in runs:
        raise ConfigError(f"--exp {exp_id} has no run {name!r}{closest_hint(name, set(runs))}")
    run = runs[name] if name is not None else next(iter(runs.values()))
    with TemporaryDirectory() as folder:  # overrides are checked where files are read
        path = Path(folder, f"{run.name}.py")
        experiments.make_config(run).dump(path)
        return load_config(path, options)


@command
def main(argv: list[str] | None = None) -> None:
    """Print or write the config."""
    args = parse_args(argv)
    if args.exp is None:
        cfg = load_config(args.config, args.cfg_options)
    else:
        cfg = config_of_run(args.exp, args.run, args.cfg_options)
    text = cfg.pretty_text if args.format == "py" else json.dumps(cfg.to_dict(), indent=2) + "\n"
    print_or_write(text, args.out)


if __name__ == "__main__":
    sys.exit(main())
