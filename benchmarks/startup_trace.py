"""A program of the command line with a stopwatch on what it does before the first iteration.

``python -m benchmarks.startup`` runs the launcher and the trainer in this form. Nothing is imported here that
the program does not import itself, so that its imports can be timed.
"""

import functools
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARTS = (
    ("config", "mmseg.apis.config", "load_config"),
    ("config", "mmseg.apis.experiment_config", "make_config"),
    ("config", "mmseg.apis.run_folders", "write_run_config"),
    ("checks", "mmseg.apis.checks", "check_before_training"),
    ("data sets: list files", "mmseg.datasets.segmentation_dataset", "SegmentationDataset._find_samples"),
    ("data sets: class statistics", "mmseg.datasets.rare_class_sampling", "RareClassSampling.__init__"),
    ("data sets: first sample", "mmseg.datasets.segmentation_dataset", "SegmentationDataset.load"),
    ("runner", "mmengine.runner", "Runner.__init__"),
    ("runner: environment report", "mmengine.runner", "Runner._log_env"),
    ("networks: build", "mmseg.engine.runner", "SegmentationRunner.build_model"),
    ("networks: pretrained weights, copies", "mmengine.runner", "Runner._init_model_weights"),
    ("optimizer", "mmseg.engine.runner", "SegmentationRunner.build_optim_wrapper"),
    ("loaders", "mmengine.runner", "Runner.build_dataloader"),
    ("hooks before training", "mmengine.runner", "Runner.call_hook"),
    ("first batch", "mmengine.runner.loops", "_InfiniteDataloaderIterator.__next__"),
)
"""(part, module, function): what is timed, without what is timed inside of it."""
TRAINER = "tools.train"


class PartTimes:
    """Wall and CPU seconds of parts; what a part calls is not counted in it.

    Attributes:
        seconds: By part, [wall, CPU of this process].
    """

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self._running: list[str] = []
        self._last = (time.time(), 0.0)  # of this process, whose CPU time began with 0

    def _book(self) -> None:
        now = (time.time(), time.process_time())
        if self._running:
            entry = self.seconds.setdefault(self._running[-1], [0.0, 0.0])
            for index in range(2):
                entry[index] += now[index] - self._last[index]
        self._last = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        self._book()
        self._running.append(name)
        try:
            yield
        finally:
            self._book()
            self._running.pop()

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return function(*args, **kwargs)

        return timed

    def put_on(self, name: str, module: str, path: str) -> None:
        """Time a function of a module that is imported, wherever it was imported to."""
        if module not in sys.modules:
            return
        *owners, attribute = path.split(".")
        owner = functools.reduce(getattr, owners, sys.modules[module])
        original = vars(owner)[attribute]
        static = isinstance(original, staticmethod)
        function = original.__func__ if static else original
        timed: Any = self.around(name, function)
        setattr(owner, attribute, staticmethod(timed) if static else timed)
        for other in list(sys.modules.values()) if not owners else ():
            if getattr(other, "__dict__", {}).get(attribute) is original:
                setattr(other, attribute, timed)


def main(log: Path, begin: float, program: str, arguments: list[str], iterate: bool) -> int:
    """Run a program; its times are appended to a file as a JSON line.

    Args:
        log: The file.
        begin: When the process was started, seconds since 1970.
        program: Module with a function ``main(argv)``.
        arguments: Of the command line.
        iterate: Whether to run the first iteration, too, and end only behind it.
    """
    watch = PartTimes()
    watch._last = (begin, 0.0)
    with watch.part("imports"):
        module = importlib.import_module(program)
    for part in PARTS:
        watch.put_on(*part)

    def write(**further: float) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(program=program, seconds=watch.seconds, **further)) + "\n")

    def first_iteration(loop: Any, batch: Any) -> None:
        reached = time.time()
        watch._book()
        write(reached=reached)
        if iterate:
            original(loop, batch)
            write(finished=time.time())
        raise SystemExit(0)

    from mmengine.runner import IterBasedTrainLoop

    original = IterBasedTrainLoop.run_iter
    setattr(IterBasedTrainLoop, "run_iter", first_iteration)  # noqa: B010  (mypy: a method)
    if program != TRAINER:
        runs_of = module.runs_of
        module.runs_of = lambda exp_id: runs_of(exp_id)[:1]
        _trace_trainer(log, iterate, lambda: write(trainer=time.time()), watch)
    with watch.part("other"):
        return module.main(arguments)


def _trace_trainer(log: Path, iterate: bool, started: Callable[[], None], watch: PartTimes) -> None:
    """Let the launcher start the trainer in this form."""
    from mmseg.apis.launch import process

    command = process.Job.command

    def traced(job: process.Job) -> list[str]:
        words = command(job)
        place = words.index(str(process.TRAIN))
        watch._book()
        started()
        trace = ["-m", __spec__.name, str(log), repr(time.time()), str(int(iterate)), TRAINER]
        return [*words[:place], *trace, *words[place + 1 :]]

    setattr(process.Job, "command", traced)  # noqa: B010


if __name__ == "__main__":
    _log, _begin, _iterate, _program, *_arguments = sys.argv[1:]
    sys.argv = [str(Path(__file__).parents[1] / (_program.replace(".", "/") + ".py")), *_arguments]
    sys.exit(main(Path(_log), float(_begin), _program, _arguments, _iterate == "1"))
