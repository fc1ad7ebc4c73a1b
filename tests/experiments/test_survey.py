"""Methods of the survey: the configs of their rows, and what they say of the published runs."""

import pytest
import torch

from mmseg import datasets, engine, models  # noqa: F401  (fill the registries)
from mmseg.config.checks import check_config
from mmseg.experiments.paper_results import PAPER_RESULTS, paper_results
from mmseg.experiments.survey import SURVEY
from mmseg.experiments.table import runs
from mmseg.registry import DATASETS, MODELS, TRANSFORMS

FIRST_SEEDS = [run for exp_id in SURVEY for run in runs(exp_id) if run.seed == 0]


@pytest.mark.parametrize("run", FIRST_SEEDS, ids=lambda run: run.name)
def test_every_row_is_a_complete_config(run, tmp_path):
    cfg = run.config()
    cfg.work_dir = str(tmp_path)
    check_config(cfg)
    with torch.device("meta"):
        student = MODELS.build(dict(cfg.model, pretrained=None))
    assert student.num_classes == 19
    method = MODELS.build(dict(cfg.uda, model=student))
    assert method.other_networks.keys() == cfg.get("other_networks", {}).keys()
    assert DATASETS.get(cfg.train_dataloader.dataset.type)
    subsets = cfg.val_evaluator.get("class_subsets") == ("16", "13")
    assert subsets == run.name.startswith(("syn2cs", "cs_"))


@pytest.mark.parametrize("run", [run for run in FIRST_SEEDS if run.exp_id != 204], ids=lambda run: run.name)
def test_whole_images_and_the_optimizer_of_their_time(run):
    cfg = run.config()
    assert cfg.model.decode_head.align_corners
    assert cfg.optim_wrapper.optimizer.type == ("SGD" if "vgg" in run.name else "LegacySGD")
    assert "_delete_" not in cfg.optim_wrapper.paramwise_cfg
    source = {"gta2cs": (1280, 720), "syn2cs": (1280, 760), "cs": (1024, 512)}[run.name.split("_")[0]]
    for domain, scale in (("source", source), ("target", (1024, 512))):
        pipeline = [TRANSFORMS.build(step) for step in cfg.train_dataloader.dataset[domain].pipeline]
        (resize,) = [step for step in pipeline if hasattr(step, "scale")]
        assert resize.scale == scale and resize.backend == "pillow"


def test_methods_that_start_from_the_source_do():
    starts = {run.name: run.start for run in runs(204) if run.seed == 1}
    assert starts["gta2cs_adda_fcn8s_vgg16_s1"] == "gta2cs_source-only_fcn8s_vgg16_s1"
    assert starts["syn2cs_fcan_pspnet_r101_s1"] == "syn2cs_source-only_pspnet_r101_s1"
    names = list(starts)
    assert all(names.index(start) < names.index(name) for name, start in starts.items() if start)
    networks = {run.name: run.config().model for run in runs(204) if run.seed == 1}
    assert all(networks[name] == networks[start] for name, start in starts.items() if start)


def test_lengths_and_schedules():
    scheduled = [run for run in FIRST_SEEDS if run.exp_id != 204]
    found = {run.name: (run.max_iters, run.config().param_scheduler[0].end) for run in scheduled}
    assert found["gta2cs_adaptsegnet_dlv2_r101_s0"] == (150_000, 250_000)
    assert found["gta2cs_advent_dlv2_r101_s0"] == (120_000, 250_000)
    assert found["syn2cs_advent_dlv2_r101_s0"] == (90_000, 90_000)
    assert found["gta2cs_clan_dlv2_r101_s0"] == (100_000, 100_000)
    other = SURVEY[202].runs(202)[12].config().other_networks.discriminator.param_scheduler
    assert other[0].end == 90_000


def test_published_scores_of_the_classes_are_those_of_the_mean():
    listed = [result for result in PAPER_RESULTS if result.per_class]
    assert len(listed) == 2
    for result in listed:
        assert sum(result.per_class) / 19 == pytest.approx(result.value, abs=0.1)
    assert [result.score for result in paper_results("syn2cs_clan_dlv2_r101")] == ["mIoU13"]
    found = {result.score: result.value for result in paper_results("syn2cs_fcnswild_dilated_vgg16")}
    assert found == {"mIoU": 17.0, "mIoU16": 20.2, "mIoU13": 22.9}
    assert [result.value for result in paper_results("cs_target-only_dlv2_r101")] == [65.1, 71.7]
