"""Our step and the published one behind the same few calls."""

import itertools
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from benchmarks.graphs import keep_gradients
from benchmarks.machine import use_tf32
from benchmarks.published import PublishedSelfTraining
from benchmarks.published.draws import draw
from benchmarks.step_case import DropRates, StepCase, batch_of, build_method, config_of
from benchmarks.stopwatch import Phase, Stopwatch
from mmseg.engine.optimizer_constructor import GroupedOptimWrapperConstructor
from mmseg.models.uda import DACS

PHASES = (
    "EMA", "source", "feature distance", "teacher", "mixing, augmentation", "mixed", "masked", "optimiser",
    "rest",
)  # fmt: skip
"""In the order of a step; ``rest`` is what lies between: reading the batch, bookkeeping."""


class Program(Protocol):
    """One way to make training steps.

    Attributes:
        method: The networks.
        drop_rates: Of the networks in training.
    """

    method: DACS
    drop_rates: DropRates

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The student's."""

    def step(self) -> dict[str, Tensor | float]:
        """Make a step; scalars by name, perhaps still on the device."""

    def measure(self, stopwatch: Stopwatch) -> None:
        """Have the phases timed."""


def build_program(case: StepCase) -> Program:
    """The program of a case, in train mode."""
    use_tf32(case.tf32)
    return PublishedProgram(case) if case.published else OwnProgram(case)


class OwnProgram:
    """The step that training runs."""

    def __init__(self, case: StepCase) -> None:
        cfg = config_of(case)
        torch.backends.cudnn.benchmark = cfg.env_cfg.cudnn_benchmark
        self.method = build_method(case, cfg)
        self.drop_rates = DropRates(self.method)
        settings = {key: value for key, value in cfg.optim_wrapper.items() if key != "constructor"}
        paramwise = settings.pop("paramwise_cfg")
        self.wrapper = GroupedOptimWrapperConstructor(settings, paramwise)(self.method)
        self.batch = batch_of(case)
        if case.graphs:
            keep_gradients(self.optimizer)

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The student's."""
        return self.wrapper.optimizer

    def step(self) -> dict[str, Tensor | float]:
        """As the training loop does it."""
        torch.manual_seed(self.method.iteration)
        self.method.train()
        log = self.method.train_step(self.batch, self.wrapper)
        return {name: value for name, value in log.items() if name != "pictures"}

    def measure(self, stopwatch: Stopwatch) -> None:
        """Have the phases timed; the backward pass of the feature distance is part of the source's."""
        method, time = self.method, stopwatch.time
        passes = ["source", "mixed"] + ["masked"] * (method.mic is not None)
        time(self.wrapper, "backward", in_turn("backward", *passes))
        time(method.model, "forward_train", in_turn("forward", *passes))
        time(method.feature_distance, "forward", in_turn("forward", "feature distance"))
        time(method, "mixed_objective", in_turn("forward", "mixing, augmentation"))
        time(method.teacher, "label", in_turn("forward", "teacher"))
        time(method.teacher, "update", in_turn("forward", "EMA"))
        time(self.wrapper, "step", in_turn("forward", "optimiser"))
        if method.mic is not None:
            time(method.mic, "objective", in_turn("forward", "mixing, augmentation"))
        time(self, "step", in_turn("forward", "rest"))


class PublishedProgram:
    """The same step organised as published.

    The published data loader hands over normalised images, so normalising them is not part of the step.
    """

    def __init__(self, case: StepCase) -> None:
        cfg = config_of(case)
        torch.backends.cudnn.benchmark = cfg.env_cfg.cudnn_benchmark
        self.method = build_method(case, cfg)
        self.training = PublishedSelfTraining(self.method, cfg)
        self.drop_rates = DropRates(self.method)
        batch = self.method.data_preprocessor(batch_of(case), training=True)
        pinned = case.device == "cuda"
        self.batch = {key: x.cpu().pin_memory() if pinned else x.cpu() for key, x in batch.items()}
        self._label = batch["gt_semantic_seg"]

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """That of all networks."""
        return self.training.optimizer

    def step(self) -> dict[str, Tensor | float]:
        """As the published runner does it."""
        torch.manual_seed(self.method.iteration)
        draws = draw(self.method, self._label)
        return dict(self._step(draws))

    def _step(self, draws: Any) -> dict[str, float]:
        self.method.train()
        return self.training.train_step(self.batch, draws)

    def measure(self, stopwatch: Stopwatch) -> None:
        """Have the phases timed."""
        names = {
            "update_teacher": "EMA", "source": "source", "feature_distance": "feature distance",
            "pseudo_label": "teacher", "mix": "mixing, augmentation", "mixed": "mixed",
            "mask": "mixing, augmentation", "masked": "masked", "step": "optimiser",
        }  # fmt: skip
        for name, phase in names.items():
            stopwatch.time(self.training, name, in_turn("forward", phase))
        for name in ("source", "distance", "mixed", "masked"):
            phase = "feature distance" if name == "distance" else name
            stopwatch.time(self.training, f"backward_{name}", in_turn("backward", phase))
        stopwatch.time(self, "_step", in_turn("forward", "rest"))


def in_turn(direction: str, *names: str) -> Any:
    """A function that gives these phases one after the other, again and again."""
    phases: Iterator[Phase] = itertools.cycle((name, direction) for name in names)
    return lambda: next(phases)
