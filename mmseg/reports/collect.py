"""Find out what finished runs reached."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from mmseg.checkpoints.files import find_config
from mmseg.config.load import load_config
from mmseg.config.work_dir import plain_name
from mmseg.errors import ConfigError, DataError

SEED = re.compile(r"_s(\d+)$")
CLASS_PREFIX = "IoU."


@dataclass(frozen=True)
class RunResult:
    """What a finished run reached.

    Attributes:
        name: Of the run without its seed.
        seed: Of the run, None if unknown.
        run_dir: Its folder.
        scores: In percent; None for a class that does not occur.
    """

    name: str
    seed: int | None
    run_dir: Path
    scores: Mapping[str, float | None]

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return [name.removeprefix(CLASS_PREFIX) for name in self.scores if name.startswith(CLASS_PREFIX)]

    @property
    def means(self) -> list[str]:
        """Names of the scores that are not those of a class."""
        return [name for name in self.scores if name.partition(".")[2] not in self.classes]

    @property
    def first_score(self) -> tuple[str, float | None]:
        """Name and value of the mIoU, or where there is none of the first score that is stored."""
        name = "mIoU" if "mIoU" in self.scores else next(iter(self.scores))
        return name, self.scores[name]


def read_result(run_dir: Path) -> RunResult:
    """The scores of a run's last evaluation.

    The name is that of the config, or of the folder if the config has none, without date and seed.

    Raises:
        DataError: There are no scores, or the run has not come to its end.
    """
    if not run_dir.is_dir():
        raise DataError(f"{run_dir}: no such folder")
    path = run_dir / "results.json"
    if not path.is_file():
        raise DataError(f"{run_dir}: results.json is missing, the run has not been evaluated yet")
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
        iteration = scores.pop("iteration", None)
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: expected scores as JSON ({type(error).__name__}: {error}); test the checkpoint again"
        ) from error
    cfg = _config_of(run_dir)
    max_iters = (cfg.get("train_cfg") or {}).get("max_iters")
    if None not in (iteration, max_iters) and iteration < max_iters:
        raise DataError(f"{run_dir}: not finished, its last evaluation is at {iteration} of {max_iters}")
    name = plain_name(cfg.get("name") or run_dir.name)
    in_name = SEED.search(name)
    seed = (cfg.get("randomness") or {}).get("seed", int(in_name[1]) if in_name else None)
    numbers = {key: value for key, value in scores.items() if isinstance(value, float | int | None)}
    if not numbers:
        raise DataError(f"{path}: expected scores by name, found none; does the config name a metric?")
    return RunResult(SEED.sub("", name), seed, run_dir, numbers)


def _config_of(run_dir: Path) -> Config:
    """The config in the folder of a run; empty without one, as for scores that were copied alone."""
    try:
        return load_config(find_config(run_dir))
    except ConfigError:
        return Config()


def collect_results(run_dirs: Iterable[Path]) -> tuple[list[RunResult], list[str]]:
    """The results of the runs that have some, and why others have none."""
    results, problems = [], []
    for run_dir in run_dirs:
        try:
            results.append(read_result(run_dir))
        except DataError as error:
            problems.append(str(error))
    return results, problems
