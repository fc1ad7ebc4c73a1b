"""IDs of the methods that change how images look: their configs, and what they start from."""

import pytest
import torch

from mmseg import datasets, engine, models  # noqa: F401  (fill the registries)
from mmseg.config.checks import check_config, trains_student
from mmseg.experiments.appearance import APPEARANCE, EPOCH
from mmseg.experiments.paper_results import FROM_MEMORY, paper_results
from mmseg.experiments.table import runs
from mmseg.launch.run_folders import differing_sections
from mmseg.registry import MODELS

FIRST_SEEDS = {run.name: run for exp_id in APPEARANCE for run in runs(exp_id) if run.seed == 0}


@pytest.mark.parametrize("run", FIRST_SEEDS.values(), ids=lambda run: run.name)
def test_every_row_of_appearance_is_a_complete_config(run, tmp_path):
    cfg = run.config()
    cfg.work_dir = str(tmp_path)
    check_config(cfg)
    assert trains_student(cfg) == bool(cfg.get("model")) == (run.row.name != "gta2cs_cyclegan")
    with torch.device("meta"):
        student = dict(model=dict(cfg.model, pretrained=None)) if cfg.get("model") else {}
        method = MODELS.build({**cfg.uda, **student})
    assert method.other_networks.keys() == cfg.get("other_networks", {}).keys()


def test_stages_of_cycada_start_from_each_other(tmp_path):
    starts = {name: run.start for name, run in FIRST_SEEDS.items() if run.start}
    for network in ("fcn8s_vgg16", "drn26"):
        assert starts[f"gta2cs_cycada-pixel_{network}_s0"] == "gta2cs_cyclegan_s0"
        assert starts[f"gta2cs_cycada-feature_{network}_s0"] == f"gta2cs_source-only_{network}_s0"
        assert starts[f"gta2cs_cycada_{network}_s0"] == f"gta2cs_cycada-pixel_{network}_s0"
        pixel, both = (FIRST_SEEDS[f"gta2cs_{x}_{network}_s0"].config() for x in ("cycada-pixel", "cycada"))
        assert pixel.uda.translator == both.uda.translator and pixel.load_from is None
        assert both.load_from == "start" and both.uda.type == "ADDA"
    names = list(FIRST_SEEDS)
    assert all(names.index(start) < names.index(name) for name, start in starts.items())
    pixel.dump(tmp_path / "pixel.py")
    pixel.uda.translator.checkpoint = "work_dirs/other.pth"  # as it is written when its turn comes
    assert differing_sections(pixel, tmp_path / "pixel.py") == []
    pixel.uda.translator.scale = 1.0
    assert differing_sections(pixel, tmp_path / "pixel.py") == ["uda"]


def test_settings_of_cycada_and_fda_are_those_of_their_authors():
    generators = FIRST_SEEDS["gta2cs_cyclegan_s0"].config()
    (schedule,) = generators.other_networks.discriminator.param_scheduler
    assert (generators.train_cfg.max_iters, schedule.constant_iters, schedule.period) == (
        20 * EPOCH, 10 * EPOCH, EPOCH,
    )  # fmt: skip
    configs = {name: run.config() for name, run in FIRST_SEEDS.items() if "fda" in name}
    assert len(configs) == 12
    found = configs["gta2cs_fda-05_dlv2_r101_s0"]
    assert (found.uda.translator.beta, found.train_cfg.max_iters) == (0.05, 100_000)
    assert found.param_scheduler[0].end == 150_000 and found.optim_wrapper.optimizer.type == "LegacySGD"
    vgg = configs["syn2cs_fda-09_fcn8s_vgg16_s0"]
    assert vgg.optim_wrapper.optimizer.type == "Adam" and vgg.param_scheduler[0].step_size == 50_000
    assert vgg.uda.translator.beta == 0.09 and vgg.val_evaluator.class_subsets == ("16", "13")


def test_numbers_of_cycada_say_that_they_are_from_memory():
    (result,) = paper_results("gta2cs_cycada_drn26")
    assert result.value == 39.5 and FROM_MEMORY in result.note
