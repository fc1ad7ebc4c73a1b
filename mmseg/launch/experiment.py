"""The runs of an experiment ID: listed, shown, started, continued."""

import argparse
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg.checkpoints.atomic import claim
from mmseg.checkpoints.files import last_written
from mmseg.config.load import entries, override
from mmseg.config.options import typed
from mmseg.config.tracking import track
from mmseg.config.work_dir import unique_name, work_dir_for
from mmseg.errors import ConfigError
from mmseg.experiments.experiment import Experiment, Run, runs_of
from mmseg.launch import slurm
from mmseg.launch.local import TrainedElsewhere, slots, train_all
from mmseg.launch.process import Job
from mmseg.launch.run_folders import config_in, differing_sections, folders_of, is_finished, write_config
from mmseg.launch.run_state import claim_run, read_state
from mmseg.launch.status import FINISHED, RUNNING, STATES, Status, status_of

STARTUP_TEST: dict[str, Any] = {
    "train_cfg.max_iters": 2,
    "train_cfg.val_interval": 100,
    "train_cfg.val_begin": 100,  # otherwise the last iteration is followed by an evaluation
    "default_hooks.checkpoint.save_last": False,
    "log_level": "ERROR",
}
SIZES = {"train_dataloader": ("scale", "crop_size", "size"), "uda": ("target_size",)}
"""Section of a config -> what sizes of images and crops are called there, each a pair."""
DEBUG: dict[str, Any] = {"default_hooks.logger.interval": 10, "train_cfg.val_interval": 200}
DEBUG_PICTURES = 10
SLURM_OPTIONS = ("time", "partition", "account", "qos", "mem", "gpus", "cpus")
"""Options of the command line that are settings of :mod:`mmseg.launch.slurm`."""


def small_settings(cfg: Config) -> dict[str, Any]:
    """Random weights, and images and crops of an eighth of the size that a config has."""
    sizes = {
        f"{section}.{place}": [edge // 8 for edge in value]
        for section, names in SIZES.items()
        for place, key, value in entries(cfg.get(section) or {})
        if key in names
    }
    return sizes | ({"model.pretrained": None} if cfg.get("model") else {})


def mode_settings(
    cfg: Config,
    args: argparse.Namespace,
    others_start_here: bool = False,
    startup: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What ``--debug``, ``--startup-test`` and ``--cfg-options`` change, the last ones last.

    Args:
        cfg: Config of a run.
        args: The command line.
        others_start_here: Other runs start from the weights of this one, so it keeps them.
        startup: See :class:`ConfigRow`.
    """
    settings: dict[str, Any] = {}
    if args.debug:
        settings |= DEBUG
        for index, hook in enumerate(cfg.get("custom_hooks") or []):
            if hook["type"] == "DebugPicturesHook":
                settings[f"custom_hooks.{index}.interval"] = DEBUG_PICTURES
    if args.startup_test:
        settings |= STARTUP_TEST
        if startup is not None:
            settings |= {**small_settings(cfg), **startup}
        if others_start_here:
            del settings["default_hooks.checkpoint.save_last"]
        if cfg.get("rounds"):
            settings |= {"rounds.number": 1, "rounds.length": STARTUP_TEST["train_cfg.max_iters"]}
    return settings | (args.cfg_options or {})


def folder_of(exp: int | str, args: argparse.Namespace) -> str:
    """Folder of an experiment in configs/generated and work_dirs."""
    return f"local-{exp}" + ("-startup" if args.startup_test else "")


class ExperimentLauncher:
    """Lists, shows or trains the runs of an ID.

    Args:
        experiments: The known IDs.
        exp_id: One of them.
        args: Options of the command line, see :mod:`mmseg.launch.main`.

    Raises:
        ConfigError: The ID is not known.
    """

    def __init__(
        self, experiments: Mapping[Any, Experiment], exp_id: int | str, args: argparse.Namespace
    ) -> None:
        self.runs = runs_of(experiments, exp_id)
        self.experiment, self.exp_id, self.args = experiments[exp_id], exp_id, args
        self.exp = folder_of(f"exp{exp_id}" if isinstance(exp_id, int) else exp_id, args)
        page = self.experiment.page
        own = Path("work_dirs", self.exp, "results")
        self.records = page and (page.with_suffix("") if args.write_page else own)
        """Folder of what is kept of the finished runs, see :mod:`mmseg.reports.run_record`."""
        self.starts_anew = args.rerun or args.startup_test  # a start-up test is there to be repeated

    def iterations(self, run: Run) -> int:
        """Length of a run with the options of the command line."""
        key = "train_cfg.max_iters"
        default = STARTUP_TEST[key] if self.args.startup_test else run.max_iters
        return typed(key, (self.args.cfg_options or {}).get(key, default), default)

    def config(self, run: Run) -> Config:
        """The config of a run with the options of the command line.

        Raises:
            ConfigError: An option does not fit.
        """
        cfg = run.config()
        others_start_here = any(other.start == run.name for other in self.runs)
        override(cfg, mode_settings(cfg, self.args, others_start_here, run.row.startup), Path(run.name))
        track(cfg, self.args.track)
        return cfg

    def status(self, run: Run) -> Status:
        """Where a run stands."""
        return status_of(run.name, self.exp, self.iterations(run))

    # ---------------------------------------------------------------------------------------------- shown

    def show_runs(self) -> None:
        """Print the runs of the ID and which of them are finished."""
        rows: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for run in self.runs:
            iterations = self.iterations(run)
            finished = any(is_finished(folder, iterations) for folder in folders_of(run.name, self.exp))
            rows[run.row.name]["finished" if finished else "open"].append(run.seed)
        number = sum(len(seeds["finished"]) for seeds in rows.values())
        print(f"{self.exp_id}: {self.experiment.title} ({len(self.runs)} runs, {number} finished)")
        for name, states in rows.items():
            found = (f"{state} s{' s'.join(map(str, seeds))}" for state, seeds in states.items() if seeds)
            print(f"    {name}: {', '.join(found)}")

    def show_status(self, unless_untouched: bool = False) -> None:
        """Print where every run stands; nothing if none was started and ``unless_untouched``."""
        if unless_untouched and not Path("work_dirs", self.exp).is_dir():
            return
        found = {run.name: self.status(run) for run in self.runs}
        counts = Counter(status.state for status in found.values())
        summary = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
        print(f"{self.exp_id}: {self.experiment.title} ({summary})")
        for name, status in found.items():
            print(f"    {status.state:<11} {name}" + (f": {status.detail}" if status.detail else ""))

    # -------------------------------------------------------------------------------------------- trained

    def run(self) -> int:
        """Train the runs that are open; a failing one does not stop the others.

        Returns:
            Exit status.
        """
        runs = self.selected()
        found = {run.name: self.status(run) for run in runs}
        kept = self.kept_runs()
        finished: dict[str, Path] = {}
        open_runs = []
        for run in runs:
            status = found[run.name]
            if run in kept:
                print(f"Skip {run.name}: its results are in {self.records}")
                if status.state == FINISHED and status.folder is not None:
                    finished[run.name] = status.folder  # for the pictures
            elif self.is_busy(status):
                print(f"Skip {run.name}: {status.state} in {status.folder} ({status.detail})")
            elif status.state == FINISHED and status.folder is not None and not self.starts_anew:
                finished[run.name] = status.folder
                print(f"Skip {run.name}: finished in {status.folder}")
                if differing := ", ".join(self.other_settings(run, status.folder)):
                    print(f"    with other settings ({differing}); --rerun trains it with those of now")
            else:
                open_runs.append(run)
                if self.args.dry_run:
                    folder = self.folder_to_continue(run, status)
                    print(
                        f"{run.name} -> {folder or work_dir_for(f'<date>_<time>_{run.name}_<id>', self.exp)}"
                    )
        if self.args.dry_run:
            return 0
        if self.args.launcher == "slurm":
            return self.submit(open_runs, found)
        return self.train(open_runs, finished)

    def selected(self) -> list[Run]:
        """The runs that the command line asks for, with those whose weights they start from.

        Raises:
            ConfigError: A pattern of ``--runs`` fits none.
        """
        runs = [run for run in self.runs if not self.args.startup_test or run.seed == self.runs[0].seed]
        if self.args.runs is None:
            return runs
        for pattern in self.args.runs:
            if not any(fnmatchcase(run.name, pattern) for run in runs):
                raise ConfigError(
                    f"--runs {pattern!r}: fits none of the {len(runs)} runs, as {runs[0].name}; see --list"
                )
        wanted = {run.name for run in runs if any(fnmatchcase(run.name, each) for each in self.args.runs)}
        for run in reversed(runs):  # a run comes after the one that it starts from
            if run.name in wanted and run.start:
                wanted.add(run.start)
        return [run for run in runs if run.name in wanted]

    def kept_runs(self) -> set[Run]:
        """The runs whose results are beside the page, and from whose weights no open run starts."""
        if not (self.args.write_page and self.records) or self.starts_anew:
            return set()
        kept = {run for run in self.runs if (self.records / f"{run.name}.json").is_file()}
        needed = {run.start for run in self.runs if run not in kept}
        return {run for run in kept if run.name not in needed}

    def is_busy(self, status: Status) -> bool:
        """Whether somebody trains a run or will do so."""
        return status.state == RUNNING or status.queued

    def other_settings(self, run: Run, folder: Path) -> list[str]:
        """Sections in which a run in a folder differs from what would be started now."""
        config = config_in(folder, self.exp)
        return differing_sections(self.config(run), config) if config else []

    def folder_to_continue(self, run: Run, status: Status) -> Path | None:
        """The folder of an interrupted or failed run that has a checkpoint and the settings of today."""
        folder = None if self.starts_anew else status.folder
        if folder is None or not config_in(folder, self.exp) or not last_written(folder):
            return None
        if differing := self.other_settings(run, folder):
            print(f"{run.name}: {folder} is not continued, it has other settings ({', '.join(differing)})")
            return None
        return folder

    def prepare(self, run: Run, status: Status, start: Path | None = None) -> Job:
        """Write the config of a run, or find that of the interrupted one.

        Args:
            run: What is to be trained.
            status: Where it stands.
            start: Folder of the run whose weights it starts from.

        Raises:
            CheckpointError: That run has no checkpoint.
            ConfigError: An option does not fit.
        """
        iterations, processes = self.iterations(run), max(1, self.args.gpus or 1)
        folder = self.folder_to_continue(run, status)
        if folder is not None:
            config = config_in(folder, self.exp)
            assert config is not None
            print(f"Continue {run.name} in {folder}", flush=True)
            return Job(run.name, config, folder, iterations, processes)
        config = write_config(self.config(run), unique_name(run.name), self.exp)
        if start is not None:
            from mmseg.launch.start_weights import start_from

            start_from(config, start)
        return Job(run.name, config, work_dir_for(config.stem, self.exp), iterations, processes)

    def prepare_here(self, run: Run, start: Path | None) -> Job:
        """Prepare a run whose turn it is, unless another launcher trains it or has done so in the meantime.

        Raises:
            TrainedElsewhere: It does.
        """
        lock = Path("work_dirs", self.exp, ".launching")
        lock.parent.mkdir(parents=True, exist_ok=True)
        with claim(lock, wait=True):  # excludes other processes; threads prepare one at a time anyway
            status = self.status(run)
            if self.is_busy(status) or (status.state == FINISHED and not self.starts_anew):
                raise TrainedElsewhere(f"{status.state} in {status.folder} ({status.detail})")
            job = self.prepare(run, status, start)
            claim_run(job.work_dir, job.max_iters, os.getpid())
        return job

    def train(self, runs: list[Run], finished: dict[str, Path]) -> int:
        """Train runs on this machine, ``--max-parallel`` of them side by side, and report on all of them."""
        environments = slots(self.args.max_parallel, self.args.gpus, self.experiment.parallel)
        by_name = {run.name: run for run in runs}
        starts = {run.name: run.start for run in runs}
        if runs and self.experiment.prepare:
            self.experiment.prepare()
        for name, path in finished.items():
            self.keep(name, path, is_new=False)
        trained, failures = train_all(
            starts,
            lambda name, start: self.prepare_here(by_name[name], start),
            finished,
            environments,
            done=self.keep,
        )
        self.report(finished | trained)
        if isinstance(self.exp_id, str) and len(finished | trained) == len(self.runs):
            print(f"All runs are finished: python tools/results_table.py work_dirs/{self.exp}/*/")
        if failures:
            print(f"{len(failures)} of {len(runs)} runs failed:", file=sys.stderr)
            for name, error in failures.items():
                print(f"  {name}: {error}", file=sys.stderr)
        return 1 if failures else 0

    def keep(self, name: str, folder: Path, is_new: bool = True) -> None:
        """Keep what a run of an experiment with a page has reached, and bring its page up to date."""
        if self.records is None or self.args.startup_test:
            return
        from mmseg.reports import benchmark_page  # takes seconds

        (run,) = (run for run in self.runs if run.name == name)
        state = read_state(folder)
        benchmark_page.keep(run, folder, state.cpu_seconds if state else 0.0, self.records, is_new)
        if is_new:
            self.report({})

    def report(self, drawn: Mapping[str, Path]) -> None:
        """Write the tables of an experiment with a page, and draw predictions of some of its runs."""
        if self.records is None or self.args.startup_test:
            return
        from mmseg.reports import benchmark_page

        pictures = {run: drawn[run.name] for run in self.runs if run.name in drawn}
        folder = Path("work_dirs", self.exp)
        benchmark_page.report(self.experiment, self.runs, folder, self.records, pictures)

    def submit(self, runs: list[Run], found: dict[str, Status]) -> int:
        """Hand runs over to Slurm; ``--status`` shows what becomes of them.

        Raises:
            ConfigError: A setting does not fit, or Slurm is not there.
        """
        args = self.args
        options = {name: getattr(args, name) for name in SLURM_OPTIONS}
        settings = slurm.read_settings(args.profile, {**options, "extra": args.slurm})
        if any(run.start for run in runs):
            raise ConfigError(
                f"--exp {self.exp_id} --launcher slurm: its runs start from the weights of others and are "
                "small; train them with --launcher local"
            )
        executor = slurm.executor_for(settings, self.exp, args.max_parallel)
        args.gpus = settings["gpus"]
        jobs = [self.prepare(run, found[run.name]) for run in runs]
        numbers = slurm.submit(jobs, executor) if jobs else []
        for job, number in zip(jobs, numbers, strict=True):
            print(f"Submitted {job.name} as {number}")
        return 0
