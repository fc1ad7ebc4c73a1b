"""Precision, accumulation, clipping and skipped steps of an optimizer's step."""

import pytest
import torch
from torch import nn

from mmseg.engine import SegmentationOptimWrapper
from mmseg.errors import ConfigError


def linear(**settings):
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    return model, SegmentationOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), **settings)


def loss_of(model, rows):
    torch.manual_seed(1)
    inputs = torch.randn(4, 3)
    return model(inputs[rows]).square().mean()


def test_accumulated_iterations_equal_one_large_batch():
    whole, wrapper = linear()
    wrapper.update_params(loss_of(whole, slice(0, 4)))
    parts, wrapper = linear(accumulative_counts=2)
    before = parts.weight.clone()
    wrapper.update_params(loss_of(parts, slice(0, 2)))
    assert torch.equal(parts.weight, before), "no step before all parts are there"
    wrapper.update_params(loss_of(parts, slice(2, 4)))
    torch.testing.assert_close(parts.weight, whole.weight)
    torch.testing.assert_close(parts.bias, whole.bias)


def test_iterations_of_several_losses_and_the_number_of_steps():
    model, wrapper = linear(accumulative_counts=3)
    begins = []
    for _ in range(7):
        begins.append(wrapper.begin_iteration())
        wrapper.backward(loss_of(model, slice(0, 2)))
        wrapper.backward(loss_of(model, slice(2, 4)))
        wrapper.end_iteration()
    assert begins == [0, None, None, 1, None, None, 2]


def test_gradients_of_several_losses_add_up():
    one, wrapper = linear()
    wrapper.update_params(loss_of(one, slice(0, 2)) + loss_of(one, slice(2, 4)))
    two, wrapper = linear()
    wrapper.begin_iteration()
    wrapper.backward(loss_of(two, slice(0, 2)))
    wrapper.backward(loss_of(two, slice(2, 4)))
    wrapper.end_iteration()
    torch.testing.assert_close(two.weight, one.weight)


@pytest.mark.parametrize("limit, clipped", [(0.01, True), (100.0, False)])
def test_clipping_limits_the_norm(limit, clipped):
    free, wrapper = linear()
    wrapper.update_params(loss_of(free, slice(0, 4)))
    norm = torch.nn.utils.get_total_norm([p.grad for p in free.parameters()])
    model, wrapper = linear(clip_grad=dict(max_norm=limit))
    start = [p.detach().clone() for p in model.parameters()]
    wrapper.update_params(loss_of(model, slice(0, 4)))
    steps = [(old - new) / 0.1 for old, new in zip(start, model.parameters(), strict=True)]
    found = torch.nn.utils.get_total_norm([step.detach() for step in steps])
    torch.testing.assert_close(found, torch.tensor(limit) if clipped else norm, rtol=1e-3, atol=1e-5)


def test_bf16_covers_the_forward_pass_only():
    model, wrapper = linear(precision="bf16")
    with wrapper.optim_context(model):
        output = model(torch.randn(4, 3))
    assert output.dtype == torch.bfloat16
    wrapper.update_params(output.float().square().mean())
    assert model.weight.dtype == model.weight.grad.dtype == torch.float32
    with wrapper.optim_context(model), torch.autocast("cpu", enabled=False):
        assert model(torch.randn(4, 3)).dtype == torch.float32


def test_a_step_that_is_not_finite_is_left_out():
    model, wrapper = linear(skip_nonfinite=True)
    before = model.weight.clone()
    wrapper.update_params(loss_of(model, slice(0, 4)) * float("nan"))
    assert torch.equal(model.weight, before) and wrapper.skipped_steps == 1
    wrapper.update_params(loss_of(model, slice(0, 4)))
    assert not torch.equal(model.weight, before)


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(precision="half"), "precision='half' is unknown; expected one of fp32, bf16, fp16"),
        pytest.param(
            dict(precision="fp16"), "fp16.*needs a GPU; take 'bf16'",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="allowed on a GPU"),
        ),
    ],
)  # fmt: skip
def test_impossible_precisions_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        linear(**settings)
