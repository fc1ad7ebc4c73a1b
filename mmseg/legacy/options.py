"""Options of the published ``tools/test.py`` that have another form today."""

import argparse
import sys
from collections.abc import Sequence

from mmseg.errors import ConfigError

FORMATS = {"true": "cityscapes", "false": "trainids"}
"""``--format`` for the values of ``to_label_id``."""


def todays_test_options(argv: Sequence[str] | None) -> list[str]:
    """A command line with ``--format-dir`` and ``--format`` instead of ``--eval-options``.

    Args:
        argv: The options; None = those of the process.

    Raises:
        ConfigError: A setting is not known, or contradicts ``--format``.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--eval-options", "--eval-option", nargs="+", default=[])
    published, options = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    parser.add_argument("--format")
    chosen = parser.parse_known_args(options)[0].format
    todays = []
    for setting in published.eval_options:
        name, _, value = setting.partition("=")
        if name == "imgfile_prefix":
            todays += ["--format-dir", value]
        elif name == "to_label_id" and value.lower() in FORMATS:
            by_ids = FORMATS[value.lower()]
            if chosen not in (None, by_ids):
                raise ConfigError(
                    f"--format {chosen} with {setting}, which is --format {by_ids}; leave one of them out"
                )
            todays += ["--format", by_ids]
        else:
            raise ConfigError(
                f"--eval-options {setting}: expected imgfile_prefix=DIR and to_label_id=True or False"
            )
    return [*todays, *options]
