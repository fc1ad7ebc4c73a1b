"""All that a GPU has to show, in one command: ``python -m benchmarks.gpu --minutes 9``.

Runs the tests that compute on a device, measures training steps beside the published organisation, trains
on toy scenes at full size, evaluates, and compiles. Every row is written as soon as it is there: called again
with the same folder, the command goes on with what is missing. docs/gpu.md says what to bring and how to read
it.
"""

import argparse
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import machine
from benchmarks.gpu_report import markdown, write_page
from benchmarks.gpu_rows import PARTS, Row, Settings, rows_of
from mmseg.checkpoints.atomic import write_text
from mmseg.version import __version__

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
DONE, FAILED, STARTED = "done", "failed", "started"


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="begin no row that would take longer")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part; may be repeated")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/gpu"), help="folder of the results")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument(
        "--tiny", action="store_true", help="sizes that a CPU takes: tries the command itself"
    )
    parser.add_argument("--train-config", type=Path, action="append", default=[], metavar="CONFIG",
                        help="train this config as well, as it is; may be repeated")  # fmt: skip
    parser.add_argument("--write-page", action="store_true", help=f"put the table into docs/{PAGE.name}")
    args = parser.parse_args(arguments)
    if args.minutes <= 0:
        parser.error(f"--minutes {args.minutes:g}: expected a positive number")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: there is no GPU; --device cpu --tiny tries the command without one")
    if missing := [str(path) for path in args.train_config if not path.is_file()]:
        parser.error(f"--train-config: there is no file {', '.join(missing)}")
    return args


class Results:
    """The file of the rows, written whole after each.

    Args:
        folder: Holds ``gpu.json`` and ``gpu.md``.
        device: ``cpu`` or ``cuda``.

    Raises:
        SystemExit: The folder has results of another machine.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self.file = folder / "gpu.json"
        self.content: dict[str, Any] = {"machine": machine.describe(device), "rows": {}}
        if not self.file.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            return
        found = json.loads(self.file.read_text())
        if found["machine"]["hardware"] != self.content["machine"]["hardware"]:
            raise SystemExit(
                f"{self.file}: results of {found['machine']['hardware']}, this is "
                f"{self.content['machine']['hardware']}; choose another folder with --out"
            )
        self.content["rows"] = found["rows"]

    def state(self, name: str) -> str | None:
        """Of a row: ``done``, ``failed``, ``started`` (it did not come to an end), None (it is new)."""
        return self.content["rows"].get(name, {}).get("state")

    def enter(self, row: Row, state: str, **entries: Any) -> None:
        """Write what is known of a row."""
        about = {"part": row.part, "state": state, "revision": revision()}
        self.content["rows"][row.name] = {**about, **entries}
        write_text(self.file, json.dumps(self.content, indent=1) + "\n")
        write_text(self.file.with_suffix(".md"), self.table())

    def table(self) -> str:
        """All rows as Markdown; numbers that it cannot show do not end a run whose time is precious."""
        try:
            return markdown(self.content)
        except Exception:
            return f"{self.file} cannot be shown as a table:\n{traceback.format_exc()}"


def revision() -> str:
    """Of the checkout, or the version of the package."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
        )
    except OSError:
        return __version__
    return found.stdout.strip() or __version__


def order(rows: Sequence[Row], results: Results) -> list[Row]:
    """What is left: new rows first, then those that failed or did not come to an end."""
    left = [row for row in rows if results.state(row.name) != DONE]
    return sorted(left, key=lambda row: results.state(row.name) is not None)


def run(row: Row, results: Results, seconds: float) -> str:
    """Make a row and enter it; returns its state."""
    results.enter(row, STARTED)
    begin = time.perf_counter()
    try:
        result = row.run(seconds)
    except Exception:
        state, entries = FAILED, {"error": traceback.format_exc()}
    except SystemExit as error:
        state, entries = FAILED, {"error": str(error)}
    else:
        state = FAILED if result.get("failures") else STARTED if result.get("unfinished") else DONE
        entries = {"result": result}
    results.enter(row, state, seconds=round(time.perf_counter() - begin, 1), **entries)
    return state


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    args = parse_args(arguments)
    end = time.monotonic() + 60 * args.minutes
    results = Results(args.out, args.device)
    settings = Settings(args.device, args.tiny, args.out.resolve(), tuple(args.train_config))
    rows = rows_of(settings, args.part or PARTS)
    for row in order(rows, results):
        left = end - time.monotonic()
        if left < row.seconds:
            continue  # a shorter one may fit
        state = run(row, results, left)
        entry = results.content["rows"][row.name]
        print(f"{state}: {row.name} ({entry['seconds']:.0f} s)", flush=True)
        if state == FAILED:
            print(entry.get("error") or "\n".join(entry["result"]["failures"]), flush=True)
    if args.write_page:
        write_page(PAGE, results.content)
    states = {row.name: results.state(row.name) for row in rows}
    print(f"\n{results.table()}\n{args.out / 'gpu.json'}: every number")
    left_over = [name for name, state in states.items() if state in (None, STARTED)]
    if left_over:
        print(f"{len(left_over)} rows are left, call again: {', '.join(left_over)}")
    return int(FAILED in states.values())


if __name__ == "__main__":
    sys.exit(main())
