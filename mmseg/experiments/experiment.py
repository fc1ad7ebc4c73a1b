"""An experiment ID: rows, seeds, and the runs that these make."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from mmengine.config import Config

from mmseg.config.base import base
from mmseg.config.load import TOP_LEVEL_KEYS, load_config, with_todays_names
from mmseg.errors import ConfigError
from mmseg.experiments.names import Axes

BY_START = "start"
"""As ``load_from``, or as ``checkpoint`` of a part of the config: that of the run that a row starts from. So
a labeller, a translator or a consistency has its network from there; the student only with ``load_from``."""


@dataclass(frozen=True)
class ConfigRow:
    """A row whose runs are those of a config file, each with its own seed.

    Attributes:
        path: The config file.
        title: What it is called in tables, by default its name.
        meaning: What it is, for tables.
        start: Name of an earlier row; a run starts from the final weights of that row's run of the same seed.
        prefix: What the names of the runs begin with, before the name of the file.
        variant: What stands behind it.
        settings: Dotted key -> value, what the runs change in the file.
        group: Title of the table that it belongs to, where an experiment has several.
        norm_images: Pattern of files, the images of the target without labels. The runs of a benchmark are
            tested a second time with their statistics in the batch norms.
        startup: Dotted key -> value, what start-up tests change. None = nothing. Otherwise their images and
            crops have an eighth of the published size, and weights are random, so that a CPU tries the row in
            seconds and no files of weights need to be there.
    """

    path: str | Path
    title: str = ""
    meaning: str = ""
    start: str | None = None
    prefix: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    group: str = ""
    norm_images: str = ""
    variant: str = ""
    startup: ClassVar[None] = None

    @property
    def name(self) -> str:
        """Of the runs, without seed."""
        return f"{self.prefix}{Path(self.path).stem}{self.variant}"

    @cached_property
    def max_iters(self) -> int:
        """Iterations of a run."""
        return self.config().train_cfg.max_iters

    def config(self) -> Config:
        """The complete config, but for what tells one run from another."""
        return load_config(self.path, dict(self.settings))


@dataclass(frozen=True)
class PartsRow:
    """A row whose config is put together from files in configs/_base_.

    Attributes:
        name: Of the runs, without seed.
        parts: Files below configs/_base_ without suffix; a later one changes what an earlier one has.
        settings: Dotted key -> value, what the runs change in them.
        title, meaning: For tables; by default the name.
        start, startup: See :class:`ConfigRow`.
    """

    name: str
    parts: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    title: str = ""
    meaning: str = ""
    start: str | None = None
    startup: Mapping[str, Any] = field(default_factory=dict, hash=False)
    group: ClassVar[str] = ""
    norm_images: ClassVar[str] = ""

    @property
    def max_iters(self) -> int:
        """Iterations of a run."""
        return self.settings["train_cfg.max_iters"]

    def config(self) -> Config:
        """The complete config, but for what tells one run from another."""
        cfg = Config(base("default_runtime"), format_python_code=False)
        for part in self.parts:
            cfg.merge_from_dict({key: x for key, x in base(part).items() if key in TOP_LEVEL_KEYS})
        cfg.merge_from_dict(dict(self.settings))
        return with_todays_names(cfg)


Row = Axes | ConfigRow | PartsRow


@dataclass(frozen=True)
class Run:
    """One training: the ID (or name of an experiment of one's own) it belongs to, its row and its seed."""

    exp_id: int | str
    row: Row
    seed: int

    @property
    def name(self) -> str:
        """As ``gta2cs_target-only_daformer_conv1_mitb5_poly10warm_s0``."""
        return f"{self.row.name}_s{self.seed}"

    @property
    def start(self) -> str | None:
        """Name of the run of the same ID whose weights it starts from."""
        return self.row.start and f"{self.row.start}_s{self.seed}"

    @property
    def max_iters(self) -> int:
        """Iterations of the training."""
        return self.row.max_iters

    def config(self) -> Config:
        """The complete config, but for the weights it starts from."""
        cfg = self.row.config()
        cfg.merge_from_dict({"randomness.seed": self.seed, "exp": self.exp_id, "name": self.name})
        return cfg


@dataclass(frozen=True)
class Experiment:
    """What an ID stands for.

    Attributes:
        title: A line for the reader.
        rows: One for each run but its seed. A row comes after the one that it starts from.
        seeds: Of the runs of each row.
        stages: Rows and seeds in the order in which they are trained, where that is not the order of the
            rows; each run belongs to one stage. Replaces ``seeds``.
        prepare: Writes what the runs need, if it is not there.
        parallel: Runs side by side, unless the command line says something else.
        page: Page of the documentation that shows the results; there is a report of such experiments.
        shows_pictures: Whether pictures of the data may become a part of the page.
    """

    title: str
    rows: Sequence[Row]
    seeds: Sequence[int] = (0, 1, 2)
    prepare: Callable[[], None] | None = None
    parallel: int = 1
    page: Path | None = None
    shows_pictures: bool = True
    stages: Sequence[tuple[Sequence[Row], Sequence[int]]] = ()

    def runs(self, exp_id: int | str) -> list[Run]:
        """All runs in the order in which they are trained: of each stage the rows, seeds innermost."""
        stages = self.stages or [(self.rows, self.seeds)]
        return [Run(exp_id, row, seed) for rows, seeds in stages for row in rows for seed in seeds]


def runs_of(experiments: Mapping[Any, Experiment], exp_id: int | str) -> list[Run]:
    """The runs of an ID.

    Raises:
        ConfigError: The ID is not known.
    """
    if exp_id not in experiments:
        known = ", ".join(map(str, experiments))
        raise ConfigError(f"--exp {exp_id}: this experiment is not available; available are {known}")
    return experiments[exp_id].runs(exp_id)
