"""Learning rates and parameter groups against stored numbers."""

import pytest
import torch
from golden_data import listing, load

from mmseg.engine.optimizer_constructor import GroupedOptimWrapperConstructor, multipliers
from mmseg.engine.schedules import PolyWarmupLR
from mmseg.errors import ConfigError

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


def test_misspelt_settings_are_refused():
    with pytest.raises(ConfigError, match="custom_key"):
        GroupedOptimWrapperConstructor(
            dict(type="SegmentationOptimWrapper", optimizer=dict(type="SGD", lr=1)), dict(custom_key={})
        )
    with pytest.raises(ConfigError, match="optimizer"):
        GroupedOptimWrapperConstructor(dict(type="SegmentationOptimWrapper"))
