"""One training step: ``python -m benchmarks.step --method daformer --backbone mit_b5 --crop 512``.

Prints where the time goes, what memory it takes, how many floating point operations it makes and how long the
machine would need for those at the rate of a matrix product. ``--published`` measures the same step organised
as published; ``--compare-published`` runs both side by side, each in a process of its own, in turn.
"""

import argparse
import json
import math
import os
import statistics
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.step_case import BACKBONES, METHODS, StepCase
from benchmarks.step_process import Steps, step_process
from benchmarks.step_report import comparison_tables, step_tables
from benchmarks.worker import Worker

MIN_PAIRS = 5
PROFILED = 2
"""Steps that are looked into, kernel by kernel."""
LOSS_TOLERANCE = {"cpu": {None: 1e-5, "bf16": 2e-2}, "cuda": {None: 2e-3, "bf16": 5e-2, "fp16": 2e-2}}
"""Relative difference of the first losses, by device and precision (on a GPU both may round to TF32)."""


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--method", choices=METHODS, default="daformer")
    parser.add_argument("--backbone", choices=BACKBONES, default="mit_b5")
    parser.add_argument("--crop", type=int, default=512, help="edge of the training crops, a multiple of 64")
    parser.add_argument("--batch", type=int, default=2, help="source images, and as many target images")
    parser.add_argument("--amp", choices=["bf16", "fp16"], help="autocast instead of float32 (fp16: GPUs)")
    parser.add_argument("--tf32", action="store_true", help="float32 factors rounded to TF32 on a GPU")
    parser.add_argument("--compile", action="store_true", help="compile the networks")
    parser.add_argument("--channels-last", action="store_true", help="weights in channels-last order")
    parser.add_argument("--graphs", action="store_true", help="encoders as CUDA graphs")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--steps", type=int, default=5, help="measured steps, or pairs of steps")
    parser.add_argument("--warmup", type=int, default=2, help="steps before")
    organisation = parser.add_mutually_exclusive_group()
    organisation.add_argument("--published", action="store_true", help="the step organised as published")
    organisation.add_argument("--compare-published", action="store_true", help="both, in turn")
    parser.add_argument("--profile", action="store_true", help="look at the kernels of a step as well")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    args = parser.parse_args(arguments)
    if args.crop < 64 or args.crop % 64:
        parser.error(f"--crop {args.crop}: expected a multiple of 64")
    if args.method.endswith("hrda") and args.crop < 128:
        parser.error(f"--crop {args.crop}: HRDA sees the context at half the size, expected at least 128")
    if args.batch < 1 or args.steps < 1 or args.warmup < 0 or args.threads < 1:
        parser.error("--batch, --steps and --threads have to be 1 or more, --warmup 0 or more")
    if args.compare_published and args.steps < MIN_PAIRS:
        parser.error(f"--steps {args.steps}: a ratio takes at least {MIN_PAIRS} pairs")
    if args.json and not args.json.parent.is_dir():
        parser.error(f"--json {args.json}: there is no folder {args.json.parent}")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: there is no GPU; leave it out to measure on the CPU")
    if args.device == "cpu" and (args.amp == "fp16" or args.graphs):
        parser.error("--amp fp16 and --graphs need --device cuda")
    if args.compile and args.graphs:
        parser.error("--compile and --graphs: choose one")
    if args.published and (args.amp or args.compile or args.channels_last or args.graphs):
        parser.error("--published: that step is float32, neither compiled nor changed; leave out the rest")
    return args


def case_of(args: argparse.Namespace) -> StepCase:
    """What the command line asks for."""
    return StepCase(**{field.name: getattr(args, field.name) for field in fields(StepCase)})


def measure(case: StepCase, steps: int, warmup: int, profile: bool = False) -> dict[str, Any]:
    """Numbers of one organisation of the step; ``profile`` adds what its kernels say."""
    with step_process(case) as process:
        surroundings = {"machine": process.ask("describe"), "matrix_seconds": process.ask("matrix_seconds")}
        losses, start = process.ask("first_losses"), process.ask("start")
        if warmup:
            process.ask("steps", warmup)
        measured = process.ask("steps", steps)
        kernels = looked_into(process) if profile else {}
        operations = process.ask("operations")
    result = summary(losses, operations, measured, start)
    return {"case": case.as_dict(), **surroundings, **result, "profile": kernels}


def looked_into(process: Worker) -> dict[str, Any]:
    """What the kernels of steps say; ``error`` where the profiler does not work, as in some containers."""
    try:
        return process.ask("profile", PROFILED)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def compare(case: StepCase, pairs: int, warmup: int) -> dict[str, Any]:
    """Numbers of our step and of the published one, made in turn by two processes.

    Raises:
        SystemExit: The two do not compute the same.
    """
    published_case = replace(case, published=True, amp=None, compile=False, channels_last=False, graphs=False)
    with step_process(case) as own, step_process(published_case) as published:
        surroundings = {"machine": own.ask("describe"), "matrix_seconds": own.ask("matrix_seconds")}
        processes = {"ours": own, "published": published}
        losses = {name: process.ask("first_losses") for name, process in processes.items()}
        starts = {name: process.ask("start") for name, process in processes.items()}
        difference = check_losses(losses["ours"], losses["published"], case)
        turns: dict[str, list[Steps]] = {name: [] for name in processes}
        for turn in range(warmup + pairs):
            for name, process in processes.items():
                steps = process.ask("steps", 1)
                if turn >= warmup:
                    turns[name].append(steps)
        operations = {name: process.ask("operations") for name, process in processes.items()}
    results = {
        name: summary(losses[name], operations[name], joined(turns[name]), starts[name]) for name in processes
    }
    ours, theirs = (results[name] for name in processes)
    ratios = [a / b for a, b in zip(ours["seconds"], theirs["seconds"], strict=True)]
    cpu_ratios = [a.cpu_seconds / b.cpu_seconds for a, b in zip(*turns.values(), strict=True)]
    return {
        "case": case.as_dict(),
        **surroundings,
        **results,
        "largest_loss_difference": difference,
        "time_ratios": ratios,
        "time_ratio": statistics.median(ratios),
        "cpu_time_ratios": cpu_ratios,
        "cpu_time_ratio": statistics.median(cpu_ratios),
        "peak_memory_ratio": ours["peak_memory"] / theirs["peak_memory"],
        "process_memory_ratio": ours["process_memory"] / theirs["process_memory"],
    }


def check_losses(ours: dict[str, float], published: dict[str, float], case: StepCase) -> float:
    """Largest relative difference of the losses of the first step.

    Raises:
        SystemExit: It is too large, or the losses have other names.
    """
    missing = published.keys() - ours.keys()  # ours may log more
    if missing or {name for name in ours if "loss" in name} - published.keys():
        raise SystemExit(f"the steps differ: ours logs {sorted(ours)}, the published one {sorted(published)}")
    differences = {
        name: abs(ours[name] - value) / max(abs(value), 1e-12)
        for name, value in published.items()
        if "loss" in name
    }
    differences = {name: math.inf if math.isnan(found) else found for name, found in differences.items()}
    worst = max(differences, key=differences.__getitem__)
    tolerance = LOSS_TOLERANCE[case.device][case.amp]
    if differences[worst] > tolerance:
        raise SystemExit(
            f"the steps differ: {worst} is {ours[worst]} in ours, {published[worst]} in the published one; "
            f"expected a relative difference of at most {tolerance}"
        )
    return differences[worst]


def joined(turns: list[Steps]) -> Steps:
    """Steps that were made in several turns; of the memory, the largest."""
    return Steps(
        [phases for steps in turns for phases in steps.phases],
        sum(steps.wall_seconds for steps in turns),
        sum(steps.cpu_seconds for steps in turns),
        max(steps.peak_memory for steps in turns),
        max(steps.process_memory for steps in turns),
        max((steps.load for steps in turns if steps.load is not None), default=None),
    )


def summary(
    losses: dict[str, float], operations: dict[str, int], steps: Steps, start: dict[str, Any]
) -> dict[str, Any]:
    """All numbers of an organisation; seconds of a phase are medians."""
    phases = {phase for each in steps.phases for phase in each}
    medians = {phase: statistics.median(each.get(phase, 0.0) for each in steps.phases) for phase in phases}
    names = {name for name, _ in phases}
    return {
        "losses": losses,
        "start": start,
        "load": steps.load,
        "operations": operations,
        "seconds": steps.seconds,
        "step_seconds": statistics.median(steps.seconds),
        "wall_seconds": steps.wall_seconds / len(steps.phases),
        "cpu_seconds": steps.cpu_seconds / len(steps.phases),
        "phases": {
            name: {direction: medians.get((name, direction), 0.0) for direction in ("forward", "backward")}
            for name in names
        },
        "peak_memory": steps.peak_memory,
        "process_memory": steps.process_memory,
    }


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    args = parse_args(arguments)
    case = case_of(args)
    if args.compare_published:
        result = compare(case, args.steps, args.warmup)
    else:
        result = measure(case, args.steps, args.warmup, args.profile)
    console = Console()
    for table in (comparison_tables if args.compare_published else step_tables)(result):
        console.print(table)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
