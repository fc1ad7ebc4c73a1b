"""Tables of the step benchmark."""

import statistics
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from benchmarks.machine import MATRIX_SIZE, matrix_rate
from benchmarks.step_case import DTYPES
from benchmarks.step_program import PHASES

MEGA, GIGA = 1e6, 1e9
SWITCHES = ("tf32", "compile", "channels_last", "graphs")


def step_tables(result: Mapping[str, Any]) -> list[Table]:
    """Tables of one organisation of the step."""
    tables = [surroundings_table(result), phase_table({"": result}), total_table(result, {"": result})]
    return [*tables, kernel_table(result)] if "kernels" in result["profile"] else tables


def comparison_tables(result: Mapping[str, Any]) -> list[Table]:
    """Tables of our step beside the published one."""
    both = {name: result[name] for name in ("ours", "published")}
    return [
        surroundings_table(result),
        phase_table(both),
        total_table(result, both),
        ratio_table(result),
    ]


def surroundings_table(result: Mapping[str, Any]) -> Table:
    """What was measured, and on what."""
    case = result["case"]
    organisation = "as published" if case["published"] else "ours"
    table = Table("step", f"{case['method']}, {case['backbone']}")
    table.add_row("crop, batch", f"{case['crop']}², {case['batch']} source and {case['batch']} target images")
    table.add_row(
        "organisation",
        ", ".join([organisation, case["amp"] or "float32", *settings_of(case), case["device"]]),
    )
    for name, value in result["machine"].items():
        table.add_row(name, value)
    for dtype, seconds in result["matrix_seconds"].items():
        rate = matrix_rate(seconds, case["device"]) / GIGA
        product = f"{MATRIX_SIZE[case['device']]}³ product"
        table.add_row(f"{product}, {dtype}", f"{seconds * 1000:.3g} ms, {rate:,.0f} GFLOP/s")
    return table


def settings_of(case: Mapping[str, Any]) -> list[str]:
    """Names of what is switched on."""
    return [name.replace("_", "-") for name in SWITCHES if case[name]]


def phase_table(organisations: Mapping[str, Mapping[str, Any]]) -> Table:
    """Median milliseconds of every phase; of one organisation alone also the share of the step."""
    alone = len(organisations) == 1
    table = Table("phase, ms")
    for name in organisations:
        for column in ["forward", "backward"] + ["share"] * alone:
            table.add_column(f"{name}\n{column}".strip(), justify="right")
    for phase in PHASES:
        if not any(phase in result["phases"] for result in organisations.values()):
            continue
        cells = []
        for result in organisations.values():
            times = result["phases"].get(phase, {"forward": 0.0, "backward": 0.0})
            cells += [milliseconds(seconds) for seconds in times.values()]
            if alone:
                cells.append(f"{sum(times.values()) / result['step_seconds']:.0%}")
        table.add_row(phase, *cells)
    return table


def total_table(result: Mapping[str, Any], organisations: Mapping[str, Mapping[str, Any]]) -> Table:
    """Time, memory and operations of a whole step."""
    case, matrix = result["case"], result["matrix_seconds"]["float32"]
    own = result["matrix_seconds"][DTYPES[case["amp"]]]  # what the precision of the step would allow
    rates = {
        name: matrix_rate(matrix if name == "published" else own, case["device"]) for name in organisations
    }
    rows: dict[str, list[str]] = {}

    def add(row: str, cell: str) -> None:
        rows.setdefault(row, []).append(cell)

    for name, each in organisations.items():
        seconds, operations = each["step_seconds"], each["operations"]
        ideal = operations["flops"] / rates[name]
        add("time, median", f"{seconds:.4g} s")
        add("  from, to", f"{min(each['seconds']):.4g} s, {max(each['seconds']):.4g} s")
        add("  of all threads together, mean", f"{each['cpu_seconds']:.4g} s")
        add("  in float32 products", f"{seconds / matrix:.1f}")
        add("rate", f"{1 / each['wall_seconds']:.3g} it/s")
        add("first step, with what is compiled in it", f"{each['start']['seconds']:.3g} s")
        add("peak memory of training", f"{each['peak_memory'] / MEGA:,.0f} MB")
        add("  of the whole process", f"{each['process_memory'] / MEGA:,.0f} MB")
        add("FLOPs", f"{operations['flops'] / GIGA:,.1f} G")
        add("  at the rate of the product", f"{ideal:.4g} s")
        add("  reached", f"{ideal / seconds:.0%} of that rate")
        for key in operations:
            if key != "flops":
                add(key.replace("_", " "), f"{operations[key]:,}")
    table = Table("whole step", *organisations)
    for row, cells in rows.items():
        table.add_row(row, *cells)
    return table


def kernel_table(result: Mapping[str, Any]) -> Table:
    """What ran on the device."""
    profile = result["profile"]
    busy = profile["busy_seconds"] / result["wall_seconds"]
    table = Table(f"{profile['kernels']:,} kernels, busy for {busy:.0%} of a step", "share", "number")
    for name, share, number in profile["longest"]:
        table.add_row(name[:80], f"{share:.1%}", f"{number:,}")
    return table


def ratio_table(result: Mapping[str, Any]) -> Table:
    """Ours divided by published."""
    table = Table("ours / published", "median", "min", "max")
    rows = {
        f"time of a step ({len(result['time_ratios'])} pairs, usual drop rates)": result["time_ratios"],
        "  processor time": result["cpu_time_ratios"],
    }
    for row, ratios in rows.items():
        values = (statistics.median(ratios), min(ratios), max(ratios))
        table.add_row(row, *(f"{value:.3f}" for value in values))
    table.add_row("peak memory of training", f"{result['peak_memory_ratio']:.3f}", "", "")
    table.add_row("  of the whole process", f"{result['process_memory_ratio']:.3f}", "", "")
    difference = f"{result['largest_loss_difference']:.1e}"
    table.add_row("first losses, relative difference (drop rates 0)", difference, "", "")
    return table


def milliseconds(seconds: float) -> str:
    """As ``12.3``; nothing for nothing."""
    return f"{seconds * 1000:,.1f}" if seconds else ""
