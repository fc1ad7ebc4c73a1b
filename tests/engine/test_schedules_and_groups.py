"""Learning rates and parameter groups against stored numbers."""

import pytest
import torch
from golden_data import listing, load
from mmengine.config import Config
from toy_run import ROOT

from mmseg.config.load import load_config
from mmseg.engine.optimizer_constructor import GroupedOptimWrapperConstructor, multipliers
from mmseg.engine.schedules import PolyWarmupLR
from mmseg.errors import ConfigError
from mmseg.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS, PARAM_SCHEDULERS

SCHEDULES = ROOT / "configs/_base_/schedules"
PUBLISHED_KEYS = dict(head=dict(lr_mult=10.0), pos_block=dict(decay_mult=0.0), norm=dict(decay_mult=0.0))


def rates(base: float, **settings) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    scheduler = PolyWarmupLR(optimizer, **settings, end=40000)
    found = []
    for _ in range(40000):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    ("schedule", "settings"),
    [(0, dict(warmup_iters=1500, warmup_ratio=1e-6)), (1, dict(min_lr=1e-4))],
)
def test_learning_rates_equal_the_published_ones(schedule, settings):
    rows = [row for row in load("lr_schedule")["table_f64"] if row[0] == schedule]
    for base in sorted({row[1] for row in rows}):
        found = rates(base, **settings)
        for _, _, iteration, expected in (row for row in rows if row[1] == base):
            assert found[int(iteration)] == pytest.approx(expected, rel=1e-9)


def test_multipliers_of_every_parameter():
    for name, lr_mult, decay_mult in listing("optim_groups_daformer_mitb5"):
        assert multipliers(name, PUBLISHED_KEYS) == (float(lr_mult), float(decay_mult)), name


def test_few_groups_and_no_frozen_parameters():
    model = torch.nn.ModuleDict(
        dict(decode_head=torch.nn.Linear(2, 2), norm1=torch.nn.LayerNorm(2), teacher=torch.nn.Linear(2, 2))
    )
    model["teacher"].requires_grad_(False)
    wrapper = GroupedOptimWrapperConstructor(
        dict(type="SegmentationOptimWrapper", optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.01)),
        dict(custom_keys=PUBLISHED_KEYS),
    )(model)
    groups = wrapper.optimizer.param_groups
    assert [(g["lr"], g["weight_decay"], len(g["params"])) for g in groups] == [
        (1e-3, 0.01, 2),
        (1e-4, 0.0, 2),
    ]


class ResidualNetwork(torch.nn.Module):
    """Layers as a CNN names them, with a head as a segmentor does."""

    def __init__(self):
        super().__init__()
        self.backbone = torch.nn.ModuleDict(
            dict(conv1=torch.nn.Conv2d(3, 2, 1), bn1=torch.nn.BatchNorm2d(2), gn1=torch.nn.GroupNorm(1, 2))
        )
        self.decode_head = torch.nn.ModuleDict(dict(bn=torch.nn.BatchNorm2d(2)))


def decays(**paramwise_cfg):
    """Name of each parameter -> its weight decay and rate."""
    model = ResidualNetwork()
    wrapper = GroupedOptimWrapperConstructor(
        dict(type="SegmentationOptimWrapper", optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.01)),
        paramwise_cfg,
    )(model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group["weight_decay"], group["lr"])
        for group in wrapper.optimizer.param_groups
        for parameter in group["params"]
    }


def test_norms_decay_by_the_type_of_the_layer(monkeypatch):
    logged = []
    monkeypatch.setattr("mmseg.engine.optimizer_constructor.print_log", lambda text, *_: logged.append(text))
    found = decays(custom_keys=PUBLISHED_KEYS)
    assert found["backbone.bn1.weight"] == (0.01, 1e-4), "the published rule goes by names"
    assert len(logged) == 1 and "4 parameters" in logged[0] and "backbone.bn1.weight" in logged[0]
    found = decays(custom_keys=PUBLISHED_KEYS, norm_decay_mult=0.0)
    assert {name for name, (decay, _) in found.items() if decay == 0} == {
        f"backbone.{layer}.{kind}" for layer in ("bn1", "gn1") for kind in ("weight", "bias")
    }
    assert found["decode_head.bn.weight"] == (0.01, 1e-3), "a key that names it goes before"
    assert found["backbone.conv1.bias"] == (0.01, 1e-4)
    assert len(logged) == 1
    with pytest.raises(ConfigError, match="norm_decay_mult='0'; expected a number"):
        decays(norm_decay_mult="0")


def test_the_quickstart_from_imagenet_weights_has_no_decay_on_norms():
    """By the type of the layer; the names of this encoder's norms say the same."""
    cfg = load_config(ROOT / "configs/quickstart/pretrained_source_only.py", {"model.pretrained": None})
    model = MODELS.build(cfg.model)
    wrapper = dict(type="SegmentationOptimWrapper", optimizer=cfg.optim_wrapper.optimizer)
    by_name = dict(custom_keys=dict(**cfg.optim_wrapper.paramwise_cfg.custom_keys, bn=dict(decay_mult=0.0)))
    groups = [
        {
            (group["lr"], group["weight_decay"], id(parameter))
            for group in GroupedOptimWrapperConstructor(wrapper, keys)(model).optimizer.param_groups
            for parameter in group["params"]
        }
        for keys in (cfg.optim_wrapper.paramwise_cfg, by_name)
    ]
    assert groups[0] == groups[1]
    norms = [layer for layer in model.backbone.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert sum(decay == 0 for _, decay, _ in groups[0]) == 2 * len(norms) > 90


def test_misspelt_settings_are_refused():
    with pytest.raises(ConfigError, match="custom_key"):
        GroupedOptimWrapperConstructor(
            dict(type="SegmentationOptimWrapper", optimizer=dict(type="SGD", lr=1)), dict(custom_key={})
        )
    with pytest.raises(ConfigError, match="optim_wrapper has no 'optimizer'"):
        GroupedOptimWrapperConstructor(dict(type="SegmentationOptimWrapper"))(torch.nn.Linear(1, 1))


def test_learning_rates_of_clan():
    """A warm-up of the base rate, then a decay that began with the run."""
    golden = load("alignment/loss_clan")
    settings = dict(power=0.9, warmup_iters=5000, warmup_ratio=0.0, decay_in_warmup=False, end=100_000)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.5e-4)
    scheduler = PolyWarmupLR(optimizer, **settings)
    for iteration, (rate, *_) in zip(golden["schedule_iterations"], golden["schedule_values"], strict=True):
        scheduler.last_step = int(iteration)
        assert scheduler._get_value() == [pytest.approx(rate, rel=1e-12)]


def test_rates_of_bdl():
    """Biases learn at twice the rate; all rates are divided by ten after each 50 000 iterations."""
    cfg = Config.fromfile(SCHEDULES / "adam_bdl.py")
    settings = dict(cfg.optim_wrapper)
    build = OPTIM_WRAPPER_CONSTRUCTORS.get(settings.pop("constructor"))(
        settings, settings.pop("paramwise_cfg")
    )
    optimizer = build(torch.nn.Conv2d(1, 1, 1)).optimizer
    assert isinstance(optimizer, torch.optim.Adam) and optimizer.defaults["betas"] == (0.9, 0.99)
    assert [group["lr"] for group in optimizer.param_groups] == [1e-5, 2e-5]
    scheduler = PARAM_SCHEDULERS.build(dict(cfg.param_scheduler[0], optimizer=optimizer))
    for step, rate in ((49_999, 1e-5), (50_000, 1e-6), (99_999, 1e-6), (100_000, 1e-7)):
        scheduler.last_step = step - 1
        scheduler.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate)


class Stage(torch.nn.Module):
    """Names of an encoder of that time: a stem, a block and its downsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = torch.nn.Module()
        self.backbone.conv1 = torch.nn.Linear(1, 1, bias=False)
        self.backbone.layer1 = torch.nn.Sequential(torch.nn.Module())
        self.backbone.layer1[0].conv1 = torch.nn.Linear(1, 1, bias=False)
        self.backbone.layer1[0].downsample = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False))
        self.decode_head = torch.nn.Linear(1, 1, bias=False)


TIMES = {"conv1": 1, "layer1.0.conv1": 3, "layer1.0.downsample.0": 4, "decode_head": 1}


def stepped(kind: str, duplicated: str | None, steps: int = 1, decay: float = 5e-4) -> dict[str, float]:
    """Weights, 2 before, after steps with the gradient 0.1."""
    model = Stage()
    settings = dict(type="SegmentationOptimWrapper")
    settings["optimizer"] = dict(type=kind, lr=0.01, momentum=0.9, weight_decay=decay)
    wrapper = GroupedOptimWrapperConstructor(settings, dict(published_duplicate_parameters=duplicated))(model)
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 2.0)
    for _ in range(steps):
        wrapper.begin_iteration()
        wrapper.backward(0.1 * sum(parameter.sum() for parameter in model.parameters()))
        wrapper.end_iteration()
    names = [name.removesuffix(".weight").removeprefix("backbone.") for name in model.state_dict()]
    return dict(zip(names, (parameter.item() for parameter in model.parameters()), strict=True))


def test_an_encoder_that_is_listed_several_times_learns_faster():
    once = stepped("SGD", None)["conv1"] - 2
    for kind, factors in (("SGD", {1: 1, 3: 3.0, 4: 4.0}), ("LegacySGD", {1: 1, 3: 5.610, 4: 9.049})):
        found = stepped(kind, "backbone.")
        for name, times in TIMES.items():
            assert (found[name] - 2) / once == pytest.approx(factors[times], rel=0.03), (kind, name)
    exact = stepped("LegacySGD", "backbone.", decay=0.0)
    assert (exact["layer1.0.conv1"] - 2) / (-0.001) == pytest.approx(1 + 1.9 + 2.71, rel=1e-4)


def test_legacy_sgd_equals_todays_for_parameters_that_are_listed_once():
    assert stepped("LegacySGD", None, steps=5) == pytest.approx(stepped("SGD", None, steps=5), rel=1e-6)


def test_a_prefix_of_no_parameter_is_refused():
    with pytest.raises(
        ConfigError, match=r"'encoder\.' begins the name of no parameter.*backbone\.conv1\.weight"
    ):
        stepped("SGD", "encoder.")


def test_the_momentum_of_parameters_that_are_listed_several_times_is_restored(tmp_path):
    model, settings = Stage(), dict(type="SegmentationOptimWrapper")
    settings["optimizer"] = dict(type="LegacySGD", lr=0.01, momentum=0.9)
    build = GroupedOptimWrapperConstructor(settings, dict(published_duplicate_parameters="backbone."))
    found = []
    for resumed in (False, True):
        for parameter in model.parameters():
            torch.nn.init.constant_(parameter, 2.0)
        wrapper = build(model)
        for step in range(4):
            if resumed and step == 2:
                state = wrapper.state_dict()
                wrapper = build(model)
                wrapper.load_state_dict(state)
            wrapper.begin_iteration()
            wrapper.backward(sum(parameter.square().sum() for parameter in model.parameters()))
            wrapper.end_iteration()
        found.append([parameter.item() for parameter in model.parameters()])
    assert found[0] == found[1] and len(set(found[0])) == 3
