"""Accumulation, clipping, activation checkpointing and batches of three, with every method."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, OptimWrapperDict
from toy_run import ROOT, toy_config

from mmseg import datasets, engine, models  # noqa: F401  (fill the registries)
from mmseg.engine import GroupedOptimWrapperConstructor
from mmseg.models.uda.parts.masking_consistency_module import MODES
from mmseg.registry import MODELS

LIMIT = 0.1
METHODS = ("dacs", "daformer", "advseg", "minent", "fda", *MODES)
CHECKPOINTED = ("daformer", "separateaug", "advseg", "minent")


def batch(iteration: int, size: int = 3) -> dict:
    """Random images and blocks of labels."""
    generator = torch.Generator().manual_seed(iteration)
    images = torch.randint(0, 256, (2, size, 3, 64, 64), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 19, (size, 4, 4), generator=generator).repeat_interleave(16, 1)
    return dict(img=images[0], target_img=images[1], gt_semantic_seg=labels.repeat_interleave(16, 2))


def method_of(name: str, checkpointing: bool):
    """A small network with a method around it; the same weights each time."""
    torch.manual_seed(0)
    cfg = toy_config("daformer", Path("data"), Path("work"))
    cfg.model.backbone.with_cp = checkpointing
    if name in ("advseg", "minent", "fda"):
        uda = Config.fromfile(ROOT / "configs" / "_base_" / "uda" / f"{name}.py").uda
    else:
        uda = copy.deepcopy(cfg.uda)
        uda.update(pseudo_threshold=0.06, pseudo_weight_ignore_top=0, pseudo_weight_ignore_bottom=0)
        if name == "dacs":
            uda.imnet_feature_dist_lambda = 0
        if name in MODES:
            uda.masking = dict(
                mask_mode=name,
                mask_generator=dict(mask_ratio=0.5, mask_block_size=16),
                teacher=dict(alpha=0.9, pseudo_threshold=0.06),
            )
    method = MODELS.build(dict(uda, model=cfg.model))
    method.init_weights()
    return method


def optimizers_of(method) -> OptimWrapper | OptimWrapperDict:
    """The student's optimizer, and those of the other networks."""
    settings = dict(accumulative_counts=2, clip_grad=dict(max_norm=LIMIT))
    # plain gradient descent with rate 1: the step is the clipped gradient
    settings |= dict(type="SegmentationOptimWrapper", optimizer=dict(type="SGD", lr=1.0))
    settings["other_networks"] = {name: {} for name in method.other_networks}
    return GroupedOptimWrapperConstructor(settings)(method)


def one_step(name: str, checkpointing: bool = False):
    """Two iterations, which make one step: (student before, student after, method)."""
    method = method_of(name, checkpointing).train()
    wrapper = optimizers_of(method)
    before = [parameter.detach().clone() for parameter in method.model.parameters()]
    for iteration in range(2):
        torch.manual_seed(iteration)
        log = method.train_step(batch(iteration), wrapper)
        assert all(torch.isfinite(value).all() for key, value in log.items() if "loss" in key)
        unchanged = all(map(torch.equal, before, method.model.parameters()))
        assert unchanged == (iteration == 0), "one step after two iterations"
    return before, [parameter.detach() for parameter in method.model.parameters()], method


@pytest.mark.parametrize("name", METHODS)
def test_accumulated_and_clipped_step_of_three_images(name):
    before, after, method = one_step(name)
    change = [old - new for old, new in zip(before, after, strict=True)]
    assert torch.nn.utils.get_total_norm(change) == pytest.approx(LIMIT, rel=1e-3)
    for network in method.other_networks.values():
        assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("name", CHECKPOINTED)
def test_activation_checkpointing_changes_nothing(name):
    """Also the random numbers of drop path are the same when a block is computed again."""
    _, expected, _ = one_step(name)
    _, found, _ = one_step(name, checkpointing=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
