"""What is kept of a finished run of a benchmark: a small JSON file beside the page that shows it.

A page grows run by run from these files. They outlive the folders of the runs, so that a benchmark can be
continued elsewhere, weeks later.
"""

import glob
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import timm
import torch
from mmengine.config import Config

from mmseg.checkpoints.atomic import write_text
from mmseg.checkpoints.files import find_checkpoint, find_config
from mmseg.config.load import load_config
from mmseg.errors import DataError
from mmseg.experiments.experiment import Run
from mmseg.reports.collect import read_result
from mmseg.reports.curves import read_training_log
from mmseg.version import __version__

ROOT = Path(__file__).parents[2]
"""The folder that the package lies in."""
TARGET_NORMS = "scores_with_target_norms"
NORM_IMAGES = 64
"""At most so many images, evenly spread, give the second test its statistics."""
SETTINGS = ("model", "uda", "train_dataloader", "optim_wrapper", "param_scheduler", "train_cfg")
"""Sections of the config that determine what is learnt."""
TRUSTED = "trusted"
"""Begins the name of the logged share of target pixels whose pseudo-labels are trusted."""


def record_of(run: Run, run_dir: Path, cpu_seconds: float) -> dict[str, Any]:
    """The record of a finished run.

    Args:
        run: Which one.
        run_dir: Its folder.
        cpu_seconds: Processor time of all its processes.

    Returns:
        ``name``, ``seed``, ``git_revision``, ``scores`` in percent, ``scores_with_target_norms`` (where the
        row has ``norm_images``), ``seconds`` on the clock and of processor
        time, ``trusted`` (share of pseudo-labels by iteration, where it was logged), ``versions`` and
        ``settings`` (sections of the config).

    Raises:
        DataError: The run has no scores or no log.
    """
    cfg = load_config(find_config(run_dir))
    curves = read_training_log(run_dir).curves
    trusted = {name: curve for name, curve in curves.items() if name.startswith(TRUSTED)}
    return {
        "name": run.row.name,
        "seed": run.seed,
        "git_revision": cfg.get("git_rev", ""),
        "scores": dict(read_result(run_dir).scores),
        **_second_test(run, run_dir),
        "seconds": {"clock": round(_training_seconds(curves)), "processor": round(cpu_seconds)},
        "trusted": {name: _thinned(curve) for name, curve in trusted.items()},
        "versions": versions(),
        "settings": settings_of(cfg),
    }


def _second_test(run: Run, run_dir: Path) -> dict[str, Any]:
    """Scores with the statistics of the target's images in the batch norms; a process of its own tests."""
    if not run.row.norm_images:
        return {}
    out, images = run_dir / "target_norms", sorted(glob.glob(run.row.norm_images))
    images = images[:: -(-len(images) // NORM_IMAGES) or 1]
    files = [str(find_config(run_dir)), str(find_checkpoint(run_dir))]
    words = [*files, "--work-dir", str(out), "--norm-images", *images]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-m", "mmseg.commands.test", *words], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise DataError(f"{run_dir}: cannot be tested with the statistics of {run.row.norm_images}: {last}")
    scores = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return {TARGET_NORMS: {name: value for name, value in scores.items() if name != "iteration"}}


def versions() -> dict[str, str]:
    """What the runs of this machine are computed with."""
    modules = {"torch": torch, "timm": timm, "numpy": np, "opencv": cv2}
    found = {name: module.__version__ for name, module in modules.items()}
    return {
        "mmseg-uda": __version__,
        "python": platform.python_version(),
        **found,
        "machine": platform.machine(),
    }


def settings_of(cfg: Config) -> dict[str, Any]:
    """The sections of a config that determine what is learnt, as JSON holds them."""
    content = cfg.to_dict()
    return json.loads(json.dumps({key: content.get(key) for key in SETTINGS}, default=repr))


def write_record(folder: Path, run: Run, record: Mapping[str, Any]) -> Path:
    """Write the record of a run, whole or not at all."""
    path = record_path(folder, run)
    write_text(path, json.dumps(record, indent=1) + "\n")
    return path


def read_record(folder: Path, run: Run) -> dict[str, Any] | None:
    """The record of a run, or None where it has none.

    Raises:
        DataError: The file is damaged.
    """
    path = record_path(folder, run)
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        float(record["scores"]["mIoU"])
        return record
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: not the record of a run ({type(error).__name__}: {error}); delete it, and the run is "
            "trained again"
        ) from error


def record_path(folder: Path, run: Run) -> Path:
    """Where the record of a run is."""
    return folder / f"{run.name}.json"


def _training_seconds(curves: Mapping[str, Mapping[int, float]]) -> float:
    """Seconds of the training steps; each logged mean stands for the iterations since the one before."""
    total, before = 0.0, 0
    for iteration, seconds in sorted(curves.get("time", {}).items()):
        total += (iteration - before) * seconds
        before = iteration
    return total


def _thinned(curve: Mapping[int, float], number: int = 12) -> dict[str, float]:
    """Means over equal parts of a curve, by the last iteration of each."""
    iterations = np.array_split(sorted(curve), min(number, len(curve)))
    return {
        str(part[-1]): round(float(np.mean([curve[i] for i in part])), 4) for part in iterations if len(part)
    }
