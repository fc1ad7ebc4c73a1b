"""Runs that train generators and no segmentor: checkpoints, resumption, precision, what is refused."""

import copy
import re

import networks
import pytest
import torch
from mmengine.config import Config
from test_second_optimizer import assert_equal_trees
from toy_run import CROP_SIZE, log_entries, run_training, toy_config
from translation_run import translation_config

from mmseg import apis
from mmseg.checkpoints.weights import read_checkpoint
from mmseg.config.checks import check_config
from mmseg.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def cyclegan_run(toy_data, tmp_path_factory):
    """A finished CycleGAN run of four iterations, of which the first checkpoint is kept."""
    return run_training(translation_config(toy_data, tmp_path_factory.mktemp("cyclegan")))


def test_a_run_without_a_student_trains_its_networks_alone(cyclegan_run):
    assert cyclegan_run.model.model is None
    checkpoint = read_checkpoint(cyclegan_run.checkpoint)
    assert checkpoint["optimizer"].keys() == {"generator", "discriminator"}
    parts = {name.split(".")[0] for name in checkpoint["state_dict"]}
    assert parts == {"generator", "discriminator", "pool", "_extra_state"}
    lines = [line for line in log_entries(cyclegan_run.work_dir) if "to_target.loss_cycle" in line]
    assert [line["generator.lr"] / 2e-4 for line in lines] == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert lines[0].keys() >= {"discriminator.grad_norm", "identity.loss_source", "D_target.loss"}
    assert not (cyclegan_run.work_dir / "results.json").exists()


def test_pictures_show_images_translated_and_reconstructed(cyclegan_run):
    drawn = sorted(path.name for path in (cyclegan_run.work_dir / "debug").iterdir())
    assert drawn == [f"{iteration:06d}_{sample}.png" for iteration in (1, 3) for sample in (0, 1)]


@pytest.mark.parametrize("iteration", [2])
def test_translation_resumes_bit_by_bit(cyclegan_run, toy_data, tmp_path, iteration):
    """With full pools, with dropout, within the decay of the rate."""
    start = cyclegan_run.work_dir / f"iter_{iteration}.pth"
    pool = read_checkpoint(start)["state_dict"]["pool.target.images"]
    assert pool.shape == (2, 3, *CROP_SIZE) and pool.std() > 0
    options = {"resume": True, "load_from": str(start)}
    resumed = read_checkpoint(run_training(translation_config(toy_data, tmp_path, options)).checkpoint)
    expected = read_checkpoint(cyclegan_run.checkpoint)
    for part in ("state_dict", "optimizer", "param_schedulers"):
        assert_equal_trees(resumed[part], expected[part], part)


CLASSIFIER = networks.tiny()
CLASSIFIER["decode_head"]["num_classes"] = 19
LEARNT = {
    "uda.type": "CyCADA",
    "uda.consistency": dict(type="LearntConsistency", classifier=CLASSIFIER, threshold=10.0),
    "uda.pool_size": 0,
    "other_networks.classifier": dict(optim_wrapper=dict(optimizer=dict(type="Adam", lr=1e-3))),
}


def test_the_gate_of_cycada_resumes_bit_by_bit(toy_data, tmp_path):
    """The classifier's loss of the iteration before decides, also behind a resumption."""
    whole = run_training(translation_config(toy_data, tmp_path / "whole", copy.deepcopy(LEARNT)))
    semantic = [line["to_target.loss_semantic"] for line in log_entries(whole.work_dir) if "C.loss" in line]
    assert semantic[0] == 0 < semantic[2], "not believed in the first iteration"
    options = {"resume": True, "load_from": str(whole.work_dir / "iter_2.pth"), **copy.deepcopy(LEARNT)}
    resumed = run_training(translation_config(toy_data, tmp_path / "resumed", options))
    found, expected = (read_checkpoint(run.checkpoint) for run in (resumed, whole))
    assert expected["state_dict"]["consistency.last_loss"].isfinite()
    for part in ("state_dict", "optimizer"):
        assert_equal_trees(found[part], expected[part], part)


def madan_config(data, work_dir, options: dict) -> Config:
    """Two sources, whose images are those of one; the generators' terms begin in the third iteration."""
    cfg = translation_config(data, work_dir, options, "madan")
    source = copy.deepcopy(cfg.train_dataloader.dataset.source)
    named = {name: dict(dataset=copy.deepcopy(source)) for name in ("synthia", "gta")}
    cfg.train_dataloader.dataset.source, cfg.train_dataloader.dataset.mode = named, "joint"
    cfg.uda.consistency = None
    cfg.uda.update(aggregation_from=2, cross_from=2)
    return cfg


def test_madan_resumes_bit_by_bit(toy_data, tmp_path):
    """All pools, of which that of the first source is asked twice, and the beginning of further terms."""
    whole = run_training(madan_config(toy_data, tmp_path / "whole", {}))
    lines = [line for line in log_entries(whole.work_dir) if "D_target.loss_gta" in line]
    terms = ("synthia_gta.loss_aggregation", "gta_via_target_synthia.loss_cross")
    assert [[term in line for term in terms] for line in lines] == [[False] * 2] * 2 + [[True] * 2] * 2
    options = {"resume": True, "load_from": str(whole.work_dir / "iter_2.pth")}
    resumed = run_training(madan_config(toy_data, tmp_path / "resumed", options))
    found, expected = (read_checkpoint(run.checkpoint) for run in (resumed, whole))
    pools = {name for name in expected["state_dict"] if name.startswith("pool.") and name.endswith("images")}
    assert len(pools) == 6
    for part in ("state_dict", "optimizer"):
        assert_equal_trees(found[part], expected[part], part)


def test_sources_of_madan_are_those_of_the_data(toy_data, tmp_path):
    cfg = madan_config(toy_data, tmp_path, {"uda.sources": ["gta", "synthia"]})
    with pytest.raises(ConfigError, match=r"uda.sources=\['gta', 'synthia'\].*found synthia, gta"):
        check_config(cfg)


def test_translation_in_half_precision(toy_data, tmp_path):
    options = {"optim_wrapper.precision": "bf16", "train_cfg.max_iters": 2}
    run = run_training(translation_config(toy_data, tmp_path, options))
    state = read_checkpoint(run.checkpoint)["state_dict"]
    assert all(value.dtype == torch.float32 for name, value in state.items() if name.startswith("generator"))
    assert state["pool.source.images"].isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": dict(type="EncoderDecoder")}, "found model, but CycleGAN trains no segmentor"),
        (
            {"param_scheduler": [dict(type="PolyWarmupLR", by_epoch=False)]},
            "schedules stand in other_networks",
        ),
        ({"load_from": "x.pth"}, "goes on with --resume"),
        ({"uda.lambda_source": -1.0}, "a weight is negative"),
        ({"uda.gan_loss": "WGAN"}, "'WGAN' is unknown; expected one of LS, Vanilla"),
        (
            {"other_networks.generator.optim_wrapper.optimizer": None},
            "other_networks.generator.optim_wrapper",
        ),
    ],
)
def test_mistakes_in_a_run_without_a_student_are_explained(toy_data, tmp_path, options, message):
    cfg = translation_config(toy_data, tmp_path, options)
    with pytest.raises(ConfigError, match=re.escape(message)):
        apis.train(cfg)


def test_what_needs_a_segmentor_says_so(cyclegan_run, toy_data, tmp_path):
    cfg = copy.deepcopy(cyclegan_run.cfg)
    for use in (apis.test, apis.init_segmentor):
        with pytest.raises(ConfigError, match="has no model, CycleGAN trains no segmentor; name config and"):
            use(cfg, cyclegan_run.checkpoint)
    cfg.val_dataloader = toy_config("dacs", toy_data, tmp_path).val_dataloader
    cfg.val_evaluator = dict(type="IoUMetric")
    with pytest.raises(ConfigError, match="nothing predicts classes"):
        check_config(cfg)
    options = {"load_from": str(cyclegan_run.checkpoint), "val_dataloader": None}
    with pytest.raises(CheckpointError, match="is of another network than the config"):
        apis.train(toy_config("dacs", toy_data, tmp_path, options))
