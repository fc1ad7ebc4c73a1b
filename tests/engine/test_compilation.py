"""Compiled encoders: the same step, the same names."""

import copy
from types import SimpleNamespace

import pytest
import torch
from uda_steps import HRDA, NO_AUGMENTATION, batch, optim_wrapper

from mmseg.engine.runner import SegmentationRunner, compile_encoders
from mmseg.engine.train_loop import MAX_COMPILED, SafeTrainLoop
from mmseg.models.uda import DACS


@pytest.fixture(autouse=True)
def limit():
    """As a training sets it, with nothing compiled before."""
    torch._dynamo.reset()
    with torch._dynamo.config.patch(recompile_limit=MAX_COMPILED):
        yield


def method(device: str = "cpu") -> DACS:
    torch.manual_seed(0)
    made = DACS(copy.deepcopy(HRDA), **NO_AUGMENTATION, imnet_feature_dist_lambda=0.005)
    return made.to(device).train()


def step(method: DACS) -> tuple[dict[str, float], torch.Tensor]:
    """Log of a step and all gradients of the student."""
    torch.manual_seed(1)
    log = method.train_step(batch(0), optim_wrapper(method, type="SGD", lr=0.0))
    gradients = [p.grad.flatten() for p in method.model.parameters() if p.grad is not None]
    return {name: float(value) for name, value in log.items() if name != "pictures"}, torch.cat(gradients)


@pytest.mark.parametrize(
    ("backend", "device"),
    [
        ("eager", "cpu"),
        pytest.param("inductor", "cpu", marks=pytest.mark.slow),
        pytest.param("inductor", "cuda", marks=pytest.mark.gpu),
    ],
)
def test_a_compiled_step_equals_the_eager_one(backend, device):
    eager = method(device)
    compiled = copy.deepcopy(eager)
    compile_encoders(compiled, backend=backend)
    assert list(compiled.state_dict()) == list(eager.state_dict())
    torch._dynamo.utils.counters.clear()
    log, gradients = step(compiled)
    expected_log, expected_gradients = step(eager)
    assert log == pytest.approx(expected_log, rel=1e-4)
    torch.testing.assert_close(gradients.norm(), expected_gradients.norm(), rtol=1e-3, atol=0)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-2, atol=1e-4)
    assert not torch._dynamo.utils.counters["graph_break"]
    networks = 3  # student, teacher, ImageNet branch; four stages, attention and Mix-FFN each, by shape
    assert 0 < torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 2 * 4 * (networks + 1)


def test_evaluations_run_without_compiled_code():
    model = method()
    meta = dict(img_shape=(128, 128), ori_shape=(128, 128), img_path="a.png")
    data = dict(img=batch(0)["img"][:1], img_metas=[meta])
    runner = SimpleNamespace(
        cfg=dict(compile=dict(backend="eager")),
        model=model,
        call_hook=lambda *_: None,
        val_loop=SimpleNamespace(run=lambda: model.eval().val_step(data)),
    )
    SegmentationRunner._maybe_compile(runner, "train_step")
    graphs = torch._dynamo.utils.counters["stats"]
    graphs.clear()
    loop = SafeTrainLoop.__new__(SafeTrainLoop)
    loop._runner = runner
    loop._evaluate()
    assert not graphs["unique_graphs"] and model.training
    with torch.no_grad():
        model.model.extract_feat(batch(0)["img"])
    assert graphs["unique_graphs"]


@pytest.mark.parametrize(("option", "compiled"), [({}, False), (dict(compile=dict(backend="eager")), True)])
def test_the_config_switches_it_on(option, compiled):
    runner = SimpleNamespace(cfg=option, model=method())
    SegmentationRunner._maybe_compile(runner, "train_step")
    for name in ("model", "ema_model", "imnet_model"):
        layer = getattr(runner.model, name).backbone.block1[0].mlp
        assert (layer._compiled_call_impl is not None) == compiled
