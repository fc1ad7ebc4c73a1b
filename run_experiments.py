"""Start runs from a config file: ``python run_experiments.py --config FILE``.

Every run gets a name of its own, a child config under configs/generated and a folder under work_dirs.
"""

import argparse
import subprocess
import sys
import uuid
from datetime import datetime
from pathlib import Path

from mmseg.apis.cli import add_cfg_options, command
from mmseg.apis.config import load_config
from mmseg.apis.train import build_runner, check_before_training
from mmseg.errors import ConfigError

ROOT = Path(__file__).parent


def unique_name(name: str) -> str:
    """``yymmdd_HHMM_<name>_<5 hexadecimal digits>``."""
    return f"{datetime.now():%y%m%d_%H%M}_{name}_{uuid.uuid4().hex[:5]}"


def git_revision() -> str:
    """The checkout's commit, or an empty string outside of git."""
    result = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return result.stdout.strip()


def write_child_config(parent: Path, name: str, exp: str) -> Path:
    """Write a config that inherits from ``parent`` and adds the run's name, folder and git revision.

    Raises:
        ConfigError: The file exists already.
    """
    child = ROOT / "configs" / "generated" / exp / f"{name}.py"
    if child.exists():
        raise ConfigError(f"{child}: exists already; start the run again to get another name")
    child.parent.mkdir(parents=True, exist_ok=True)
    child.write_text(
        f"_base_ = [{str(parent.resolve())!r}]\n"
        f"name = {name!r}\n"
        f"work_dir = {str(Path('work_dirs') / exp / name)!r}\n"
        f"git_rev = {git_revision()!r}\n"
    )
    return child


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True, help="config file to run")
    parser.add_argument("--machine", choices=["local"], default="local", help="where to run")
    add_cfg_options(parser)
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    base_name = cfg.get("name") or Path(args.config).stem
    exp = f"{args.machine}-{cfg.get('exp') or 'basic'}"
    check_before_training(cfg)
    child = write_child_config(Path(args.config), unique_name(base_name), exp)
    print(f"Run job {base_name}")
    build_runner(load_config(child, args.cfg_options)).train()


if __name__ == "__main__":
    sys.exit(main())
