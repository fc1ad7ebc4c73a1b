"""Means and deviations over seeds, beside the scores of the papers, as a table."""

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.evaluation.metrics import MEAN_SCORES
from mmseg.experiments.paper_results import PaperResult, paper_results
from mmseg.reports.collect import CLASS_PREFIX, RunResult

STORED_BESIDE = {"aAcc", *(f"m{score}" for scores in MEAN_SCORES.values() for score in scores)} - {"mIoU"}
"""Means that ``IoUMetric`` always stores beside mIoU; a table over runs does not show them."""
Rows = list[list[str]]


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone."""

    name: str
    runs: Sequence[RunResult] = ()


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (n - 1 in the denominator; None for n = 1) of n values."""

    mean: float
    std: float | None
    n: int

    def text(self, num_runs: int) -> str:
        """As ``68.31 ± 0.52``; n is given where it is not the number of runs."""
        deviation = "" if self.std is None else f" ± {self.std:.2f}"
        return f"{self.mean:.2f}{deviation}" + ("" if self.n == num_runs else f" (n={self.n})")


def summarize(group: Group, score: str) -> Summary | None:
    """Mean and deviation of a score over the runs that have it, or None."""
    found = [value for run in group.runs if (value := run.scores.get(score)) is not None]
    if not found:
        return None
    return Summary(statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else None, len(found))


def group_by_name(results: Sequence[RunResult]) -> tuple[list[Group], list[str]]:
    """Put the seeds of a run together.

    Of runs with the same name and seed the last counts (by folder name, which begins with the date). Runs
    whose classes differ from those of the first seed do not count.

    Returns:
        Groups in the order of first appearance, and what was left out.
    """
    problems: list[str] = []
    by_name: dict[str, dict[int | None, RunResult]] = {}
    for result in results:
        seeds = by_name.setdefault(result.name, {})
        first = next(iter(seeds.values()), result)
        earlier = seeds.get(result.seed)
        if result.classes != first.classes:
            differing = sorted(set(result.classes) ^ set(first.classes)) or "their order"
            problems.append(
                f"{result.run_dir}: left out, its classes are not those of {first.run_dir}; they differ in "
                f"{differing}"
            )
        elif earlier is None:
            seeds[result.seed] = result
        else:
            old, new = sorted((earlier, result), key=lambda run: run.run_dir.name)
            problems.append(f"{old.run_dir}: left out, {new.run_dir} has the same name and seed")
            seeds[result.seed] = new
    return [Group(name, list(seeds.values())) for name, seeds in by_name.items()], problems


# ------------------------------------------------------------------------------------------------- as a table


SOURCE = "paper's source"
"""Name of the column of texts."""


def columns_of(groups: Sequence[Group], per_class: bool) -> list[str]:
    """Scores to show: mIoU, its class subsets and the scores of further metrics that any run has; with
    ``per_class`` also the IoU of every class."""
    runs = [run for group in groups for run in group.runs]
    means = dict.fromkeys(
        name for run in runs for name in run.means if name.rpartition("/")[2] not in STORED_BESIDE
    )
    if "mIoU" in means or not means:
        means = {"mIoU": None} | means
    classes = dict.fromkeys(name for run in runs for name in run.classes)
    return [*means, *(f"{CLASS_PREFIX}{name}" for name in classes if per_class)]


def table_rows(groups: Sequence[Group], per_class: bool = False) -> Rows:
    """Header and a row for each group: name, number of seeds, scores, and where a paper reports one of the
    runs its score and source."""
    columns = columns_of(groups, per_class)
    published_any = any(paper_results(group.name) for group in groups)
    names = (name.removeprefix(CLASS_PREFIX) for name in columns)
    rows = [["run", "n", *names, *(["paper", SOURCE] if published_any else [])]]
    for group in groups:
        summaries = [summarize(group, name) for name in columns]
        cells = ["-" if summary is None else summary.text(len(group.runs)) for summary in summaries]
        papers = paper_results(group.name)
        of_paper = ["-", ""] if published_any else []
        if papers:
            of_paper = [", ".join(map(in_words, papers)), sources(papers)]
        rows.append([group.name, str(len(group.runs)), *cells, *of_paper])
        for paper in papers if per_class else ():
            if not paper.per_class:
                continue
            published = dict(zip(CITYSCAPES_CLASSES, paper.per_class, strict=True))
            shown = (published.get(name.removeprefix(CLASS_PREFIX)) for name in columns)
            cells = ["-" if value is None else f"{value:.1f}" for value in shown]
            rows.append([f"{group.name} (paper)", "-", *cells, *of_paper])
    return rows


def in_words(paper: PaperResult) -> str:
    """A score of a paper, as ``40.8 (mIoU16)``."""
    return f"{paper.value:.1f}" + ("" if paper.score == "mIoU" else f" ({paper.score})")


def sources(papers: Sequence[PaperResult]) -> str:
    """Where the scores of a run come from, each source once."""
    return " / ".join(dict.fromkeys(paper.source for paper in papers))


def to_markdown(rows: Rows) -> str:
    """A table of GitHub's Markdown."""
    header, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    rule = ["---", *("---" if name == SOURCE else "---:" for name in header[1:])]
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *body))


LATEX: dict[str, str | int | None] = {
    "\\": r"\textbackslash{}", "±": r"$\pm$", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def to_latex(rows: Rows) -> str:
    """A tabular that needs the package booktabs."""
    alignment = "l" + "".join("l" if name == SOURCE else "r" for name in rows[0][1:])
    header, *body = [" & ".join(cell.translate(str.maketrans(LATEX)) for cell in row) for row in rows]
    lines = [
        rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", rf"{header} \\", r"\midrule",
        *(rf"{row} \\" for row in body), r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def to_csv(groups: Sequence[Group], per_class: bool = False) -> str:
    """Numbers with full precision for programs: mean, deviation and n of each score, a column each.

    Several scores of papers, and their names, are separated by spaces.
    """
    columns = columns_of(groups, per_class)
    header = ["run", "n", "seeds"]
    header += [f"{name}{suffix}" for name in columns for suffix in ("", "_std", "_n")]
    header += ["paper", "paper_score", "paper_source", "run_dirs"]
    with io.StringIO() as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        for group in groups:
            row: list[object] = [group.name, len(group.runs), " ".join(str(run.seed) for run in group.runs)]
            for summary in (summarize(group, name) for name in columns):
                row += ["", "", 0] if summary is None else [summary.mean, summary.std, summary.n]
            papers = paper_results(group.name)
            row += [" ".join(str(paper.value) for paper in papers), " ".join(paper.score for paper in papers)]
            row.append(sources(papers))
            writer.writerow([*row, " ".join(str(run.run_dir) for run in group.runs)])
        return text.getvalue()
