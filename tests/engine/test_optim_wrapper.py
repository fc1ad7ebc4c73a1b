"""Precision, accumulation, clipping and skipped steps of an optimizer's step."""

import copy
import math

import pytest
import torch
from torch import nn

from mmseg import registry
from mmseg.engine import GroupedOptimWrapperConstructor, SegmentationOptimWrapper
from mmseg.errors import ConfigError


def linear(device="cpu", **settings):
    torch.manual_seed(0)
    model = nn.Linear(3, 2).to(device)
    return model, SegmentationOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), **settings)


def loss_of(model, rows):
    torch.manual_seed(1)
    inputs = torch.randn(4, 3).to(model.weight.device)
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
def test_clipping_limits_the_norm(limit, clipped, device):
    free, wrapper = linear(device)
    wrapper.update_params(loss_of(free, slice(0, 4)))
    norm = torch.nn.utils.get_total_norm([p.grad for p in free.parameters()])
    model, wrapper = linear(device, clip_grad=dict(max_norm=limit))
    start = [p.detach().clone() for p in model.parameters()]
    wrapper.update_params(loss_of(model, slice(0, 4)))
    steps = [(old - new) / 0.1 for old, new in zip(start, model.parameters(), strict=True)]
    found = torch.nn.utils.get_total_norm([step.detach() for step in steps])
    torch.testing.assert_close(
        found.cpu(), torch.tensor(limit) if clipped else norm.cpu(), rtol=1e-3, atol=1e-5
    )


def test_bf16_covers_the_forward_pass_only(device):
    model, wrapper = linear(device, precision="bf16")
    with wrapper.optim_context(model):
        output = model(torch.randn(4, 3, device=device))
    assert output.dtype == torch.bfloat16
    wrapper.update_params(output.float().square().mean())
    assert model.weight.dtype == model.weight.grad.dtype == torch.float32
    with wrapper.optim_context(model), torch.autocast(device, enabled=False):
        assert model(torch.randn(4, 3, device=device)).dtype == torch.float32


class InfiniteGradient(torch.autograd.Function):
    """The identity, whose gradient is infinite."""

    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float("inf")


def infinite_loss(loss):
    """An infinite loss with a finite gradient."""
    return loss + float("inf")


SPOILT = [InfiniteGradient.apply, infinite_loss, lambda loss: loss * float("nan")]
OPTIMIZERS = [
    dict(type="AdamW", weight_decay=0.1), dict(type="SGD", momentum=0.9), dict(type="SGD", foreach=False),
]  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILT, ids=["gradient", "loss", "both"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["AdamW", "SGD", "not fused"])
@pytest.mark.parametrize("first", [True, False])
def test_a_step_that_is_not_finite_leaves_no_trace(spoil, optimizer, first, device):
    """Left out: the step after it is the one that would have been made without it."""

    def steps(spoilt):
        torch.manual_seed(0)
        model = nn.Linear(3, 2).to(device)
        settings = dict(type="SegmentationOptimWrapper", optimizer=dict(lr=0.1, **optimizer))
        wrapper = GroupedOptimWrapperConstructor(dict(settings, skip_nonfinite=True))(model)
        norms = []
        for change in spoilt:
            wrapper.update_params(change(loss_of(model, slice(0, 4))))
            norms.append(float(wrapper.grad_norm))
        return model, norms

    def fine(loss):
        return loss

    expected, _ = steps([fine, fine])
    model, norms = steps([spoil, fine, fine] if first else [fine, spoil, fine])
    assert [math.isfinite(norm) for norm in norms] == ([False, True, True] if first else [True, False, True])
    for found, value in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(found, value)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["AdamW", "SGD", "not fused"])
@pytest.mark.parametrize("taken", [[False, True, True], [True, False, True]])
def test_a_step_that_is_not_taken_leaves_no_trace(optimizer, taken, device):
    """Also where steps that are not finite end the run, and whatever the gradients of that step are."""

    def steps(flags):
        torch.manual_seed(0)
        model = nn.Linear(3, 2).to(device)
        settings = dict(type="SegmentationOptimWrapper", optimizer=dict(lr=0.1, **optimizer))
        wrapper, norms = GroupedOptimWrapperConstructor(settings)(model), []
        for flag in flags:
            wrapper.begin_iteration()
            loss = loss_of(model, slice(0, 4))
            wrapper.backward(loss if flag else InfiniteGradient.apply(loss))
            wrapper.step_within_iteration(torch.tensor(flag, device=device))
            norms.append(float(wrapper.grad_norm))
            wrapper.end_iteration()
        return model, wrapper, norms

    expected, reference, _ = steps([True, True])
    model, wrapper, norms = steps(taken)
    assert [norm > 0 for norm in norms] == taken and all(math.isfinite(norm) for norm in norms)
    for found, value in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(found, value)
        state = reference.optimizer.state[value]
        assert all(torch.equal(wrapper.optimizer.state[found][name], state[name]) for name in state)


UNUSABLE = {"LBFGS", "SparseAdam", "Muon", "Optimizer"}  # a closure, sparse gradients, matrices, no optimizer


def every_optimizer() -> list[str]:
    """Names of all optimizers of torch and of this project."""
    known = {**registry.OPTIMIZERS.parent.module_dict, **registry.OPTIMIZERS.module_dict}
    ours = ("torch.optim", "mmseg")
    return sorted(name for name, cls in known.items() if cls.__module__.startswith(ours))


@pytest.mark.parametrize("duplicated", [None, "0."])
@pytest.mark.parametrize("kind", sorted(set(every_optimizer()) - UNUSABLE))
def test_no_optimizer_takes_a_step_that_is_forbidden(kind, duplicated):
    """By a condition that does not hold, and by a loss that is not finite; the next ones are taken again."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    model = nn.Sequential(nn.Sequential(nn.Sequential(layer)))  # listed twice by its prefix
    settings = dict(type="SegmentationOptimWrapper", skip_nonfinite=True)
    settings["optimizer"] = dict(type=kind, lr=0.1)
    build = GroupedOptimWrapperConstructor(settings, dict(published_duplicate_parameters=duplicated))
    wrapper, before = build(model), copy.deepcopy(model.state_dict())
    for factor, taken in ((1.0, False), (math.nan, None), (1.0, False)):
        wrapper.begin_iteration()
        wrapper.backward(factor * loss_of(layer, slice(0, 4)))
        wrapper.step_within_iteration(None if taken is None else torch.tensor(taken))
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for _ in range(2):  # the state of ASGD begins at 0, its rate too: its second step moves
        wrapper.begin_iteration()
        wrapper.backward(loss_of(layer, slice(0, 4)))
        wrapper.step_within_iteration(torch.tensor(True))
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    assert not torch.equal(layer.weight, before["0.0.0.weight"])


@pytest.mark.parametrize("option", ["fused", "foreach", "nesterov", "dampening", "maximize"])
def test_legacy_sgd_refuses_what_it_does_not_do(option):
    with pytest.raises(
        ConfigError, match=f"LegacySGD has no argument '{option}'; known: decay_in_gradient, lr, momentum"
    ):
        registry.OPTIMIZERS.build(dict(type="LegacySGD", params=[nn.Parameter(torch.ones(1))], **{option: 1}))


@pytest.mark.parametrize("fused", [True, False])
def test_steps_with_a_loss_scale_depend_on_the_same_flags(fused):
    """Finite or not says the scale; taken or not it does not."""
    model = nn.Linear(3, 2)
    wrapper = SegmentationOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=fused))
    wrapper.scaler, wrapper.leaves_out_nonfinite = torch.amp.GradScaler("cpu"), True  # as fp16 does on a GPU
    found, factors, flags = [], (float("inf"), 1.0, 1.0, 1.0), (None, None, False, True)
    for factor, flag in zip(factors, flags, strict=True):
        before = model.weight.detach().clone()
        wrapper.begin_iteration()
        wrapper.backward(loss_of(model, slice(0, 4)) * factor)
        wrapper.step_within_iteration(None if flag is None else torch.tensor(flag))
        wrapper.end_iteration()
        found.append((not torch.equal(model.weight, before), wrapper.scaler.get_scale()))
    assert found == [(False, 2**15), (True, 2**15), (False, 2**15), (True, 2**15)]


def test_a_later_step_of_the_iteration_is_not_judged_by_one_that_is_not_taken():
    model, wrapper = linear()
    before = model.weight.detach().clone()
    wrapper.begin_iteration()
    wrapper.backward(infinite_loss(loss_of(model, slice(0, 4))))
    wrapper.step_within_iteration(torch.tensor(False))
    assert torch.equal(model.weight, before) and model.weight.grad is None
    wrapper.backward(loss_of(model, slice(0, 4)))
    wrapper.end_iteration()
    assert not torch.equal(model.weight, before) and math.isfinite(wrapper.grad_norm)


@pytest.mark.parametrize("zeros", [True, False])
def test_what_moves_without_a_gradient(zeros):
    """As PyTorch before 2.0: by momentum and weight decay, in steps of other losses."""
    one, two = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.ones_(one.weight), nn.init.ones_(two.weight)
    optimizer = torch.optim.SGD([one.weight, two.weight], lr=0.1, momentum=0.5, weight_decay=0.1)
    wrapper = SegmentationOptimWrapper(optimizer, published_zero_gradients=zeros)
    for network in (one, two):  # gradients of 1
        wrapper.begin_iteration()
        wrapper.backward(network(torch.ones(1, 1)).sum())
        wrapper.step_within_iteration()
        wrapper.end_iteration()  # no losses since the last step: none is made
    first = 1 - 0.1 * 1.1
    expected = first - 0.1 * (0.5 * 1.1 + 0.1 * first) if zeros else first
    assert one.weight.item() == pytest.approx(expected)
    assert two.weight.item() == pytest.approx(first)


def test_running_statistics_of_a_step_that_is_left_out_are_put_back(device):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).to(device)
    settings = dict(type="SegmentationOptimWrapper", optimizer=dict(type="SGD", lr=0.1), skip_nonfinite=True)
    wrapper = GroupedOptimWrapperConstructor(settings)(model)
    images = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)).to(device)

    def step():
        with wrapper.optim_context(model):
            loss = model(images).square().mean()
        wrapper.update_params(loss)

    step()
    before = {name: value.clone() for name, value in model.state_dict().items() if "num_" not in name}
    images[0, 0] = math.inf
    step()
    assert not torch.isfinite(wrapper.grad_norm)
    for name, value in before.items():
        assert torch.equal(model.state_dict()[name], value), name
    images[0, 0] = 0
    step()
    assert not torch.equal(model[1].running_mean, before["1.running_mean"])


@pytest.mark.parametrize("spoil", SPOILT, ids=["gradient", "loss", "both"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["AdamW", "SGD", "not fused"])
def test_weights_stay_finite_until_the_run_ends(spoil, optimizer, device):
    torch.manual_seed(0)
    model = nn.Linear(3, 2).to(device)
    settings = dict(type="SegmentationOptimWrapper", optimizer=dict(lr=0.1, **optimizer))
    wrapper = GroupedOptimWrapperConstructor(dict(settings, clip_grad=dict(max_norm=1.0)))(model)
    for change in (spoil, lambda loss: loss, spoil):
        wrapper.update_params(change(loss_of(model, slice(0, 4))))
        assert all(torch.isfinite(value).all() for value in model.parameters())
    assert not torch.isfinite(wrapper.grad_norm)


@pytest.mark.parametrize("limit", [None, 0.01])
def test_loss_scaling_skips_an_overflow_and_is_otherwise_invisible(limit, device):
    clip = dict(clip_grad=dict(max_norm=limit)) if limit else {}
    plain, wrapper = linear(device, **clip)
    wrapper.update_params(loss_of(plain, slice(0, 4)))
    norm = wrapper.grad_norm
    model, wrapper = linear(device, **clip)
    wrapper.scaler = torch.amp.GradScaler(device, init_scale=1024.0)
    before = model.weight.clone()
    wrapper.update_params(InfiniteGradient.apply(loss_of(model, slice(0, 4))))
    assert torch.equal(model.weight, before) and wrapper.scaler.get_scale() == 512
    wrapper.update_params(loss_of(model, slice(0, 4)))
    torch.testing.assert_close(model.weight, plain.weight)
    torch.testing.assert_close(wrapper.grad_norm, norm)


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(clip_grad=dict(type="value", clip_value=1.0)), "clip_grad=.*; expected dict\\(max_norm=1.0\\)"),
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
