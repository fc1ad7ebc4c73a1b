"""Shared by the commands: settings of the process, errors as messages, options as ``key=value``."""

import argparse
import ctypes
import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mmseg
from mmseg.errors import STORAGE_ERRORS, ConfigError, MMSegError, Preempted

FOREIGN = ("mmcv", "mmcv-lite", "mmengine", "mmengine-lite")
"""Distributions with the import names of onedl-mmcv and onedl-mmengine."""
SPIN_COUNT = "1000"
"""Rounds in which an OpenMP thread looks for work before it sleeps.

By default it spins for long: as soon as another process (a data worker, a second run) needs the core, a step
on the CPU takes 25 times as long. Without any spinning it takes half as long again on idle cores.
"""
KEEP_VARIABLE = "MMSEG_KEEP_FREED_MEMORY"
MALLOPT = {-3: 2**28, -1: 2**31 - 1}
"""Parameters of glibc's ``mallopt``: blocks up to 256 MiB are kept (M_MMAP_THRESHOLD), larger ones, of which
some could fill the memory, go back at once; at the end of the heap all is kept (M_TRIM_THRESHOLD)."""


def command(main: Callable[..., int | None]) -> Callable[..., int]:
    """Turn a main function into a command: the process is set up for it, and an explained error is printed
    instead of a traceback (exit status 1).

    OpenMP reads its settings when torch is loaded, so a command that computes imports torch in its function.
    """

    @functools.wraps(main)
    def run(*args, **kwargs) -> int:
        try:
            _refuse_foreign_package()
            set_up_process()
            return main(*args, **kwargs) or 0
        except MMSegError as error:
            if os.environ.get("MMSEG_TRACEBACK"):
                raise
            if isinstance(error, Preempted):
                print(error, file=sys.stderr)
                return error.exit_code
            print(f"error: {message_of(error)}", file=sys.stderr)
            return 1
        except UnicodeEncodeError as error:
            if os.environ.get("MMSEG_TRACEBACK"):
                raise
            print(
                f"error: {error.object!a:.200}: the encoding of the system, {error.encoding}, has no "
                f"{error.object[error.start : error.end]!a}; set LC_ALL=C.UTF-8",
                file=sys.stderr,
            )
            return 1
        except OSError as error:
            if error.errno not in STORAGE_ERRORS or os.environ.get("MMSEG_TRACEBACK"):
                raise
            print(
                f"error: {error.filename or 'a file'}: cannot be written ({error.strerror}); make room, "
                "or name another folder",
                file=sys.stderr,
            )
            return 1
        except KeyboardInterrupt:
            print(
                "interrupted; a training run goes on from its last checkpoint with --resume", file=sys.stderr
            )
            return 130

    return run


def set_up_process() -> None:
    """Let waiting threads sleep early, keep the memory of freed tensors for the next ones, and print letters
    that the terminal does not have as escapes.

    glibc gives large blocks back to the kernel, which has to clear every page for the next tensor: a third of
    the time of a prediction on the CPU. What is kept is not given back between peaks, and can be several
    times what is in use where sizes change. ``MMSEG_KEEP_FREED_MEMORY=0`` leaves the allocator as it is, and
    other C libraries are left alone; ``OMP_WAIT_POLICY`` and ``GOMP_SPINCOUNT`` win over the waiting.
    """
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict":  # a path may hold letters that a terminal has not
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    if os.name == "posix" and os.environ.get(KEEP_VARIABLE) != "0":
        c_library = ctypes.CDLL(None)
        for setting in MALLOPT.items() if hasattr(c_library, "mallopt") else ():
            c_library.mallopt(*setting)


def message_of(error: MMSegError) -> str:
    """The explanation alone; what a data worker raised comes wrapped in the worker's traceback."""
    marker = f"{type(error).__module__}.{type(error).__name__}: "
    text = str(error)
    return text.rsplit(marker, 1)[-1].strip() if "DataLoader worker" in text else text


def _refuse_foreign_package() -> None:
    """Check that a program of a checkout runs with its own package, and libraries are not overwritten."""
    for foreign in FOREIGN:
        with suppress(PackageNotFoundError):
            library = f"onedl-{foreign.removesuffix('-lite')}"
            raise MMSegError(
                f"{foreign} {version(foreign)} is installed beside {library} and overwrites its files; "
                f"run: pip uninstall {foreign} {library}, then: pip install {library}"
            )
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


def print_or_write(text: str, out: str | None, option: str = "--out") -> None:
    """Show the result of a tool, or write it to the file that an option names.

    Raises:
        ConfigError: The file cannot be written.
    """
    if out is None:
        with printing():
            sys.stdout.write(text)
        return
    with writing(out, option):
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
def writing(out: str, option: str = "--out") -> Iterator[None]:
    """Write the file that an option names in the block.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{option} {out}: cannot be written ({error.strerror})") from error


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options key=value ...`` (also ``--options``, its published name)."""
    from mmseg.config.options import OptionText

    class KeyValueAction(argparse.Action):
        """Collects the texts; what they mean depends on the config, see :mod:`mmseg.config.options`."""

        def __call__(self, parser, namespace, values, option_string=None) -> None:
            options = dict(getattr(namespace, self.dest) or {})
            for each in values:
                key, equals, value = each.partition("=")
                if not equals:
                    parser.error(f"{option_string} {each}: expected KEY=VALUE")
                options[key.strip()] = OptionText(value)
            setattr(namespace, self.dest, options)

    parser.add_argument(
        "--cfg-options", "--options", dest="cfg_options", nargs="+", action=KeyValueAction,
        metavar="KEY=VALUE",
        help="override settings of the config, e.g. train_cfg.max_iters=100 uda.alpha=0.99",
    )  # fmt: skip
