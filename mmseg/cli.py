"""Shared by the command line tools: errors as messages, options as ``key=value``."""

import argparse
import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mmseg
from mmseg.errors import ConfigError, MMSegError, Preempted


def command(main: Callable[..., int | None]) -> Callable[..., int]:
    """Turn a tool's main function into one that prints an explained error instead of a traceback (exit status
    1)."""

    @functools.wraps(main)
    def run(*args, **kwargs) -> int:
        try:
            _refuse_foreign_package()
            return main(*args, **kwargs) or 0
        except MMSegError as error:
            if os.environ.get("MMSEG_TRACEBACK"):
                raise
            if isinstance(error, Preempted):
                print(error, file=sys.stderr)
                return error.exit_code
            print(f"error: {message_of(error)}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print(
                "interrupted; a training run goes on from its last checkpoint with --resume", file=sys.stderr
            )
            return 130

    return run


def message_of(error: MMSegError) -> str:
    """The explanation alone; what a data worker raised comes wrapped in the worker's traceback."""
    marker = f"{type(error).__module__}.{type(error).__name__}: "
    text = str(error)
    return text.rsplit(marker, 1)[-1].strip() if "DataLoader worker" in text else text


def _refuse_foreign_package() -> None:
    """Check that a program of a checkout runs with the package of that checkout, wherever it is started."""
    for root in Path(sys.argv[0]).resolve().parents[:2]:
        ours = root / "mmseg" / "__init__.py"
        if not (ours.is_file() and (root / "run_experiments.py").is_file()):
            continue
        if Path(mmseg.__file__).resolve() == ours.resolve():
            return
        raise MMSegError(
            f"the package mmseg is imported from {Path(mmseg.__file__).parent}, not from this checkout; "
            "uninstall the other one (pip uninstall mmsegmentation onedl-mmsegmentation) and run: "
            "pip install -e ."
        )


def print_or_write(text: str, out: str | None) -> None:
    """Show the result of a tool, or write it to the file that ``--out`` names.

    Raises:
        ConfigError: The file cannot be written.
    """
    if out is None:
        with printing():
            sys.stdout.write(text)
        return
    with writing(out):
        Path(out).write_text(text, encoding="utf-8")


@contextmanager
def printing() -> Iterator[None]:
    """Print in the block; a reader that leaves early (``| head``) ends it, and what is left goes nowhere."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def writing(out: str) -> Iterator[None]:
    """Write the file that ``--out`` names in the block.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be written ({error.strerror})") from error


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options key=value ...`` (also ``--options``, its published name)."""
    from mmengine.config import DictAction

    class KeyValueAction(DictAction):
        """mmengine's, which ends in a traceback where there is no value."""

        def __call__(self, parser, namespace, values, option_string=None) -> None:
            for value in values:
                if "=" not in value:
                    parser.error(f"{option_string} {value}: expected KEY=VALUE")
            super().__call__(parser, namespace, values, option_string)

    parser.add_argument(
        "--cfg-options", "--options", dest="cfg_options", nargs="+", action=KeyValueAction,
        metavar="KEY=VALUE",
        help="override settings of the config, e.g. train_cfg.max_iters=100 uda.alpha=0.99",
    )  # fmt: skip
