"""The rows of the GPU benchmark: what each runs, and about how long that takes."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import evaluation, step
from benchmarks.gpu_train import LADDER, prepare, train
from benchmarks.step_case import StepCase

ROOT = Path(__file__).parents[1]
Numbers = dict[str, Any]

VARIANTS: dict[str, dict[str, Any]] = {
    "bf16": dict(amp="bf16"),
    "published, TF32": dict(published=True, tf32=True),
    "float32, TF32": dict(tf32=True),
    "bf16, CUDA graphs": dict(amp="bf16", graphs=True),
    "bf16, channels-last": dict(amp="bf16", channels_last=True),
    "fp16": dict(amp="fp16"),
    "float32": {},
}
"""Settings of a step, the most telling first."""
ON_A_HOST = ("bf16", "published, TF32")
SIZES = {"daformer": 512, "hrda": 1024, "mic_hrda": 1024}
"""Methods and the crops of their papers."""


@dataclass(frozen=True)
class Settings:
    """What is measured, and how large.

    Attributes:
        device: ``cpu`` or ``cuda``.
        tiny: Whether sizes are those that a CPU takes.
        out: Folder of the results.
        train_configs: Configs that are trained beside the toy scenes.
    """

    device: str
    tiny: bool
    out: Path
    train_configs: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Row:
    """One row of the results.

    Attributes:
        part: One of :data:`PARTS`.
        name: Unique.
        seconds: About how long it takes; not begun where less is left.
        run: Makes it within so many seconds. ``failures`` in its numbers: what was wrong; ``unfinished``:
            there is more to do.
    """

    part: str
    name: str
    seconds: float
    run: Callable[[float], Numbers]


# --------------------------------------------------------------------------------------------------- tests


def test_rows(settings: Settings) -> Iterator[Row]:
    """The tests that compute on a device."""
    chosen = ["-n", "0", "tests/models/test_losses.py"] if settings.tiny else ["-n", "4"]
    marker = "gpu" if settings.device == "cuda" else "not gpu and not slow"
    yield Row(
        "tests", "tests", 10 if settings.tiny else 120, lambda left: run_tests(settings, chosen, marker, left)
    )


def run_tests(settings: Settings, chosen: Sequence[str], marker: str, seconds: float) -> Numbers:
    """Numbers of tests by outcome, and the messages of those that failed."""
    report = settings.out / "tests.xml"
    report.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        marker,
        "-p",
        "no:cacheprovider",
        f"--junitxml={report}",
        *chosen,
    ]
    with (settings.out / "tests.log").open("w") as log:
        try:
            subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, timeout=seconds)
        except subprocess.TimeoutExpired:
            return {"unfinished": True}
    if not report.is_file():
        return {"failures": [f"no report; see {log.name}"]}
    return outcomes(report)


def outcomes(report: Path) -> Numbers:
    """What a JUnit report says."""
    passed, skipped, failures = 0, [], []
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        problem = case.find("failure") if case.find("failure") is not None else case.find("error")
        if problem is not None:
            failures.append(f"{name}: {(problem.get('message') or '')[:500]}")
        elif case.find("skipped") is not None:
            skipped.append(name)
        else:
            passed += 1
    if not passed:
        failures.append("no test has run")
    return {"passed": passed, "skipped": skipped, "failures": failures}


# --------------------------------------------------------------------------------------------------- steps


def step_rows(settings: Settings) -> Iterator[Row]:
    """Training steps, every method in every variant; the most telling variants of all methods first."""
    for variant, changes in VARIANTS.items():
        if settings.device == "cuda" or variant in ON_A_HOST:
            for case in cases(settings):
                yield step_row("step", settings, variant, replace(case, **changes), 45)


def compile_rows(settings: Settings) -> Iterator[Row]:
    """Training steps with compiled encoders."""
    for case in cases(settings):
        compiled = replace(case, amp="bf16", compile=True)
        yield step_row("compile", settings, "bf16, compiled", compiled, 240)


def cases(settings: Settings) -> Iterator[StepCase]:
    """The methods at their size."""
    for method, crop in SIZES.items():
        if settings.tiny:
            crop = 64 if method == "daformer" else 128
        backbone, batch = ("mit_b0", 1) if settings.tiny else ("mit_b5", 2)
        threads = 1 if settings.device == "cpu" else min(8, os.cpu_count() or 1)
        yield StepCase(method, backbone, crop, batch, device=settings.device, threads=threads)
        if settings.tiny:
            break


def step_row(part: str, settings: Settings, variant: str, case: StepCase, seconds: float) -> Row:
    """A row of :mod:`benchmarks.step`."""
    steps, warmup = (1, 0) if settings.tiny else (20, 5)

    def run(_: float) -> Numbers:
        return step.measure(case, steps, warmup, profile=True)

    return Row(part, f"{case.method} {case.crop}², {variant}", 1 if settings.tiny else seconds, run)


# ------------------------------------------------------------------------------------------------- training


def train_rows(settings: Settings) -> Iterator[Row]:
    """The toy scenes at four times the size of the quickstart, and the configs that were named."""
    folder = settings.out / "train"
    for name in LADDER[:1] if settings.tiny else LADDER:

        def ladder(left: float, name: str = name) -> Numbers:
            return train(prepare(name, folder, settings.device, settings.tiny), folder / name, left)

        yield Row("train", f"toy scenes, {name}", 1 if settings.tiny else 60, ladder)
    for config in settings.train_configs:

        def given(left: float, config: Path = config) -> Numbers:
            return train(config, folder / config.stem, left)

        yield Row("train", str(config), 60, given)


# ----------------------------------------------------------------------------------------------- evaluation


def evaluation_rows(settings: Settings) -> Iterator[Row]:
    """Whole images, and sliding windows."""
    size, backbone, images = ("1024x2048", "mit_b5", 16) if not settings.tiny else ("64x64", "mit_b0", 1)
    for method, mode in (("daformer", "whole"), ("hrda", "slide"))[: 1 if settings.tiny else None]:
        crop = 1024 if method == "hrda" else 512
        words = [
            "--method",
            method,
            "--mode",
            mode,
            "--size",
            size,
            "--backbone",
            backbone,
            "--crop",
            str(crop),
        ]
        words += ["--images", str(images), "--device", settings.device, "--tf32", "--compare-published"]
        words += ["--workers", str(0 if settings.tiny else min(8, os.cpu_count() or 1))]

        def run(_: float, words: Sequence[str] = tuple(words)) -> Numbers:
            return evaluation.numbers(evaluation.parse_args(list(words)))

        yield Row("eval", f"{method}, {mode}, {size}", 1 if settings.tiny else 90, run)


PARTS: dict[str, Callable[[Settings], Iterator[Row]]] = {
    "tests": test_rows,
    "step": step_rows,
    "train": train_rows,
    "eval": evaluation_rows,
    "compile": compile_rows,
}


def rows_of(settings: Settings, parts: Sequence[str]) -> list[Row]:
    """The rows of some parts, in the order of all."""
    return [row for part, rows in PARTS.items() if part in parts for row in rows(settings)]
