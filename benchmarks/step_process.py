"""A process that makes training steps and is asked for one after the other."""

import time
from dataclasses import dataclass, field

import torch

from benchmarks import machine
from benchmarks.operations import counted
from benchmarks.published import environment
from benchmarks.step_case import StepCase
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
        cpu_seconds: Processor time of all threads of the process, of all steps together.
        peak_memory: Bytes above what the process took before it built the networks: weights, state of the
            optimizer, activations. Pages of files (the code of libraries) do not count.
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
        """Time of the matrix product by type of its numbers: float32, and that of autocast."""
        dtypes = ["float32"] + ["bfloat16"] * (self.case.amp == "bf16")
        return {name: machine.matrix_seconds(self.case.device, getattr(torch, name)) for name in dtypes}

    def first_losses(self) -> dict[str, float]:
        """Losses and accuracies of a step without dropout; to be called first, and once."""
        self.program.drop_rates.switch(on=False)
        if self.case.compile:
            torch._dynamo.config.recompile_limit = MAX_COMPILED
            compile_encoders(self.program.method)
        losses = self.program.step()
        self.program.drop_rates.switch(on=True)
        if self.case.compile:
            torch.compiler.reset()  # what was compiled for other drop rates would count as a recompilation
        self.program.measure(self.stopwatch)
        return {name: float(value) for name, value in losses.items()}

    def operations(self) -> dict[str, int]:
        """Of a step without dropout, which is never compiled; see :class:`~benchmarks.operations.Operations`.

        To be called last: the step takes more memory than those that are measured.
        """
        self.program.drop_rates.switch(on=False)
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
        begin = time.process_time()
        for _ in range(number):
            self.program.step()
        phases, cpu_seconds = self.stopwatch.steps(), time.process_time() - begin
        taken = machine.memory(device)
        return Steps(phases, cpu_seconds, taken["peak"] - taken["files"] - self.empty, taken["peak"])


def step_process(case: StepCase) -> Worker:
    """A process of its own that is asked for the methods of :class:`StepRun`."""
    variables = {"OMP_NUM_THREADS": str(case.threads), **environment(case.published)}
    if case.device == "cpu":
        variables["CUDA_VISIBLE_DEVICES"] = ""
    return Worker(StepRun, case, environment=variables)
