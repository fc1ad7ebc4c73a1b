"""Plots of what runs log."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Curve = Mapping[int, float]
"""Value by iteration."""

COLUMNS = 3
PANEL = (5.0, 3.2)
"""Width and height of a panel in inches."""
MANY_POINTS = 30
"""Curves with fewer points show each of them."""


def draw_curves(runs: Mapping[str, Mapping[str, Curve]], names: Sequence[str], path: Path) -> None:
    """Write a PNG with a panel for each value and a line for each run that has it.

    Args:
        runs: Run to its curves.
        names: Values to draw.
        path: File to write; its folder is made.
    """
    from matplotlib.figure import Figure  # slow to import, and without pyplot it needs no display

    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    legend_height = 0.25 * len(runs) + 0.1
    size = (PANEL[0] * columns, PANEL[1] * rows + legend_height)
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    lines: dict[str, Any] = {}
    for index, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, index + 1)
        for number, (run, curves) in enumerate(runs.items()):
            curve = curves.get(name, {})
            marker = "." if len(curve) < MANY_POINTS else ""
            (line,) = axes.plot(
                list(curve), list(curve.values()), label=run, color=f"C{number}", linewidth=1, marker=marker
            )
            lines.setdefault(run, line)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("iteration", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
    figure.legend(handles=list(lines.values()), loc="outside lower left", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
