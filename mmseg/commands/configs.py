"""Copy the configs that come with the package, to read them and to build on them."""

import argparse
import shutil
from pathlib import Path

from mmseg.cli import command
from mmseg.config.base import CONFIGS
from mmseg.errors import ConfigError


@command
def main(argv: list[str] | None = None) -> None:
    """Copy them into a new folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to be made, such as configs")
    out = parser.parse_args(argv).out
    if out.exists():
        raise ConfigError(f"{out}: exists already; name a new folder")
    shutil.copytree(CONFIGS, out, ignore=shutil.ignore_patterns("generated", "__pycache__"))
    print(out)
