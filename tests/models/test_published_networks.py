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
    x: tuple[int, int] = (97, 129)
    second: tuple[int, int] = (100, 132)
    second_name: str = "even_eval"


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
    Case("deeplabv2_adaptsegnet_vgg16", "adaptseg_deeplab_vgg", "adaptseg_deeplab_vgg", {"main": "out"},
         (29_573_004, 29_573_004), 3e-6),
    Case("fcn8s_vgg16", "cycada_fcn8s", "cycada_fcn8s", {"main": "score", "fc7": "fc7"},
         (134_353_017, 134_353_017), 3e-6, rgb, second=(64, 96)),
    Case("segnet_vgg16", "segnet_vgg16bn", "segnet_vgg16bn", {"main": "out"}, (29_453_971, 29_453_971), 5e-5,
         x=(96, 128), second=(97, 129), second_name="odd_train"),
]  # fmt: skip
IDS = [case.config for case in CASES]


def filled(case: Case) -> tuple[nn.Module, dict[str, str]]:
    """The network with the weights of its stored numbers, and published name -> own name.

    Kernels keep the values they have; statistics for testing are not in the files of SegNet.
    """
    network = MODELS.build(model_config(case.config))
    kept = ("upscore2.w", "upscore_pool4.w", "upscore8.w", "upscore2.weight", "upscore_pool4.weight",
            "upscore8.weight") if "fcn8s" in case.config else ("running_mean", "running_var")  # fmt: skip
    listed = f"alignment/statedict_net_{case.listed}"
    return filled_from_listing(network, listed, kept if "r101" not in case.config else ())


def maps(network: nn.Module, features: Any) -> dict[str, Tensor]:
    """Logits of every head at its own stride, and the last features."""
    heads = network._heads()
    logits = {name: head(features) for name, (_, head) in zip(network.output_names, heads, strict=True)}
    return logits | {"fc7": features[-1]}


def assert_maps(
    found: dict[str, Tensor], case: Case, stored: dict[str, np.ndarray], prefix: str, rtol: float
) -> None:
    for name, published in case.outputs.items():
        whole = f"{prefix}_{published}" in stored
        expected = stored[f"{prefix}_{published}{'' if whole else '_s4'}"]
        value = host(found[name] if whole else found[name][..., ::4, ::4])
        np.testing.assert_allclose(value, expected, rtol=0, atol=rtol * np.abs(expected).max())


def assert_digests(found: list[np.ndarray], stored: np.ndarray, rtol: float) -> None:
    """Norm, and projection relative to the norm; not of what is 0 but for rounding."""
    exists = norm(stored) > 1e-12
    found_digests, stored = np.stack(found)[exists], stored[exists]
    np.testing.assert_allclose(norm(found_digests), norm(stored), rtol=rtol)
    projections = found_digests[:, 2] / norm(stored), stored[:, 2] / norm(stored)
    np.testing.assert_allclose(*projections, rtol=0, atol=10 * rtol)


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
    image = case.image(32, (1, 3, *case.second))
    with torch.no_grad():
        network.train(case.second_name.endswith("train"))
        found = maps(network, network.extract_feat(image))
    assert_maps(found, case, stored, case.second_name, case.tolerance)


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.config, marks=[pytest.mark.slow] * (index > 0))
             for index, case in enumerate(CASES)],
)  # fmt: skip
def test_double_precision_forward_and_backward(case: Case) -> None:
    network, names = filled(case)
    network = network.double()
    stored = load(f"alignment/net_{case.stored}")
    image = case.image(31, (2, 3, *case.x)).double()
    with torch.no_grad():
        found = maps(network.eval(), network.extract_feat(image))
        if case.second_name.endswith("eval"):
            assert_maps(found, case, stored, "x_eval", 1e-6)
        assert network.predict(image).dtype == torch.float64
    found = maps(train_without_randomness(network), network.extract_feat(image))
    assert_maps(found, case, stored, "x_train", 1e-6)
    loss = sum(found[name].square().mean() for name in case.outputs)
    assert float(loss.detach()) == pytest.approx(float(stored["train_loss_f64"]), rel=1e-9)
    loss.backward()
    parameters, buffers = dict(network.named_parameters()), dict(network.named_buffers())
    gradients = {key: parameters[names[key]].grad for key in stored["grad_names"].tolist()}
    assert_digests([gen.digest(host(g)) for g in gradients.values()], stored["grad_digest"], 1e-9)
    if "trainable_names" not in stored:
        return
    trained = {key for key, own in names.items() if own in parameters and parameters[own].requires_grad}
    assert trained == set(stored["trainable_names"].tolist())
    with_gradient = {key for key in trained if parameters[names[key]].grad is not None}
    assert with_gradient == set(gradients)
    if "bn_names" not in stored:
        return
    statistics = [gen.digest(host(buffers[names[key]])) for key in stored["bn_names"].tolist()]
    assert_digests(statistics, stored["bn_digest"], 1e-9)
