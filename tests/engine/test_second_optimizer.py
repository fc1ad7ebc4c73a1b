"""Runs with a second trained network: its optimizer, its schedule, its place in checkpoints."""

import copy
import re

import pytest
import torch
from golden_data import load
from mmengine.config import Config
from mmengine.optim import OptimWrapperDict
from toy_run import ROOT, log_entries, run_training, toy_config

from mmseg import apis
from mmseg.apis.training import build_runner
from mmseg.checkpoints.weights import read_checkpoint
from mmseg.config.checks import check_config
from mmseg.config.load import load_config
from mmseg.errors import CheckpointError, ConfigError

UDA = ROOT / "configs" / "_base_" / "uda"
PARTS = ("uda", "other_networks")
DISCRIMINATOR = "other_networks.discriminator"


def advseg_config(data, work_dir, options: dict | None = None, method: str = "advseg") -> Config:
    """The quickstart's network with AdvSeg, or another method, in place of DACS, without validation."""
    without = {"val_dataloader": None, "val_cfg": None, "val_evaluator": None}
    cfg = toy_config("dacs", data, work_dir, {"default_hooks.checkpoint.save_best": None, **without})
    cfg.pop("uda")
    cfg.merge_from_dict(
        {name: part for name, part in Config.fromfile(UDA / f"{method}.py").items() if name in PARTS}
    )
    if method == "clan":  # a second classifier
        cfg.model.update(auxiliary_head=copy.deepcopy(cfg.model.decode_head), sum_outputs=True)
    cfg.merge_from_dict(options or {})
    return cfg


@pytest.fixture(scope="module")
def adv_run(toy_data, tmp_path_factory):
    """A finished AdvSeg run of four iterations; the first checkpoint is kept as well."""
    options = {"default_hooks.checkpoint.max_keep_ckpts": 5}
    return run_training(advseg_config(toy_data, tmp_path_factory.mktemp("advseg"), options))


def assert_equal_trees(found, expected, place="checkpoint"):
    assert type(found) is type(expected), place
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected), place
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys(), place
        for key, value in expected.items():
            assert_equal_trees(found[key], value, f"{place}.{key}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), place
        for index, pair in enumerate(zip(found, expected, strict=True)):
            assert_equal_trees(*pair, f"{place}.{index}")
    else:
        assert found == expected, place


def test_both_learning_rates_are_logged_and_follow_their_schedules(adv_run):
    lines = [line for line in log_entries(adv_run.work_dir) if "decode.loss_seg" in line]
    base = adv_run.cfg.optim_wrapper.optimizer.lr
    warmup = [1e-6, 1 - 0.5 * (1 - 1e-6), 1, 1]
    expected = [base * (1 - t / 4) * factor for t, factor in enumerate(warmup)]
    assert [line["student.lr"] for line in lines] == pytest.approx(expected, rel=1e-6)
    expected = [1e-4 * (1 - t / 4) ** 0.9 for t in range(4)]
    assert [line["discriminator.lr"] for line in lines] == pytest.approx(expected, rel=1e-6)
    assert {"G_trg.loss.main", "D_src.loss.main", "D_trg.loss.main"} <= lines[0].keys()


def test_published_rate_of_the_discriminator(toy_data, tmp_path):
    options = {"train_cfg.max_iters": 40000, "train_cfg.val_interval": 40000}
    runner = build_runner(advseg_config(toy_data, tmp_path, options))
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    (schedule,) = runner.build_param_scheduler(runner.param_schedulers)["discriminator"]
    for iteration, expected in load("adv_ent")["lr_d_f64"]:
        schedule.last_step = int(iteration)
        assert schedule._get_value() == pytest.approx([expected], rel=1e-8)


def test_checkpoint_holds_the_state_of_both_optimizers(adv_run):
    checkpoint = read_checkpoint(adv_run.checkpoint)
    assert checkpoint["optimizer"].keys() == {"student", "discriminator"}
    state = checkpoint["optimizer"]["discriminator"]["state"]
    discriminator = [name for name in checkpoint["state_dict"] if name.startswith("model_D.main.")]
    assert len(state) == len(discriminator) == 10
    assert all(entry["step"] == 4 and entry["exp_avg_sq"].max() > 0 for entry in state.values())
    groups = checkpoint["optimizer"]["student"]["param_groups"]
    assert sum(len(group["params"]) for group in groups) == len(list(adv_run.model.model.parameters()))


def test_resumed_run_continues_bit_by_bit(adv_run, toy_data, tmp_path):
    options = {"resume": True, "load_from": str(adv_run.work_dir / "iter_2.pth")}
    resumed = read_checkpoint(run_training(advseg_config(toy_data, tmp_path, options)).checkpoint)
    expected = read_checkpoint(adv_run.checkpoint)
    for part in ("state_dict", "optimizer", "param_schedulers"):
        assert_equal_trees(resumed[part], expected[part], part)


def test_student_can_be_tested_without_the_method(adv_run):
    model = apis.init_segmentor(adv_run.cfg, adv_run.checkpoint, device="cpu")
    assert torch.equal(model.decode_head.conv_seg.weight, adv_run.model.model.decode_head.conv_seg.weight)


MASKING = dict(mask_mode="separatetrg", mask_generator=dict(mask_ratio=0.5, mask_block_size=16))
PRIOR = {"uda.class_ratio_prior": dict(class_ratio=[1.0] * 19, loss_weight=0.1)}
UNSHARED = {"uda.weights_shared": False, "uda.discriminate": "features", "uda.accuracy_threshold": 0.0}
OF_METHODS = {
    "adda": {"uda.accuracy_threshold": 0.5},
    "adda, a copy for the source, features": UNSHARED,
    "fcns_in_the_wild": {},
    "road": {"uda.regions": (2, 2)},
    "fcan": {},
    "adaptsegnet": {},
    "adaptsegnet, masks": {"uda.masking": MASKING},
    "advent": {},
    "fda": {"uda.entropy_from": 3, "uda.translator.beta": 0.05},
    "minent, prior": PRIOR | {"uda.most_uncertain": 0.3},
    "clan, the second phase begins after the resumption": {"uda.global_iters": 2, "uda.target_size": None},
}


@pytest.mark.parametrize("case", OF_METHODS)
def test_methods_of_the_survey_resume_bit_by_bit(case, toy_data, tmp_path):
    """Buffers (ADDA's accuracies), ramps, phases, copies, and discriminators of either optimizer."""
    method, _, _ = case.partition(",")
    kept = OF_METHODS[case] | {"default_hooks.checkpoint.max_keep_ckpts": 5}
    whole = run_training(advseg_config(toy_data, tmp_path / "whole", kept, method))
    options = kept | {"resume": True, "load_from": str(tmp_path / "whole" / "iter_2.pth")}
    resumed = run_training(advseg_config(toy_data, tmp_path / "resumed", options, method))
    expected, found = read_checkpoint(whole.checkpoint), read_checkpoint(resumed.checkpoint)
    assert any(name.startswith("model_D.") for name in expected["state_dict"]) == (
        method not in ("minent", "fda")
    )
    assert any(name.startswith("source_model.") for name in expected["state_dict"]) == ("copy" in case)
    assert any(name.startswith("masked.") for name in log_entries(whole.work_dir)[-1]) == ("masks" in case)
    for part in ("state_dict", "optimizer"):
        assert_equal_trees(found[part], expected[part], part)


@pytest.mark.parametrize(
    ("section", "value"),
    [(f"{DISCRIMINATOR}.optim_wrapper.optimizer.lr", 0.5), ("optim_wrapper.optimizer.lr", 0.5)],
)
def test_resume_with_another_optimizer_is_refused(adv_run, toy_data, tmp_path, section, value):
    options = {section: value, "resume": True, "load_from": str(adv_run.checkpoint)}
    with pytest.raises(CheckpointError, match="the optimizers differ"):
        apis.train(advseg_config(toy_data, tmp_path, options))


def test_second_optimizer_takes_over_what_it_does_not_name(toy_data, tmp_path):
    runner = build_runner(advseg_config(toy_data, tmp_path, {"optim_wrapper.clip_grad": dict(max_norm=2.0)}))
    wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    assert isinstance(wrapper, OptimWrapperDict)
    assert all(single.clip_grad_kwargs == {"max_norm": 2.0} for single in wrapper.values())
    assert type(wrapper["discriminator"].optimizer) is torch.optim.Adam
    assert wrapper["discriminator"].optimizer.defaults["betas"] == (0.9, 0.99)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({f"{DISCRIMINATOR}.optim_wrapper.optimizer.lr": -1}, "optim_wrapper.optimizer.lr=-1"),
        ({f"{DISCRIMINATOR}.optim_wrapper.optimizer.type": "Adamm"}, "optim_wrapper.optimizer: "),
        ({f"{DISCRIMINATOR}.optim_wrapper.clip_gard": 1}, "optim_wrapper: .*'clip_gard'"),
        ({f"{DISCRIMINATOR}.param_scheduler.0.powr": 1}, r"param_scheduler.0: .*'power'"),
        ({f"{DISCRIMINATOR}.optim_wraper": {}}, "did you mean 'optim_wrapper'"),
        ({"other_network": {}}, "did you mean 'other_networks'"),
    ],
)
def test_mistakes_in_the_second_optimizer_are_explained(toy_data, tmp_path, options, message):
    cfg = advseg_config(toy_data, tmp_path)
    cfg.merge_from_dict(options)
    with pytest.raises(ConfigError) as error:
        check_config(cfg)
    assert re.search(message, str(error.value)), error.value
    assert "other_network" in str(error.value)


def test_every_network_needs_its_optimizer_and_every_optimizer_a_network(toy_data, tmp_path):
    cfg = advseg_config(toy_data, tmp_path)
    network = cfg.pop("other_networks")
    with pytest.raises(ConfigError, match=r"expected \['discriminator'\]"):
        apis.train(cfg)
    cfg = toy_config("dacs", toy_data, tmp_path)
    cfg.other_networks = network
    with pytest.raises(ConfigError, match="DACS trains no network beside the student"):
        apis.train(cfg)


def test_former_names_of_the_second_optimizer_are_understood(toy_data, tmp_path):
    cfg = advseg_config(toy_data, tmp_path)
    today = copy.deepcopy(cfg)
    for name, part in cfg.pop("other_networks").discriminator.items():
        cfg[f"discriminator_{name}"] = part
    cfg.dump(tmp_path / "former.py")
    assert load_config(tmp_path / "former.py").other_networks == today.other_networks


@pytest.mark.parametrize("wrapper", ["OptimWrapper", "AmpOptimWrapper"])
def test_a_wrapper_without_several_backward_passes_is_refused(toy_data, tmp_path, wrapper):
    cfg = toy_config("dacs", toy_data, tmp_path)
    cfg.optim_wrapper = dict(type=wrapper, optimizer=dict(type="SGD", lr=0.1))
    with pytest.raises(ConfigError, match=f"optim_wrapper is a {wrapper}.*SegmentationOptimWrapper"):
        apis.train(cfg)
