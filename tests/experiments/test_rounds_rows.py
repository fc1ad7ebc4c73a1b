"""IDs of the methods that label the target in rounds: their configs, and what they start from."""

import pytest
import torch
from mmengine.config import Config

from mmseg import datasets, engine, models  # noqa: F401  (fill the registries)
from mmseg.config.base import CONFIGS
from mmseg.config.checks import check_config
from mmseg.config.load import load_config
from mmseg.experiments.paper_results import paper_results
from mmseg.experiments.rounds import ROUNDS, SOURCE_ONLY
from mmseg.experiments.table import runs
from mmseg.launch.run_folders import differing_sections
from mmseg.launch.start_weights import start_from
from mmseg.models.uda import UDADecorator
from mmseg.registry import LABELLERS, MODELS

FIRST_SEEDS = {run.name: run for exp_id in ROUNDS for run in runs(exp_id) if run.seed == 0}
IN_ROUNDS = [
    run for run in FIRST_SEEDS.values() if "source-only" not in run.name and "advent" not in run.name
]


@pytest.mark.parametrize("run", FIRST_SEEDS.values(), ids=lambda run: run.name)
def test_every_row_of_rounds_is_a_complete_config(run, tmp_path):
    cfg = run.config()
    cfg.work_dir = str(tmp_path)
    check_config(cfg)
    with torch.device("meta"):
        student = MODELS.build(dict(cfg.model, pretrained=None))
    method = MODELS.build(dict(cfg.uda, model=student))
    assert isinstance(method, UDADecorator)
    assert method.other_networks.keys() == cfg.get("other_networks", {}).keys()
    assert (cfg.val_evaluator.get("class_subsets") == ("16", "13")) == run.name.startswith("syn2cs")
    assert ("rounds" in cfg) == (run in IN_ROUNDS)


@pytest.mark.parametrize("run", IN_ROUNDS, ids=lambda run: run.name)
def test_labellers_of_the_rows_can_be_built(run):
    cfg = run.config()
    settings = {key: value for key, value in cfg.rounds.labeller.items() if key != "prior"}  # a file
    assert LABELLERS.build(settings).settings["type"] == cfg.rounds.labeller.type
    lengths = cfg.rounds.length
    assert len(lengths) == cfg.rounds.number and sum(lengths) == run.max_iters


def test_portions_lengths_and_rates_of_the_authors():
    configs = {name: run.config() for name, run in FIRST_SEEDS.items()}
    cbst = configs["gta2cs_cbst_dlv2_r101_s0"]
    assert [n // 2 for n in cbst.rounds.length] == [626, 658, 689, 720, 751, 783]
    assert cbst.rounds.labeller.portion == [0.15, 0.2, 0.25, 0.3, 0.35, 0.4]
    assert cbst.train_dataloader.dataset.source_portions == [0.03, 0.0325, 0.035, 0.0375, 0.04, 0.0425]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    (schedule,) = cbst.param_scheduler
    decay = torch.optim.lr_scheduler.MultiStepLR(optimizer, schedule.milestones, schedule.gamma)
    for round, length in enumerate(cbst.rounds.length):
        assert decay.get_last_lr()[0] == pytest.approx(2 ** (-round / 2))
        for _ in range(length):
            optimizer.step()
            decay.step()
    crst = configs["syn2cs_crst-mrkld_dlv2_r101_s0"]
    assert [n // 2 for n in crst.rounds.length] == [347, 358, 370, 382]
    assert crst.uda.regulariser == dict(type="kld", alpha=0.1, target_weight=0.1)
    assert crst.train_dataloader.dataset.source_choice == "anew"
    found = {result.score: result.value for result in paper_results("syn2cs_crst-mrkld_dlv2_r101")}
    assert found == {"mIoU16": 43.8, "mIoU13": 50.1}


def test_rows_of_rounds_start_from_what_is_trained_before_them():
    for exp_id in ROUNDS:
        names = [run.name for run in runs(exp_id)]
        starts = {run.name: run.start for run in runs(exp_id) if run.start}
        assert all(names.index(start) < names.index(name) for name, start in starts.items())
    assert FIRST_SEEDS["gta2cs_cbst_dlv2_r101_s0"].start == f"gta2cs_{SOURCE_ONLY}_s0"
    assert FIRST_SEEDS["syn2cs_tpld_dlv2_r101_s0"].start == "syn2cs_tpld-voting_dlv2_r101_s0"
    assert FIRST_SEEDS["gta2cs_intrada_dlv2_r101_s0"].start == "gta2cs_advent_dlv2_r101_s0"


@pytest.mark.parametrize("name", ["gta2cs_intrada_dlv2_r101_s0", "gta2cs_tpld_dlv2_r101_s0"])
def test_another_runs_network_labels_or_is_gone_on_from(name, tmp_path):
    checkpoint = tmp_path / "finished" / "iter_10.pth"
    checkpoint.parent.mkdir()
    torch.save({"state_dict": {"conv.weight": torch.zeros(1)}}, checkpoint)
    cfg = FIRST_SEEDS[name].config()
    cfg.work_dir, path = str(tmp_path), tmp_path / "run.py"
    cfg.dump(path)
    start_from(path, checkpoint.parent)
    started = load_config(path)
    labels = name == "gta2cs_intrada_dlv2_r101_s0"  # and begins with a new network
    assert (started.get("load_from"), started.rounds.get("checkpoint")) == (
        (None, str(checkpoint)) if labels else (str(checkpoint), None)
    )
    assert "rounds" not in differing_sections(cfg, path)  # so it is continued after a stop


@pytest.mark.parametrize(
    "name",
    ["cbst/gta2cs_cbst", "crst/gta2cs_crst_mrkld", "intrada/gta2cs_intrada", "tpld/gta2cs_tpld_voting"],
)
def test_annotated_configs_are_rows_of_their_ids(name):
    cfg: Config = load_config(CONFIGS / f"{name}_dlv2_r101.py")
    row = FIRST_SEEDS[cfg.name].config()
    for section in ("model", "optim_wrapper", "param_scheduler", "train_dataloader", "train_cfg", "uda"):
        ours, theirs = cfg[section], row[section]
        if section == "model":  # the tests of the rows average over versions of an image
            theirs = {**theirs, "test_cfg": ours.test_cfg}
        assert ours == theirs, section
    portions = row.rounds.labeller.get("portion", [])[: cfg.rounds.number]
    found = {**cfg.rounds.labeller, "portion": list(cfg.rounds.labeller.get("portion", []))}
    assert {key: found[key] for key in row.rounds.labeller} | dict(portion=found["portion"]) == {
        **row.rounds.labeller, "portion": portions,
    }  # fmt: skip
    assert cfg.rounds.length == row.rounds.length
    assert cfg.rounds.get("checkpoint") == row.rounds.get("checkpoint")
