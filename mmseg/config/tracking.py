"""Trackers of experiments: where a run's numbers and pictures go beside its own folder."""

import importlib.util
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config

from mmseg.errors import ConfigError

TRACKERS = {
    "tensorboard": ("TensorboardVisBackend", "tensorboard"),
    "wandb": ("WandbVisBackend", "wandb"),
    "mlflow": ("MLflowVisBackend", "mlflow"),
}
"""Name -> mmengine's backend, and the package that it needs."""
PACKAGES = {
    **dict(TRACKERS.values()),
    "ClearMLVisBackend": "clearml",
    "NeptuneVisBackend": "neptune",
    "DVCLiveVisBackend": "dvclive",
    "AimVisBackend": "aim",
}
PROJECT = "mmseg-uda"


def track(cfg: Config, names: Sequence[str]) -> None:
    """Add trackers to those that a config has.

    Args:
        cfg: The config; it is changed. Its ``name``, or else that of its work dir, is the run's there.
        names: Keys of :data:`TRACKERS`.

    Raises:
        ConfigError: A package is missing.
    """
    if not names:
        return
    run = cfg.get("name") or str(cfg.get("work_dir") or "run").rstrip("/").rpartition("/")[2]
    arguments: dict[str, dict[str, Any]] = {
        "wandb": dict(init_kwargs=dict(project=PROJECT, name=run)),
        "mlflow": dict(exp_name=PROJECT, run_name=run),
    }
    cfg.visualizer = cfg.get("visualizer") or dict(type="Visualizer")
    backends = list(cfg.visualizer.get("vis_backends") or [])
    known = {backend["type"] for backend in backends}
    added = [dict(type=TRACKERS[name][0], **arguments.get(name, {})) for name in names]
    cfg.visualizer.vis_backends = backends + [backend for backend in added if backend["type"] not in known]
    check_trackers(cfg)


def check_trackers(cfg: Config) -> None:
    """Check that the packages of a config's trackers are installed, before anything is trained.

    Raises:
        ConfigError: One is not.
    """
    for backend in (cfg.get("visualizer") or {}).get("vis_backends") or []:
        package = PACKAGES.get(backend.get("type"))
        if package and importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"config: visualizer.vis_backends names {backend['type']}, but {package} is not installed; "
                f"run pip install {package}, or leave it out (--track)"
            )
