"""IDs with GTA and Synthia as sources: their configs, names and what papers report."""

import pytest
import torch

from mmseg import datasets, engine, models  # noqa: F401  (fill the registries)
from mmseg.config.checks import _check_sources, check_config
from mmseg.experiments.paper_results import paper_results
from mmseg.experiments.table import runs
from mmseg.registry import MODELS

FIRST_SEEDS = [run for exp_id in (223, 225) for run in runs(exp_id) if run.seed == 0]


@pytest.mark.parametrize("run", FIRST_SEEDS, ids=lambda run: run.name)
def test_rows_of_two_sources_are_complete(run, tmp_path):
    cfg = run.config()
    cfg.work_dir = str(tmp_path)
    check_config(cfg)
    _check_sources(cfg)
    with torch.device("meta"):
        student = MODELS.build(dict(cfg.model, pretrained=None))
        method = MODELS.build(dict(cfg.uda, model=student))
    assert method.other_networks.keys() == cfg.get("other_networks", {}).keys()
    train = cfg.train_dataloader.dataset
    assert [source.dataset.type for source in train.source.values()] == ["GTADataset", "SynthiaDataset"]
    assert train.get("mode", "mixed") == ("joint" if run.exp_id == 223 else "mixed")
    assert bool(train.get("rare_class_sampling")) == (run.exp_id == 225)
    assert cfg.val_evaluator.class_subsets == ("16", "13")


def test_names_of_rows_of_two_sources():
    names = [run.row.name for run in FIRST_SEEDS]
    assert names[:6] == [
        f"gtasyn2cs_{name}_fcn8s_vgg16"
        for name in ("source-only", "mdan-hard", "mdan-soft", "mdan-hard-sum", "mdan-soft-sum", "dctn")
    ]
    assert names[6:] == [
        "gtasyn2cs_dacs_a999_fdthings_rcs001_cpl_daformer_sepaspp_mitb5_poly10warm",
        "gtaHRsynHR2csHR_1024x1024_dacs_a999_fdthings_rcs001-20_cpl2_hrda1-512-01_daformer_sepaspp_sl_mitb5"
        "_poly10warm",
        "gtaHRsynHR2csHR_1024x1024_dacs_a999_fdthings_rcs001-20_cpl2_m64-07-spta_hrda1-512-01_daformer"
        "_sepaspp_sl_mitb5_poly10warm",
    ]
    (published,) = paper_results("gtasyn2cs_mdan-hard-sum_fcn8s_vgg16")
    assert published.value == 29.4 and "from memory" in published.source
    assert not paper_results("gtasyn2cs_mdan-hard_fcn8s_vgg16"), "that code takes the sum"
