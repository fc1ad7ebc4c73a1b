"""Show what the network will see in training: python tools/browse_dataset.py CONFIG

Writes the first samples of a run as PNGs, a row each: image and label, for adaptation also the target image
and the mask of where its pseudo-labels count, when there is one. Captions name the files and the class that
rare class sampling drew. Data, transforms and random numbers are those of training: a run of the config with
the same seed gets these very samples, with batches of two the first two in its first iteration.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever mmseg is installed

from mmseg import datasets  # noqa: F401  (fill the registries)
from mmseg.cli import add_cfg_options, command
from mmseg.config.load import load_config
from mmseg.errors import ConfigError
from mmseg.reports.browse_dataset import training_set, write_pictures


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file of a run")
    parser.add_argument("--number", type=int, default=8, help="samples to show (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="seed of the run (default: as in the config)")
    parser.add_argument("--out-dir", help="folder of the PNGs (default: work_dirs/browse/<config name>)")
    add_cfg_options(parser)
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    """Write the pictures and print their paths."""
    args = parse_args(argv)
    if args.number < 1:
        raise ConfigError(f"--number {args.number}: expected at least 1")
    if args.seed is not None and args.seed < 0:
        raise ConfigError(f"--seed {args.seed}: expected a number from 0 on")
    dataset = training_set(load_config(args.config, args.cfg_options), args.seed)
    out_dir = Path(args.out_dir or Path("work_dirs", "browse", Path(args.config).stem))
    for path in write_pictures(dataset, range(args.number), out_dir):
        print(path)


if __name__ == "__main__":
    sys.exit(main())
