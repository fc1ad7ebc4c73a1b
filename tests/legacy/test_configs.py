"""Configs of the published runs in the 0.x form become the configs that we make for the same runs."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from old_configs import old_config, with_tuples
from published_settings import published_settings
from released_runs import as_json, as_python, stored_case

from experiments import make_config, runs
from mmseg import datasets  # noqa: F401  (fills the registry)
from mmseg.config.checks import check_config
from mmseg.config.load import load_config
from mmseg.registry import DATASETS, MODELS

ROWS = [row for rows in published_settings().values() for row in rows if row["seed"] == 0]
DIFFERENT = {"work_dir", "git_rev"}
START_UP_TEST = 100


def comparable(cfg: Config) -> dict[str, Any]:
    """A config with the folders of data sets spelt out, and without what an empty entry says."""
    content = {key: value for key, value in cfg.to_dict().items() if key not in DIFFERENT}
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        dataset = content[loader]["dataset"]
        for part in (dataset.get("source"), dataset.get("target"), dataset):
            if part and part["type"] != "UDADataset":
                defaults = DATASETS.get(part["type"])
                part.setdefault("img_dir", defaults.default_img_dir)
                if part.get("load_labels", True):
                    part.setdefault("ann_dir", defaults.default_ann_dir)
    if uda := content.get("uda"):
        arguments = inspect.signature(MODELS.get(uda["type"])).parameters
        content["uda"] = {key: p.default for key, p in arguments.items()} | uda
        del content["uda"]["model"]
    if cfg.exp == START_UP_TEST:  # its two iterations are not evaluated here
        del content["train_cfg"], content["default_hooks"]["checkpoint"]
    return json.loads(json.dumps(content))  # tuples become lists


def published_run(row: dict[str, Any]) -> Config:
    """Our config of the same run."""
    return make_config(runs(row["id"])[row["index"]])


@pytest.fixture(scope="module")
def old_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("old configs")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['id']}-{row['index']}")
def test_every_published_run_has_the_config_of_today(row, old_folder, capsys):
    config = old_config(row)
    name = f"{row['id']}-{row['index']}"
    written_by_mic = "mask_mode" in (row["uda"] or {})
    write = as_python if written_by_mic else as_json
    path = write(with_tuples(config) if written_by_mic else config, old_folder / name)
    cfg = load_config(path)
    assert comparable(cfg) == comparable(published_run(row))
    assert "warning" not in capsys.readouterr().err
    check_config(cfg)


def test_the_released_daformer(tmp_path, capsys):
    """The stored config is that of experiment 6, and that of the annotated config but for its labels."""
    case = stored_case("daformer")
    cfg = load_config(as_json(case["config"], tmp_path / case["name"]))
    run = next(run for run in runs(6) if run.name == case["config"]["name"])
    assert comparable(cfg) == comparable(make_config(run))
    assert not capsys.readouterr().err
    annotated = load_config("configs/daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py")
    sections = (
        "model",
        "uda",
        "optim_wrapper",
        "param_scheduler",
        "train_cfg",
        "randomness",
        "val_evaluator",
    )
    assert all(cfg[key] == annotated[key] for key in sections)
    check_config(cfg)
