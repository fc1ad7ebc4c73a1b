"""Methods that train generators: two steps in double precision against the published code."""

import numpy as np
import pytest
import torch
from golden_data import gen, load, norm
from mmengine.optim import OptimWrapperDict
from networks import host
from torch import Tensor, nn
from uda_steps import step_without_values

from mmseg.config.base import base
from mmseg.engine.optimizer_constructor import GroupedOptimWrapperConstructor
from mmseg.models.uda import CycleGAN
from mmseg.models.uda.uda_decorator import UDADecorator
from mmseg.registry import MODELS

ADAM = dict(optimizer=dict(type="Adam", lr=2e-4, betas=(0.5, 0.999)))
SMALL = dict(
    generator=dict(type="ResnetGenerator", channels=16),
    discriminator=dict(type="PatchDiscriminator", channels=16),
)
TINY = dict(
    generator=dict(type="ResnetGenerator", channels=2, blocks=1),
    discriminator=dict(type="PatchDiscriminator", channels=2, layers=1),
)


def colours(seed: int, shape: tuple[int, ...], block: int = 8) -> np.ndarray:
    """The stored images, values from 0 to 255; in [-1, 1] they were rounded to single precision."""
    signed = gen.image_u8(seed, shape, block).astype(np.float32) / np.float32(127.5) - np.float32(1)
    return (signed.astype(np.float64) + 1) * 127.5


def own_adams(method: UDADecorator, others: dict | None = None) -> OptimWrapperDict:
    """The published optimizers; ``others`` has what differs by the name of the network."""
    further = {name: (others or {}).get(name, ADAM) for name in method.other_networks}
    return GroupedOptimWrapperConstructor(dict(type="SegmentationOptimWrapper", other_networks=further))(
        method
    )


def double(method: UDADecorator, networks: dict[str, nn.Module]) -> UDADecorator:
    """With the stored weights; images are prepared in double precision as well."""
    for name, network in networks.items():
        gen.fill(network.state_dict(), f"{name}.")
    return method.double().train()


def of_cyclegan(method: CycleGAN) -> dict[str, nn.Module]:
    """Published name -> network; A is the source."""
    return {
        "G_A": method.generator["to_target"],
        "G_B": method.generator["to_source"],
        "D_A": method.discriminator["target"],
        "D_B": method.discriminator["source"],
    }


LOSSES = {
    "G_A": "to_target.loss_gan",
    "cycle_A": "to_target.loss_cycle",
    "idt_A": "identity.loss_target",
    "G_B": "to_source.loss_gan",
    "cycle_B": "to_source.loss_cycle",
    "idt_B": "identity.loss_source",
    "D_A": "D_target.loss",
    "D_B": "D_source.loss",
}
"""Published name -> name in the log."""


class Gradients:
    """Those with which each optimizer has stepped, by published names."""

    def __init__(self, wrapper: OptimWrapperDict, networks: dict[str, nn.Module]) -> None:
        self.found: dict[str, np.ndarray] = {}
        self.parameters = {
            f"{name}.{key}": parameter
            for name, network in networks.items()
            for key, parameter in network.named_parameters()
        }
        for each in wrapper.values():
            each.optimizer.register_step_pre_hook(self.record)

    def record(self, optimizer: torch.optim.Optimizer, *_) -> None:
        mine = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for name, parameter in self.parameters.items():
            if id(parameter) in mine and parameter.grad is not None:
                self.found[name] = gen.digest(host(parameter.grad))

    def check(self, golden: dict[str, np.ndarray], iteration: int, optimizers: list[str]) -> None:
        """Compare with those of the published optimizers."""
        for optimizer in optimizers:
            prefix = f"it{iteration}_grad_{optimizer}"
            found = np.stack([self.found[name] for name in golden[f"{prefix}_names"].tolist()])
            stored, vanish = golden[f"{prefix}_digest"], golden[f"{prefix}_digest_vanishes"]
            np.testing.assert_allclose(norm(found)[~vanish], norm(stored)[~vanish], rtol=1e-6)
            np.testing.assert_allclose(
                found[~vanish, 2], stored[~vanish, 2], rtol=0, atol=1e-6 * norm(stored).max()
            )
            assert (norm(found)[vanish] < 1e-9).all(), "biases in front of a norm"


def check_states(golden: dict[str, np.ndarray], iteration: int, networks: dict[str, nn.Module]) -> None:
    state = {
        f"{name}.{key}": value
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    found = np.stack([gen.digest(host(state[name])) for name in golden["state_names"].tolist()])
    stored = golden[f"it{iteration}_state_digest"]
    np.testing.assert_allclose(norm(found), norm(stored), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found[:, 2], stored[:, 2], rtol=0, atol=1e-6)


def check_pictures(
    golden: dict[str, np.ndarray], iteration: int, pictures: dict[str, Tensor], names: dict
) -> None:
    for published, own in names.items():
        found = host(pictures[own])
        np.testing.assert_allclose(
            found[..., ::4, ::4], golden[f"it{iteration}_{published}_s4"], rtol=0, atol=1e-6
        )
        assert norm(gen.digest(found)) == pytest.approx(
            norm(golden[f"it{iteration}_{published}_digest"]), rel=1e-6
        )


def inputs(source: np.ndarray, target: np.ndarray, labels: Tensor | None = None) -> dict[str, Tensor]:
    shape = (len(source), *source.shape[2:])
    label = torch.zeros(shape, dtype=torch.long) if labels is None else labels
    return dict(
        img=torch.from_numpy(source), target_img=torch.from_numpy(target), gt_semantic_seg=label,
        wants_pictures=True,
    )  # fmt: skip


def test_cyclegan_steps_equal_the_published_ones():
    golden = load("domains/step_cyclegan")
    settings = {**base("uda/cyclegan")["uda"], **SMALL}
    method = MODELS.build(settings)
    networks = of_cyclegan(method)
    double(method, networks)
    wrapper = own_adams(method)
    gradients = Gradients(wrapper, networks)
    for iteration in (0, 1):
        shape = (1, 3, 64, 96)
        data = inputs(colours(100 + iteration, shape), colours(200 + iteration, shape))
        log = method.train_step(data, wrapper)
        stored = dict(
            zip(
                golden[f"it{iteration}_loss_names"].tolist(),
                golden[f"it{iteration}_loss_values_f64"],
                strict=True,
            )
        )
        total = sum(float(log[own]) for name, own in LOSSES.items() if not name.startswith("D"))
        assert {name: float(log[own]) for name, own in LOSSES.items()} | {"G": total} == pytest.approx(
            stored, rel=1e-7
        )
        names = {
            "fake_B": "translated",
            "rec_A": "reconstructed",
            "fake_A": "target_translated",
            "rec_B": "target_reconstructed",
        }
        check_pictures(golden, iteration, log["pictures"], names)
        gradients.check(golden, iteration, ["G", "D"])
        check_states(golden, iteration, networks)


def tiny_images() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2, 2, 3, 32, 32), generator=random, dtype=torch.uint8)
    label = torch.randint(4, (2, 32, 32), generator=random)
    return dict(img=images[0], target_img=images[1], gt_semantic_seg=label)


def test_steps_of_cyclegan_read_nothing_back():
    """Until the pools are full and exchange images."""
    step_without_values(CycleGAN(**TINY, pool_size=3), tiny_images(), steps=3)


def test_images_of_an_odd_size_keep_it():
    """The generators' output is a little larger."""
    method = CycleGAN(**TINY).train()
    data = {name: x[..., :30, :31] for name, x in tiny_images().items()} | {"wants_pictures": True}
    log = method.train_step(data, own_adams(method))
    assert {x.shape for x in log["pictures"].values()} == {(2, 3, 30, 31)}
    assert all(value.isfinite() for name, value in log.items() if name != "pictures")


def test_what_drawn_images_are_judged_by_comes_from_the_pool():
    """With a pool of two images that is full, discriminators see older images about half of the time."""
    method = CycleGAN(**TINY, pool_size=2).train()
    wrapper = own_adams(method)
    seen = []
    judge = method.discriminator["target"]
    judge.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
    older = 0
    for _ in range(20):
        seen.clear()
        data = {name: x[:1] for name, x in tiny_images().items()} | {"wants_pictures": True}
        drawn = method.train_step(data, wrapper)["pictures"]["translated"]
        assert torch.equal(seen[0], drawn), "the generators are trained on those of now"
        older += not torch.equal(seen[2], drawn)
    assert 3 <= older <= 16
