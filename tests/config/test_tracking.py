"""Trackers of experiments: chosen on the command line, checked before training, with pictures."""

import pytest
from mmengine.config import Config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmseg.config import tracking
from mmseg.config.checks import check_config
from mmseg.config.load import load_config
from mmseg.config.tracking import PACKAGES, track
from mmseg.errors import ConfigError
from mmseg.registry import VISBACKENDS

QUICKSTART = "configs/quickstart/daformer.py"


@pytest.fixture
def installed(monkeypatch):
    """Every package is there."""
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: object())


def test_trackers_are_added_once_with_the_name_of_the_run(installed):
    cfg = load_config(QUICKSTART)
    cfg.name = "my_run"
    track(cfg, ["wandb", "tensorboard", "mlflow"])
    track(cfg, ["wandb"])
    backends = [dict(backend) for backend in cfg.visualizer.vis_backends]
    assert [backend["type"] for backend in backends] == [
        "LocalVisBackend",
        "TensorboardVisBackend",
        "WandbVisBackend",
        "MLflowVisBackend",
    ]
    assert backends[2]["init_kwargs"] == dict(project="mmseg-uda", name="my_run")
    assert (backends[3]["exp_name"], backends[3]["run_name"]) == ("mmseg-uda", "my_run")
    check_config(cfg)


def test_a_run_without_name_is_called_as_its_folder(installed):
    cfg = Config(dict(work_dir="work_dirs/roads/"))
    track(cfg, ["wandb"])
    assert cfg.visualizer.vis_backends[0].init_kwargs.name == "roads"


def test_a_missing_package_is_said_before_training(monkeypatch):
    monkeypatch.setattr(
        tracking.importlib.util, "find_spec", lambda name: None if name == "wandb" else object()
    )
    cfg = load_config(QUICKSTART)
    track(cfg, ["mlflow"])
    with pytest.raises(
        ConfigError, match="WandbVisBackend, but wandb is not installed; run pip install wandb"
    ):
        track(cfg, ["wandb"])
    with pytest.raises(ConfigError, match="wandb is not installed"):
        check_config(cfg)


def test_every_backend_that_needs_a_package_is_known():
    known = {
        name for name in VISBACKENDS.parent.module_dict if name not in ("LocalVisBackend", "BaseVisBackend")
    }
    assert known <= PACKAGES.keys()


def test_debug_pictures_go_to_the_trackers(uda_run):
    (folder,) = {path.parent for path in uda_run.work_dir.rglob("events.out.tfevents.*")}
    events = EventAccumulator(str(folder))
    events.Reload()
    assert "debug" in events.Tags()["images"]
    (first, *_) = events.Images("debug")
    assert first.step == 1 and min(first.width, first.height) > 64
