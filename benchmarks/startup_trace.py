"""A program of the command line with a stopwatch on what it does before the first iteration.

``python -m benchmarks.startup`` runs the launcher and the trainer in this form. Nothing is imported here that
the program does not import itself, so that its imports can be timed.
"""

import functools
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.stopwatch import Stopwatch

PARTS = (
    ("config", "mmseg.config.load", "load_config"),
    ("config", "mmseg.experiments.make_config", "make_config"),
    ("config", "mmseg.launch.run_folders", "write_config"),
    ("checks", "mmseg.config.checks", "check_before_training"),
    ("data sets: list files", "mmseg.datasets.segmentation_dataset", "SegmentationDataset._find_samples"),
    (
        "data sets: statistics",
        "mmseg.datasets.sampling.rare_class_sampling",
        "RareClassSampling.__init__",
    ),
    ("data sets: first sample", "mmseg.datasets.segmentation_dataset", "SegmentationDataset.load"),
    ("runner", "mmengine.runner", "Runner.__init__"),
    ("runner: environment report", "mmseg.engine.runner", "SegmentationRunner._log_env"),
    ("networks: build", "mmseg.engine.runner", "SegmentationRunner.build_model"),
    ("networks: pretrained weights, copies", "mmengine.runner", "Runner._init_model_weights"),
    ("optimizer", "mmseg.engine.runner", "SegmentationRunner.build_optim_wrapper"),
    ("loaders", "mmengine.runner", "Runner.build_dataloader"),
    ("hooks before training", "mmengine.runner", "Runner.call_hook"),
    ("first batch", "mmengine.runner.loops", "_InfiniteDataloaderIterator.__next__"),
)
"""(part, module, function): what is timed, without what is timed inside of it."""
TRAINER = "tools.train"


def put_on(watch: Stopwatch, part: str, module: str, path: str) -> None:
    """Time a function of a module that is imported, wherever it was imported to."""
    if module not in sys.modules:
        return
    *owners, attribute = path.split(".")
    owner = functools.reduce(getattr, owners, sys.modules[module])
    original = vars(owner)[attribute]
    static = isinstance(original, staticmethod)
    timed: Any = watch.phase(part)(original.__func__ if static else original)
    setattr(owner, attribute, staticmethod(timed) if static else timed)
    for other in list(sys.modules.values()) if not owners else ():
        if getattr(other, "__dict__", {}).get(attribute) is original:
            setattr(other, attribute, timed)


def main(log: Path, program: str, arguments: list[str], iterate: bool) -> int:
    """Run a program; its times are appended to a file as a JSON line.

    Args:
        log: The file.
        program: Module with a function ``main(argv)``.
        arguments: Of the command line.
        iterate: Whether to run the first iteration, too, and end only behind it.
    """
    watch, trains = Stopwatch(), program == TRAINER or "--config" in arguments
    with watch.phase("imports"):
        module = importlib.import_module(program)
        if trains:  # the launcher does it for --config only
            importlib.import_module("mmseg.apis.training")
    for part in PARTS:
        put_on(watch, *part)

    def write(**further: float) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(program=program, seconds=watch.seconds(), **further)) + "\n")

    if trains:
        _end_at_first_iteration(write, iterate)
    else:
        from mmseg.experiments.experiment import Experiment

        runs = Experiment.runs
        setattr(Experiment, "runs", lambda experiment, exp_id: runs(experiment, exp_id)[:1])  # noqa: B010
        _trace_trainer(log, iterate, write)
    with watch.phase("other"):
        return module.main(arguments)


def _end_at_first_iteration(write: Callable[..., None], iterate: bool) -> None:
    """Let training say when it reaches the first iteration, and when that is over."""
    from mmengine.runner import IterBasedTrainLoop

    original = IterBasedTrainLoop.run_iter

    def first_iteration(loop: Any, batch: Any) -> None:
        write(reached=time.time())
        if iterate:
            original(loop, batch)
            write(finished=time.time())
        raise SystemExit(0)

    setattr(IterBasedTrainLoop, "run_iter", first_iteration)  # noqa: B010  (mypy: a method)


def _trace_trainer(log: Path, iterate: bool, before: Callable[[], None]) -> None:
    """Let the launcher start the trainer in this form, and call ``before`` just before."""
    from mmseg.launch import process

    command = process.Job.command

    def traced(job: process.Job) -> list[str]:
        words = command(job)
        place = words.index(process.TRAIN[0])
        before()
        trace = ["-m", __spec__.name, str(log), str(int(iterate)), TRAINER]
        return [*words[:place], *trace, *words[place + len(process.TRAIN) :]]

    setattr(process.Job, "command", traced)  # noqa: B010


if __name__ == "__main__":
    _log, _iterate, _program, *_arguments = sys.argv[1:]
    sys.argv = [str(Path(__file__).parents[1] / (_program.replace(".", "/") + ".py")), *_arguments]
    sys.exit(main(Path(_log), _program, _arguments, _iterate == "1"))
