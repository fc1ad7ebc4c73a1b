"""The networks of the alignment methods against stored numbers of the published implementations.

Those were computed in double precision and stored rounded: a ResNet-101 with random weights on a small image
is so ill-conditioned that gradients mean nothing in single precision.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from golden_data import gen, load, norm
from networks import filled_from_listing, host, model_config, train_without_randomness
from torch import Tensor, nn

from mmseg.registry import MODELS

CAFFE_MEAN = torch.tensor([104.00698793, 116.66876762, 122.67891434]).view(1, 3, 1, 1)


def bgr(seed: int, shape: tuple[int, ...]) -> Tensor:
    """Input of the networks whose weights come from Caffe."""
    image = gen.image_u8(seed, shape, 16).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(image[:, ::-1])) - CAFFE_MEAN


def rgb(seed: int, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(gen.image(seed, shape, 16))


class Case(NamedTuple):
    """A network of a base config and where its stored numbers are."""

    config: str
    stored: str
    listed: str
    outputs: dict[str, str]
    parameters: tuple[int, int]
    tolerance: float = 5e-4
    image: Callable[[int, tuple[int, ...]], Tensor] = bgr
    even: tuple[int, int] = (100, 132)


MULTI = {"main": "conv5", "aux": "conv4"}
CASES = [
    Case("deeplabv2_adaptsegnet_r101", "adaptseg_deeplab_multi", "adaptseg_deeplab_multi", MULTI,
         (44_601_560, 44_496_216)),
    Case("deeplabv2_adaptsegnet_single_r101", "adaptseg_deeplab", "adaptseg_deeplab", {"main": "out"},
         (43_901_068, 43_795_724)),
    Case("deeplabv2_advent_r101", "advent_deeplabv2", "adaptseg_deeplab_multi", MULTI,
         (44_601_560, 44_496_216)),
    Case("deeplabv2_clan_r101", "clan_deeplab", "clan_deeplab", {"main": "cls2", "aux": "cls1"},
         (45_301_976, 45_196_632)),
]  # fmt: skip
IDS = [case.config for case in CASES]


def filled(case: Case) -> tuple[nn.Module, dict[str, str]]:
    network = MODELS.build(model_config(case.config))
    return filled_from_listing(network, f"alignment/statedict_net_{case.listed}")


def maps(network: nn.Module, features: Any) -> dict[str, Tensor]:
    """Logits of every head at its own stride."""
    heads = network._heads()
    return {name: head(features) for name, (_, head) in zip(network.output_names, heads, strict=True)}


def assert_maps(
    found: dict[str, Tensor], case: Case, stored: dict[str, np.ndarray], prefix: str, rtol: float
) -> None:
    for name, published in case.outputs.items():
        for ending, step in (("", 1), ("_s4", 4)):
            expected = stored.get(f"{prefix}_{published}{ending}")
            if expected is not None:
                value = host(found[name])[..., ::step, ::step]
                np.testing.assert_allclose(value, expected, rtol=0, atol=rtol * np.abs(expected).max())


def assert_digests(found: list[np.ndarray], stored: np.ndarray, rtol: float) -> None:
    """Norm, and projection relative to the norm."""
    found_digests = np.stack(found)
    np.testing.assert_allclose(norm(found_digests), norm(stored), rtol=rtol)
    scale = np.maximum(norm(stored), 1e-300)
    np.testing.assert_allclose(found_digests[:, 2] / scale, stored[:, 2] / scale, rtol=0, atol=10 * rtol)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_parameters(case: Case) -> None:
    with torch.device("meta"):
        network = MODELS.build(model_config(case.config))
    count = [sum(p.numel() for p in network.parameters() if p.requires_grad or every) for every in (1, 0)]
    assert tuple(count) == case.parameters


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_single_precision(case: Case) -> None:
    network, _ = filled(case)
    stored = load(f"alignment/net_{case.stored}")
    image = case.image(32, (1, 3, *case.even))
    with torch.no_grad():
        found = maps(network.eval(), network.extract_feat(image))
    assert_maps(found, case, stored, "even_eval", case.tolerance)


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.config, marks=[pytest.mark.slow] * (index > 0))
             for index, case in enumerate(CASES)],
)  # fmt: skip
def test_double_precision_forward_and_backward(case: Case) -> None:
    network, names = filled(case)
    network = network.double()
    stored = load(f"alignment/net_{case.stored}")
    image = case.image(31, (2, 3, 97, 129)).double()
    with torch.no_grad():
        found = maps(network.eval(), network.extract_feat(image))
        assert_maps(found, case, stored, "x_eval", 1e-6)
        prediction = network.predict(image)
    assert prediction.dtype == torch.float64
    found = maps(train_without_randomness(network), network.extract_feat(image))
    assert_maps(found, case, stored, "x_train", 1e-6)
    loss = sum(logits.square().mean() for logits in found.values())
    assert float(loss.detach()) == pytest.approx(float(stored["train_loss_f64"]), rel=1e-9)
    loss.backward()
    parameters, buffers = dict(network.named_parameters()), dict(network.named_buffers())
    gradients = {key: parameters[names[key]].grad for key in stored["grad_names"].tolist()}
    assert_digests([gen.digest(host(g)) for g in gradients.values()], stored["grad_digest"], 1e-9)
    trained = {key for key, own in names.items() if own in parameters and parameters[own].requires_grad}
    assert trained == set(stored["trainable_names"].tolist())
    with_gradient = {key for key in trained if parameters[names[key]].grad is not None}
    assert with_gradient == set(gradients)
    statistics = [gen.digest(host(buffers[names[key]])) for key in stored["bn_names"].tolist()]
    assert_digests(statistics, stored["bn_digest"], 1e-9)
