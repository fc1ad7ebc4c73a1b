"""The table of the GPU benchmark."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine import matrix_rate

START, END = "<!-- gpu: start -->", "<!-- gpu: end -->"
NONE = "–"
GOALS = {"daformer": 20.0, "hrda": 7.0, "mic_hrda": 7.0}
"""Iterations per second on an H200, at the sizes of the papers."""
GOAL_OF_TIME = 0.4
"""Share of the published organisation's time."""
TERA, GIGA = 1e12, 1e9
Content = Mapping[str, Any]


def markdown(content: Content) -> str:
    """All rows as Markdown, with hardware and versions.

    Args:
        content: Of ``gpu.json``.
    """
    machine = ", ".join(f"{name} {value}" for name, value in content["machine"].items() if name != "hardware")
    lines = [f"Measured on one {content['machine']['hardware']} ({machine}).", ""]
    for parts, table in TABLES:
        if rows := {name: row for name, row in content["rows"].items() if row["part"] in parts}:
            lines += [*table(rows), ""]
    return "\n".join(lines)


def write_page(page: Path, content: Content) -> None:
    """Put the table between its two marks in the documentation."""
    head, rest = page.read_text().split(START)
    page.write_text(f"{head}{START}\n{markdown(content)}{END}{rest.split(END)[1]}")


def line(*cells: object) -> str:
    """A row of a table."""
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def state_of(row: Mapping[str, Any]) -> str:
    """What to say of a row without numbers."""
    return {"failed": "failed", "started": "not finished"}.get(row["state"], "")


def test_lines(rows: Mapping[str, Any]) -> Iterator[str]:
    """Numbers of tests, and the names of those that failed."""
    for row in rows.values():
        found = row.get("result", {})
        failures = found.get("failures", [])
        if "passed" not in found:
            yield f"**Tests** on the device: {state_of(row)}."
            continue
        counts = f"{found['passed']} passed, {len(failures)} failed, {len(found['skipped'])} skipped"
        yield f"**Tests** on the device: {counts}."
        yield from (f"- {failure.splitlines()[0][:200]}" for failure in failures)


def step_lines(rows: Mapping[str, Any]) -> Iterator[str]:
    """Training steps; the time is relative to the published organisation where that was measured, too."""
    yield line(
        "step", "it/s (goal)", "time, published 1 (goal)", "peak memory", "kernels", "busy", "load (driver)",
        "TFLOP/s", "of the bf16 product", "first step",
    )  # fmt: skip
    yield line("---", *["---:"] * 9)
    published = {
        case_of(row): row["result"]["wall_seconds"]
        for row in rows.values()
        if "result" in row and row["result"]["case"]["published"]
    }
    for name, row in rows.items():
        if "result" not in row:
            yield line(name, state_of(row), *[""] * 8)
            continue
        found = row["result"]
        seconds, profile, case = found["wall_seconds"], found["profile"], found["case"]
        rate = found["operations"]["flops"] / seconds
        product = found["matrix_seconds"].get("bfloat16")
        ratio = seconds / published[case_of(row)] if case_of(row) in published else None
        has_goal = case["backbone"] == "mit_b5" and case["device"] == "cuda" and not case["published"]
        goals = (f" ({GOALS[case['method']]:g})", f" ({GOAL_OF_TIME})") if has_goal else ("", "")
        load = found["load"]
        yield line(
            name,
            f"{1 / seconds:.2f}{goals[0]}",
            f"{ratio:.2f}{goals[1]}" if ratio else NONE,
            f"{found['process_memory'] / GIGA:.1f} GB",
            f"{profile['kernels']:,}" if profile.get("kernels") else "not measured",
            f"{min(profile['busy_seconds'] / seconds, 1):.0%}" if profile.get("kernels") else "not measured",
            f"{load:.0f} %" if load is not None else "not measured",
            f"{rate / TERA:.3g}",
            f"{rate / matrix_rate(product, case['device']):.0%}" if product else "not measured",
            start_of(found["start"]),
        )


def case_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What rows have to share to be compared."""
    case = row["result"]["case"]
    return tuple(case[name] for name in ("method", "backbone", "crop", "batch", "device"))


def start_of(start: Mapping[str, Any]) -> str:
    """Seconds of the first step, and what was compiled in it."""
    compiled = f", {start['graphs']} graphs, {start['graph_breaks']} breaks" if "graphs" in start else ""
    return f"{start['seconds']:.1f} s{compiled}"


def train_lines(rows: Mapping[str, Any]) -> Iterator[str]:
    """Runs as users start them."""
    yield line("training", "iterations", "it/s", "waiting for data", "peak memory", "mIoU")
    yield line("---", *["---:"] * 5)
    for name, row in rows.items():
        found = row.get("result", {})
        if "iterations_per_second" not in found:
            yield line(name, state_of(row), *[""] * 4)
            continue
        yield line(
            name,
            found["iterations"],
            f"{found['iterations_per_second']:.2f}",
            f"{found['data_share']:.0%}",
            f"{found['peak_memory'] / GIGA:.1f} GB",
            f"{found['mIoU']:.1f}" if "mIoU" in found else state_of(row),
        )


def evaluation_lines(rows: Mapping[str, Any]) -> Iterator[str]:
    """Images per second."""
    yield line(
        "evaluation",
        "images/s, one by one",
        "of published",
        "images/s with the loader",
        "peak memory",
        "same pixels",
    )
    yield line("---", *["---:"] * 5)
    for name, row in rows.items():
        if "result" not in row:
            yield line(name, state_of(row), *[""] * 4)
            continue
        found = row["result"]
        yield line(
            name,
            f"{found['images_per_second']:.2f}",
            f"{found['ratio']:.2f}",
            f"{found['loader_images_per_second']:.2f}",
            f"{found['peak_memory'] / GIGA:.1f} GB",
            f"{found['agreement']:.4%}",
        )


TABLES = (
    (("tests",), test_lines),
    (("step", "compile"), step_lines),
    (("train",), train_lines),
    (("eval",), evaluation_lines),
)
"""Parts that share a table."""
