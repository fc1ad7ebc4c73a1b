"""Generators, discriminators, losses, pool and schedule of CycleGAN against the published ones."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_data import gen, load, norm
from networks import assert_digest, assert_values, host
from torch import Tensor, nn

from mmseg.engine.schedules import LinearToZeroLR
from mmseg.errors import ConfigError
from mmseg.models.losses import adversarial_loss
from mmseg.models.translation import ImagePool
from mmseg.registry import MODELS, PARAM_SCHEDULERS

NETWORKS = {
    "g9": dict(type="ResnetGenerator"),
    "g6": dict(type="ResnetGenerator", blocks=6, channels=32),
    "g9_batchnorm": dict(type="ResnetGenerator", channels=16, norm="batch"),
    "unet128": dict(type="UNetGenerator", downs=7, channels=16),
    "d3": dict(type="PatchDiscriminator"),
    "d4": dict(type="PatchDiscriminator", layers=4, channels=16),
    "dpixel": dict(type="ColourDiscriminator"),
    "d3_sigmoid": dict(type="PatchDiscriminator", channels=16),
}
GOLDEN = "domains/cyclegan_networks"


def colours(seed: int, shape: tuple[int, ...]) -> Tensor:
    """Images in [-1, 1]."""
    return torch.from_numpy((gen.image_u8(seed, shape) / 127.5 - 1).astype(np.float32))


X, Y, ODD = colours(31, (1, 3, 64, 96)), colours(32, (1, 3, 64, 96)), colours(33, (1, 3, 50, 70))


def network(name: str) -> nn.Module:
    """With the weights of the stored cases, in training."""
    part = MODELS.build(copy.deepcopy(NETWORKS[name])).train()
    gen.fill(part.state_dict())
    return part


@pytest.mark.parametrize("name", NETWORKS)
def test_image_networks_equal_the_published_ones(name):
    golden, part = load(GOLDEN), network(name)
    assert [f"{key} {tuple(value.shape)}" for key, value in part.state_dict().items()] == golden[
        f"{name}_names"
    ].tolist()
    out = torch.sigmoid if name == "d3_sigmoid" else lambda score: score
    with torch.no_grad():
        if name == "unet128":
            found = part(colours(34, (1, 3, 128, 128)))
            assert_values(found[..., ::4, ::4], golden["unet128_out_s4"], rtol=0, atol=2e-5)
        else:
            found = out(part(X))
            odd = out(part(ODD))
            assert list(odd.shape) == golden[f"{name}_odd_shape"].tolist()
            assert_digest(odd, golden[f"{name}_odd_digest"], rtol=1e-5)
        assert_digest(found, golden[f"{name}_digest"], rtol=1e-5)
    if f"{name}_out" in golden:
        assert_values(found, golden[f"{name}_out"], rtol=0, atol=2e-5)
    if f"{name}_out_s2" in golden:
        assert_values(found[..., ::2, ::2], golden[f"{name}_out_s2"], rtol=0, atol=2e-5)
    if name == "g9_batchnorm":
        running = [host(x) for key, x in part.state_dict().items() if "running" in key]
        digests = np.stack([gen.digest(x) for x in running])
        np.testing.assert_allclose(norm(digests), norm(golden["g9_batchnorm_bn_digest"]), rtol=1e-5)


def assert_gradients(part: nn.Module, golden: dict, name: str) -> None:
    gradients = dict(part.named_parameters())
    found = np.stack([gen.digest(host(gradients[key].grad)) for key in golden[f"{name}_grad_names"].tolist()])
    stored, noise = golden[f"{name}_grad_digest"], golden[f"{name}_grad_digest_noise"]
    np.testing.assert_allclose(norm(found)[~noise], norm(stored)[~noise], rtol=1e-4)
    assert (norm(found)[noise] < 1e-4 * norm(found).max()).all(), "biases in front of a norm"


def test_adversarial_losses_and_gradients_equal_the_published_ones():
    golden = load(GOLDEN)
    discriminator, generator = network("d3"), network("g9")
    for kind, judge in (("LS", discriminator), ("Vanilla", network("d3_sigmoid"))):
        with torch.no_grad():
            found = [adversarial_loss(judge(x), label, kind) for x, label in ((Y, 1), (X, 0), (X, 1))]
        stored = golden["lsgan_f64" if kind == "LS" else "vanilla_f64"]
        np.testing.assert_allclose([float(x) for x in found], stored, rtol=1e-6)
    fake = generator(X)
    loss = 10 * F.l1_loss(fake, Y) + adversarial_loss(discriminator(fake), 1)
    assert loss.item() == pytest.approx(float(golden["g9_loss_f64"]), rel=1e-6)
    loss.backward()
    assert_gradients(generator, golden, "g9")
    discriminator.zero_grad()
    loss = (adversarial_loss(discriminator(Y), 1) + adversarial_loss(discriminator(fake.detach()), 0)) / 2
    assert loss.item() == pytest.approx(float(golden["d3_loss_f64"]), rel=1e-6)
    loss.backward()
    assert_gradients(discriminator, golden, "d3")


@pytest.mark.parametrize("name", ["g9", "d3"])
def test_initial_weights_of_image_networks(name):
    golden, part = load(GOLDEN), MODELS.build(copy.deepcopy(NETWORKS[name]))
    assert sum(x.numel() for x in part.parameters()) == golden[f"{name}_parameters"]
    weights = torch.cat([x.flatten() for key, x in part.named_parameters() if key.endswith("weight")])
    mean, std = golden[f"{name}_init_weight_mean_std"]
    assert weights.mean().item() == pytest.approx(mean, abs=1e-4)
    assert weights.std().item() == pytest.approx(std, rel=5e-3)
    assert all((x == 0).all() for key, x in part.named_parameters() if key.endswith("bias"))


def test_names_of_blocks_with_dropout():
    names = MODELS.build(dict(type="ResnetGenerator", blocks=1, channels=2, dropout_ratio=0.5)).state_dict()
    assert "model.10.conv_block.6.weight" in names and "model.10.conv_block.5.weight" not in names
    part = MODELS.build(dict(type="UNetGenerator", downs=7, channels=2, dropout_ratio=0.5))
    assert sum(isinstance(x, nn.Dropout) for x in part.modules()) == 2


def published_draws(golden: dict, size: int) -> list[Tensor]:
    """As the pool takes them: above ½ = exchange, and a number in [0, 1) instead of that of a place."""
    found, asked = [], 0
    for row in golden["pool_draws_f64"]:  # of two images, only what was drawn, then -1
        drawn = iter(row[row >= 0].tolist())
        pairs = torch.zeros(2, 2)
        for pair in pairs[max(0, size - asked) :]:
            pair[0] = next(drawn)
            pair[1] = (next(drawn) + 0.5) / size if pair[0] > 0.5 else 0
        assert not list(drawn)
        found.append(pairs)
        asked += 2
    return found


def test_pool_returns_what_the_published_one_does():
    golden, pool = load(GOLDEN), ImagePool(3)
    stored = (golden[f"pool_{part}"] for part in ("given", "returned", "held"))
    for given, returned, held, draws in zip(*stored, published_draws(golden, 3), strict=True):
        found = pool(torch.from_numpy(given).view(2, 1, 1, 1), draws)
        assert found.flatten().tolist() == returned.tolist()
        kept = pool.images.flatten()[: min(pool.asked, 3)]
        assert kept.tolist() == held[held >= 0].tolist()


def test_pool_is_restored_with_its_images():
    random = torch.Generator().manual_seed(0)
    images, draws = torch.rand(6, 2, 3, 4, 5, generator=random), torch.rand(6, 2, 2, generator=random)
    pool = ImagePool(4)
    for batch, drawn in zip(images[:4], draws[:4], strict=True):
        pool(batch, drawn)
    other = ImagePool(4)
    other.load_state_dict(copy.deepcopy(pool.state_dict()))
    assert other.asked == 8
    for batch, drawn in zip(images[4:], draws[4:], strict=True):
        assert torch.equal(pool(batch, drawn), other(batch, drawn))
    fresh = ImagePool(4)
    fresh.load_state_dict(ImagePool(4).state_dict())  # one that nobody has asked yet
    assert fresh(images[0], draws[0]).shape == (2, 3, 4, 5)
    with pytest.raises(RuntimeError, match="size mismatch"):
        ImagePool(3).load_state_dict(pool.state_dict())
    with pytest.raises(ConfigError, match="crops of a run have to have one size"):
        pool(images[0][..., :2], draws[0])
    assert torch.equal(ImagePool(0)(images[0], draws[0]), images[0])


def test_pool_exchanges_half_of_the_images():
    pool = ImagePool(5)
    random = torch.Generator().manual_seed(0)
    new = 0
    for number in range(2000):
        image = torch.full((1, 1, 1, 1), float(number))
        new += int(pool(image, torch.rand(1, 2, generator=random)).item() == number)
    assert new / 2000 == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / 2000))


def rates_of(**settings) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-4)
    schedule = PARAM_SCHEDULERS.build(dict(settings, type="LinearToZeroLR", optimizer=optimizer))
    found = []
    for _ in range(settings["end"]):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("period", [1, 3])
def test_linear_decay_equals_the_published_one(period):
    golden = load(GOLDEN)
    for stored, constant in (("lr_default_f64", 100), ("lr_gta_f64", 10)):
        length = len(golden[stored])
        found = rates_of(constant_iters=constant * period, end=length * period, period=period)
        np.testing.assert_allclose(found, np.repeat(golden[stored], period), rtol=1e-9, atol=1e-16)
    np.testing.assert_allclose(rates_of(end=200), golden["lr_default_f64"], rtol=1e-9, atol=1e-16)
    resumed = golden["lr_resumed_at_150_f64"]
    np.testing.assert_allclose(rates_of(end=200)[-len(resumed) :], resumed, rtol=1e-9, atol=1e-16)


@pytest.mark.parametrize("bad", [dict(constant_iters=201), dict(constant_iters=-1), dict(period=0)])
def test_impossible_linear_decay_is_refused(bad):
    with pytest.raises(ConfigError, match="LinearToZeroLR"):
        LinearToZeroLR(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), end=200, **bad)


@pytest.mark.parametrize(
    "bad",
    [
        dict(type="ResnetGenerator", norm="layer"),
        dict(type="ResnetGenerator", blocks=0),
        dict(type="UNetGenerator", downs=4),
        dict(type="PatchDiscriminator", layers=0),
    ],
)
def test_impossible_image_networks_are_refused(bad):
    with pytest.raises(ConfigError, match="expected"):
        MODELS.build(bad)
    with pytest.raises(ConfigError, match=r"50x70 pixels; expected multiples of 128"):
        network("unet128")(ODD)
