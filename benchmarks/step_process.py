"""A process that makes training steps and is asked for one after the other."""

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from unittest.mock import patch

import torch

from benchmarks import machine
from benchmarks.operations import counted
from benchmarks.step_case import StepCase
from benchmarks.step_program import Program, build_program
from benchmarks.stopwatch import Phase, Stopwatch
from mmseg.engine.runner import compile_encoders

Result = TypeVar("Result")


@dataclass
class FirstStep:
    """Of a step without dropout.

    Attributes:
        losses: Losses and accuracies by name.
        operations: See :class:`~benchmarks.operations.Operations`.
    """

    losses: dict[str, float]
    operations: dict[str, int]


@dataclass
class Steps:
    """Of several steps with the dropout of training.

    Attributes:
        phases: Seconds by phase, one dict per step.
        cpu_seconds: Processor time of all threads of the process, of all steps together.
        peak_memory: Bytes above what the process took before it built the networks: weights, state of the
            optimizer, activations.
        process_memory: Bytes of the whole process at the peak, libraries included (tensors on a GPU).
    """

    phases: list[dict[Phase, float]] = field(default_factory=list)
    cpu_seconds: float = 0.0
    peak_memory: int = 0
    process_memory: int = 0

    @property
    def seconds(self) -> list[float]:
        """Of each step."""
        return [sum(phases.values()) for phases in self.phases]


class _Run:
    """What the process holds."""

    def __init__(self, case: StepCase) -> None:
        torch.set_num_threads(case.threads)
        self.case = case
        self.empty = machine.memory(case.device)["now"]
        self.program: Program = build_program(case)
        self.stopwatch = Stopwatch(case.device)

    def first_step(self) -> FirstStep:
        """Make a step without dropout for its losses, and one to count, which is never compiled."""
        self.program.drop_rates.switch(on=False)
        if self.case.compile:
            compile_encoders(self.program.method)
        losses = self.program.step()
        with (
            torch.compiler.set_stance("force_eager"),
            counted(self.program.method, self.program.optimizer) as operations,
        ):
            self.program.step()
        self.program.drop_rates.switch(on=True)
        if self.case.compile:
            torch.compiler.reset()  # what was compiled for other drop rates would count as a recompilation
        self.program.measure(self.stopwatch)
        return FirstStep({k: float(v) for k, v in losses.items()}, operations.as_dict())

    def steps(self, number: int) -> Steps:
        """Make and measure steps."""
        device = self.case.device
        machine.synchronize(device)
        machine.reset_peak_memory(device)
        begin = time.process_time()
        for _ in range(number):
            self.program.step()
        phases, cpu_seconds = self.stopwatch.steps(), time.process_time() - begin
        peak = machine.memory(device)["peak"]
        return Steps(phases, cpu_seconds, peak - self.empty, peak)


_run: _Run | None = None


def _start(case: StepCase) -> None:
    global _run
    _run = _Run(case)


def _call(name: str, *args: Any) -> Any:
    return getattr(_run, name)(*args)


def _matrix_seconds(device: str, dtypes: list[str]) -> dict[str, float]:
    return {name: machine.matrix_seconds(device, getattr(torch, name)) for name in dtypes}


class StepProcess:
    """The process; to be used in a ``with`` statement.

    Args:
        case: What it runs.
    """

    def __init__(self, case: StepCase) -> None:
        environment = {"OMP_NUM_THREADS": str(case.threads)}
        if case.device == "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        self._case = case
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, spawn, initializer=_start, initargs=(case,))
        with patch.dict(os.environ, environment):
            self._pool.submit(os.getpid)  # starts the process, which inherits the environment

    def __enter__(self) -> "StepProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def describe(self) -> dict[str, str]:
        """Hardware and versions."""
        return self._ask(machine.describe, self._case.device)

    def matrix_seconds(self) -> dict[str, float]:
        """Time of the matrix product by type of its numbers: float32, and that of autocast."""
        dtypes = ["float32"] + ["bfloat16"] * (self._case.amp == "bf16")
        return self._ask(_matrix_seconds, self._case.device, dtypes)

    def first_step(self) -> FirstStep:
        """Losses of a step without dropout and operations of another; to be called once."""
        return self._ask(_call, "first_step")

    def steps(self, number: int) -> Steps:
        """Make and measure steps."""
        return self._ask(_call, "steps", number)

    def _ask(self, function: Callable[..., Result], *args: Any) -> Result:
        return self._pool.submit(function, *args).result()
