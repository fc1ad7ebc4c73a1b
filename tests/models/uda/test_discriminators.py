"""The discriminators of AdaptSegNet, ADVENT, CLAN and CyCADA's ADDA against the published ones."""

import numpy as np
import pytest
import torch
from golden_data import gen, listing, load
from networks import assert_values
from torch import Tensor, nn

from mmseg.models.uda.parts.discriminator import FCDiscriminator
from mmseg.models.uda.parts.pixel_discriminator import PixelDiscriminator

LAYERS = ["conv1", "conv2", "conv3", "conv4", "classifier"]
OF_POSITIONS = {"score": (19, 512, 2), "feat": (4096, 1024, 2), "score_ls": (19, 512, 1)}


def published(network: str, name: str) -> str:
    """ADVENT numbers the layers, activations included; AdaptSegNet and CLAN name them as we do."""
    layer, entry = name.split(".")
    return f"{2 * LAYERS.index(layer)}.{entry}" if network == "advent" else name


def filled(discriminator: nn.Module, network: str = "") -> tuple[nn.Module, dict[str, Tensor]]:
    """The discriminator with the stored weights, in double precision, and published name -> parameter."""
    rename = published if network else lambda _, name: name
    gen.fill({rename(network, name): x for name, x in discriminator.state_dict().items()}, "")
    discriminator.double()
    return discriminator, {rename(network, name): x for name, x in discriminator.named_parameters()}


def assert_digest_of(found: Tensor, stored: np.ndarray) -> None:
    """Norm, and projection relative to it, as far as the rounding of the stored inputs allows."""
    digest, scale = gen.digest(found.numpy()), stored[1] ** 0.5
    assert digest[1] ** 0.5 == pytest.approx(scale, rel=1e-6)
    assert digest[2] / scale == pytest.approx(stored[2] / scale, rel=0, abs=1e-6)


@pytest.mark.parametrize(
    ("network", "keys"), [("adaptseg", "fcdiscriminator"), ("advent", "fc_discriminator")]
)
@pytest.mark.parametrize("image", [0, 1])
def test_patches_are_scored_as_published(network, keys, image):
    golden = load("alignment/discriminators")
    discriminator, parameters = filled(FCDiscriminator(19), network)
    stored = listing(f"alignment/statedict_{network}_{keys}")
    shapes = {name: "x".join(map(str, x.shape)) for name, x in parameters.items()}
    assert {name: shape for name, shape, _ in stored} == shapes
    scores = gen.feats(41, [(2, 19, 65, 97), (1, 19, 64, 128)])[image]
    probability = torch.from_numpy(scores).mul(3).softmax(dim=1).double().detach().requires_grad_()
    found = discriminator(probability)
    assert_values(found.detach(), golden[f"{network}_out{image}"], rtol=0, atol=1e-7)
    of_input, *gradients = torch.autograd.grad(found.square().mean(), [probability, *parameters.values()])
    assert_digest_of(of_input, golden[f"{network}_out{image}_input_grad_digest"])
    digests = golden[f"{network}_out{image}_grad_digest"]
    expected = dict(zip(golden[f"{network}_out{image}_grad_names"].tolist(), digests, strict=True))
    assert expected.keys() == parameters.keys()
    for name, gradient in zip(parameters, gradients, strict=True):
        assert_digest_of(gradient, expected[name])


@pytest.mark.parametrize("case", OF_POSITIONS)
def test_positions_are_scored_as_published(case):
    discriminator, parameters = filled(PixelDiscriminator(*OF_POSITIONS[case]))
    stored = listing(f"alignment/statedict_cycada_{case}_discriminator")
    shapes = {name: "x".join(map(str, x.shape)) for name, x in parameters.items()}
    assert {name: shape for name, shape, _ in stored} == shapes
    (features,) = gen.feats(42, [(2, OF_POSITIONS[case][0], 9, 13)])
    with torch.no_grad():
        found = discriminator.eval()(torch.from_numpy(features).double())
    assert_values(found, load("alignment/discriminators")[f"cycada_{case}_out"], rtol=1e-6, atol=1e-6)
