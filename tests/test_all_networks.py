"""Every network of every experiment ID is built, trained for a step with its method, and predicts.

Images and crops are small. MiT-B0 stands for B5 and ResNet-50 for ResNet-101; slow tests
take the other large encoders as they are.
"""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapperDict
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from experiments import EXPERIMENTS, make_config, runs
from mmseg import models  # noqa: F401  (fills the registry)
from mmseg.engine import SegmentationRunner
from mmseg.experiments.experiment import Run
from mmseg.experiments.names import Axes
from mmseg.registry import MODELS

SMALLER = {"mitb5": "mitb0", "r101v1c": "r50v1c"}
LARGE = ("mitb3", "mitb4", "s101", "s200", "x101-32")
SMALLEST = 32
"""Edge in pixels of the smallest image that an encoder sees, the context or detail of HRDA."""
CLASSES = 19
PAPERS = [exp_id for exp_id, found in EXPERIMENTS.items() if all(isinstance(x, Axes) for x in found.rows)]


def small(run: Run) -> Run:
    """The same run with a small encoder."""
    network = run.row.network
    for large, stand_in in SMALLER.items():
        network = network.replace(large, stand_in)
    return replace(run, row=replace(run.row, network=network))


def distinct_networks() -> dict[str, Run]:
    """A run for every kind of network and method, with its name.

    Kinds do not tell weights of losses, mask ratios and block sizes apart. A network that some run adapts is
    not trained without adaptation here as well.
    """
    every = [small(run) for exp_id in PAPERS for run in runs(exp_id)]
    adapted = {run.row.network for run in every if run.row.adapts}
    found: dict[tuple, Run] = {}
    for run in every:
        axes, detail, masking = run.row, run.row.detail, run.row.masking
        if axes.adapts or axes.network not in adapted:
            scales = detail and (detail.crop, axes.final_crop, detail.loss_weight > 0, detail.options)
            masks = masking and replace(masking, ratio=masking.ratio > 0, block_size=0)
            found.setdefault((axes.network, scales, axes.uda, masks), run)
    return {f"{run.exp_id}-{run.row.name}": run for run in found.values()}


def parameters() -> list:
    return [
        pytest.param(run, id=name, marks=[pytest.mark.slow] * run.row.network.endswith(LARGE))
        for name, run in distinct_networks().items()
    ]


def shrink(run: Run) -> tuple[Config, int]:
    """The run's config without pretrained weights and for small images, and the edge of those."""
    cfg = make_config(run)
    crop, detail = run.row.final_crop, run.row.detail
    smallest = min(detail.crop, crop * min(cfg.model.scales)) if detail else crop / 2
    factor = 2 ** int(math.log2(smallest / SMALLEST))
    edge = crop // factor
    cfg.model.pretrained = None
    if "hr_crop_size" in cfg.model:
        cfg.model.hr_crop_size = [length // factor for length in cfg.model.hr_crop_size]
    if cfg.model.test_cfg.mode == "slide":
        cfg.model.test_cfg.update(crop_size=(edge, edge), stride=(edge // 2, edge // 2))
    uda = cfg.get("uda", {})
    for margin in ("pseudo_weight_ignore_top", "pseudo_weight_ignore_bottom"):
        if margin in uda:
            uda[margin] //= factor
    if "masking" in uda:
        uda.masking.mask_generator.mask_block_size = edge // 8
    return cfg, edge


def batch(edge: int, run: Run) -> dict[str, Tensor]:
    """Two random source and target images; labels are blocks that features of stride 32 can resolve."""
    cells = max(edge // 32, 1)
    label = torch.randint(CLASSES, (2, cells, cells)).repeat_interleave(32, 1).repeat_interleave(32, 2)
    images = {key: torch.randint(256, (2, 3, edge, edge), dtype=torch.uint8) for key in ("img", "target_img")}
    data = images | dict(gt_semantic_seg=label[:, :edge, :edge])
    if run.row.margins == "cpl2":
        data["valid_pseudo_mask"] = torch.rand(2, edge, edge) < 0.9
    if not run.row.adapts:
        del data["target_img"]
        data["img_metas"] = [dict(img_shape=(edge, edge))] * 2
    return data


def train_step(
    cfg: Config, data: dict[str, Tensor]
) -> tuple[nn.Module, dict[str, Tensor], dict[str, Tensor]]:
    """What is trained, after one iteration, its log, and the mean gradients that the optimizer keeps."""
    model = MODELS.build(dict(cfg.uda, model=cfg.model) if "uda" in cfg else cfg.model)
    init_default_scope(cfg.default_scope)
    runner = SimpleNamespace(model=model, cfg=cfg, param_schedulers=None)
    optimizers = SegmentationRunner.build_optim_wrapper(runner, cfg.optim_wrapper)
    log = model.train().train_step(data, optimizers)
    student = dict(optimizers.items())["student"] if isinstance(optimizers, OptimWrapperDict) else optimizers
    state = student.optimizer.state
    means = {
        name: state[parameter].get("exp_avg", state[parameter].get("momentum_buffer"))
        for name, parameter in getattr(model, "model", model).named_parameters()
        if parameter in state
    }
    return model, {name: value for name, value in log.items() if isinstance(value, Tensor)}, means


@pytest.mark.parametrize("run", parameters())
def test_network_trains_and_predicts(run):
    torch.manual_seed(0)
    cfg, edge = shrink(run)
    model, losses, gradients = train_step(cfg, batch(edge, run))
    assert any("loss" in name for name in losses)
    assert all(value.isfinite().all() for value in (*losses.values(), *gradients.values())), losses
    trained = {name.split(".")[0] for name, gradient in gradients.items() if gradient.abs().max() > 0}
    assert trained == {"backbone", "decode_head"}

    segmentor = getattr(model, "model", model)
    segmentor.eval()
    with torch.no_grad():
        prediction = segmentor.predict(torch.randn(1, 3, edge, 2 * edge))
    assert prediction.shape == (1, CLASSES, edge, 2 * edge)
    assert prediction.isfinite().all() and prediction.std() > 0


def test_networks_are_all_there():
    """The families of encoders, the heads and the options of HRDA that the papers name."""
    networks = [run.row.network for exp_id in PAPERS for run in runs(exp_id)]
    assert len(set(networks)) == 22
    tested = distinct_networks().values()
    details = {run.row.detail for run in tested}
    assert {option for detail in details if detail for option in detail.options} == {
        "fixedatt", "nooverlap", "samescale", "blurhr", "sc0.25", "sc0.75",
    }  # fmt: skip
    configs = [make_config(run).model for run in tested]
    assert {cfg.backbone.get("name", cfg.backbone.type) for cfg in configs} == {
        "mit_b0", "mit_b3", "mit_b4", "resnet50c", "resnext50_32x4d", "resnext101_32x4d", "resnest50d",
        "resnest101e", "resnest200e",
    }  # fmt: skip
    assert {cfg.decode_head.get("single_scale_head", cfg.decode_head.type) for cfg in configs} == {
        "DLV2Head", "DAHead", "ISAHead", "DepthwiseSeparableASPPHead", "SegFormerHead", "DAFormerHead",
        "UPerHead",
    }  # fmt: skip
    methods = {run.row.uda for exp_id in PAPERS for run in runs(exp_id)}
    assert methods - {run.row.uda for run in tested} == {"source-only"}, "the same step as target-only"
