"""Steps of every method on a GPU: nobody waits, memory does not grow, half precision stays close."""

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from test_uda_decorator import METHODS, method_named
from uda_steps import tiny_batch, wrappers

from mmseg.engine.optim_wrapper import PRECISIONS
from mmseg.models.uda import UDADecorator

pytestmark = pytest.mark.gpu
WARM_UP, STEPS = 3, 8
"""So many that jitter and blur are drawn in some, and left out in others."""


@contextmanager
def nobody_waits() -> Iterator[None]:
    """Whatever has the host wait for the GPU is an error."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def on_gpu(name: str, precision: str = "fp32") -> tuple[UDADecorator, OptimWrapper, dict[str, torch.Tensor]]:
    """A small method with its optimizers and a batch as the data loader hands it over."""
    method = method_named(name).cuda()
    wrapper = wrappers(method)
    for each in wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]:
        each.dtype = PRECISIONS[precision]
        if precision == "fp16":
            each.scaler, each.leaves_out_nonfinite = torch.amp.GradScaler("cuda"), True
    return method, wrapper, {key: value.pin_memory() for key, value in tiny_batch().items()}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", METHODS)
def test_a_step_waits_for_nothing_and_keeps_nothing(name, precision):
    method, wrapper, data = on_gpu(name, precision)
    for _ in range(WARM_UP):
        method.train_step(data, wrapper)
    held = []
    for _ in range(STEPS):
        with nobody_waits():
            method.train_step(data, wrapper)
        gc.collect()
        held.append(torch.cuda.memory_allocated())
    assert max(held[1:]) <= held[0]
    assert all(torch.isfinite(parameter).all() for parameter in method.parameters())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", METHODS)
def test_half_precision_stays_close(name, precision):
    """The first step, before pseudo-labels of other roundings make it another one."""
    logs = []
    for each in ("fp32", precision):
        method, wrapper, data = on_gpu(name, each)
        log = method.train_step(data, wrapper)
        logs.append({key: float(value) for key, value in log.items() if "loss" in key})
    expected, found = logs
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert math.isfinite(found[key]) and found[key] == pytest.approx(value, rel=0.05, abs=0.01), key


def test_an_overflow_in_float16_is_left_out_and_the_scale_falls():
    method, wrapper, data = on_gpu("source-only", "fp16")
    method.train_step(data, wrapper)
    before = {name: parameter.detach().clone() for name, parameter in method.named_parameters()}
    scale = wrapper.scaler.get_scale()
    wrapper.scaler.update(1e30)  # every gradient overflows
    with nobody_waits():
        method.train_step(data, wrapper)
    assert not torch.isfinite(wrapper.grad_norm)
    assert wrapper.scaler.get_scale() < 1e30
    assert all(torch.equal(parameter, before[name]) for name, parameter in method.named_parameters())
    wrapper.scaler.update(scale)
    method.train_step(data, wrapper)
    assert torch.isfinite(wrapper.grad_norm)


def test_groups_are_freed_one_after_the_other():
    """Two groups of the same network take no more memory at once than the larger one, and the labels."""
    peaks = {}
    for name in ("source-only", "DACS"):
        method, wrapper, data = on_gpu(name)
        for _ in range(WARM_UP):
            method.train_step(data, wrapper)
        torch.cuda.synchronize()
        held = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        method.train_step(data, wrapper)
        peaks[name] = torch.cuda.max_memory_allocated() - held
        del method, wrapper
    assert peaks["DACS"] < 1.4 * peaks["source-only"]
