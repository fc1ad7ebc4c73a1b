"""A process that makes training steps and is asked for one after the other."""

import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks import kernels, machine
from benchmarks.graphs import graph_encoders, plain_encoders
from benchmarks.operations import counted
from benchmarks.published import environment
from benchmarks.step_case import DTYPES, StepCase
from benchmarks.step_program import Program, build_program
from benchmarks.stopwatch import Phase, Stopwatch
from benchmarks.worker import Worker
from mmseg.engine.runner import compile_encoders
from mmseg.engine.train_loop import MAX_COMPILED


@dataclass
class Steps:
    """Of several steps with the dropout of training.

    Attributes:
        phases: Seconds by phase, one dict per step.
        wall_seconds: Of all steps together, by the clock of the host, until the device has made the last one.
        cpu_seconds: Processor time of all threads of the process, of all steps together.
        peak_memory: Bytes above what the process took before it built the networks: weights, state of the
            optimizer, activations. Pages of files (the code of libraries) do not count.
        process_memory: Bytes of the whole process at the peak, libraries included (tensors on a GPU).
        load: Of the GPU in percent as its driver says; None where it does not.
    """

    phases: list[dict[Phase, float]] = field(default_factory=list)
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory: int = 0
    process_memory: int = 0
    load: float | None = None

    @property
    def seconds(self) -> list[float]:
        """Of each step."""
        return [sum(phases.values()) for phases in self.phases]


class StepRun:
    """What the process holds.

    Args:
        case: What it runs.
    """

    def __init__(self, case: StepCase) -> None:
        torch.set_num_threads(case.threads)
        self.case = case
        taken = machine.memory(case.device)
        self.empty = taken["now"] - taken["files"]
        self.program: Program = build_program(case)
        self.stopwatch = Stopwatch(case.device)

    def describe(self) -> dict[str, str]:
        """Hardware and versions."""
        return machine.describe(self.case.device)

    def matrix_seconds(self) -> dict[str, float]:
        """Time of the matrix product by type of its numbers: float32, that of autocast, on GPUs bfloat16."""
        dtypes = {"float32", DTYPES[self.case.amp]} | ({"bfloat16"} if self.case.device == "cuda" else set())
        return {
            name: machine.matrix_seconds(self.case.device, getattr(torch, name)) for name in sorted(dtypes)
        }

    def first_losses(self) -> dict[str, float]:
        """Losses and accuracies of a step without dropout; to be called first, and once."""
        self.program.drop_rates.switch(on=False)
        if self.case.compile:
            torch._dynamo.config.recompile_limit = MAX_COMPILED
            compile_encoders(self.program.method)
        if self.case.graphs:
            graph_encoders(self.program.method)
        begin = time.perf_counter()
        losses = {name: float(value) for name, value in self.program.step().items()}
        self.first_seconds = time.perf_counter() - begin
        self.program.drop_rates.switch(on=True)
        if self.case.compile:
            torch.compiler.reset()  # what was compiled for other drop rates would count as a recompilation
        if self.case.graphs:
            graph_encoders(self.program.method)  # with the drop rates of training
        self.program.measure(self.stopwatch)
        return losses

    def start(self) -> dict[str, Any]:
        """``seconds`` of the first step; pieces of code that were compiled in it, and breaks between them."""
        if not self.case.compile:
            return {"seconds": self.first_seconds}
        counters = torch._dynamo.utils.counters
        graphs, breaks = counters["stats"]["unique_graphs"], sum(counters["graph_break"].values())
        return {"seconds": self.first_seconds, "graphs": graphs, "graph_breaks": breaks}

    def profile(self, number: int) -> dict[str, Any]:
        """What so many steps had the device do, kernel by kernel, as numbers of one step."""

        def steps() -> None:
            for _ in range(number):
                self.program.step()

        return kernels.summary(kernels.kernels_of(steps, self.case.device), number)

    def operations(self) -> dict[str, int]:
        """Of a step without dropout, which is never compiled; see :class:`~benchmarks.operations.Operations`.

        To be called last: the step takes more memory than those that are measured.
        """
        self.program.drop_rates.switch(on=False)
        plain_encoders(self.program.method)  # what a graph does is not counted
        with (
            torch.compiler.set_stance("force_eager"),
            counted(self.program.method, self.program.optimizer) as operations,
        ):
            self.program.step()
        return operations.as_dict()

    def steps(self, number: int) -> Steps:
        """Make and measure steps."""
        device = self.case.device
        machine.synchronize(device)
        machine.reset_peak_memory(device)
        wall, cpu = time.perf_counter(), time.process_time()
        with kernels.driver_load(device) as load:
            for _ in range(number):
                self.program.step()
            phases = self.stopwatch.steps()  # waits for the device
        seconds = time.perf_counter() - wall, time.process_time() - cpu
        taken = machine.memory(device)
        peak = taken["peak"] - taken["files"] - self.empty
        return Steps(phases, *seconds, peak, taken["peak"], statistics.mean(load) if load else None)


def step_process(case: StepCase) -> Worker:
    """A process of its own that is asked for the methods of :class:`StepRun`."""
    variables = {"OMP_NUM_THREADS": str(case.threads), **environment(case.published)}
    if case.device == "cpu":
        variables["CUDA_VISIBLE_DEVICES"] = ""
    return Worker(StepRun, case, environment=variables)
