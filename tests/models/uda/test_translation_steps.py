"""Methods that train generators: two steps in double precision against the published code."""

from collections.abc import Callable

import networks
import numpy as np
import pytest
import torch
from golden_data import gen, load, norm
from mmengine.optim import OptimWrapperDict
from networks import host
from torch import Tensor, nn
from uda_steps import step_without_values, tiny

from mmseg.config.base import base
from mmseg.engine.optimizer_constructor import GroupedOptimWrapperConstructor
from mmseg.errors import ConfigError
from mmseg.models.uda import MADAN, CyCADA, CycleGAN, DynamicConsistency
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


PICTURES = {
    "fake_B": "translated",
    "rec_A": "reconstructed",
    "fake_A": "target_translated",
    "rec_B": "target_reconstructed",
}
"""Stored image -> name of the picture."""


def check_pictures(golden: dict[str, np.ndarray], iteration: int, pictures: dict[str, Tensor]) -> None:
    stored = {key: own for key, own in PICTURES.items() if f"it{iteration}_{key}_digest" in golden}
    assert stored
    for published, own in stored.items():
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


def compare_steps(
    golden: dict[str, np.ndarray],
    method: CycleGAN,
    parts: dict[str, nn.Module],
    images: Callable[[int], dict[str, Tensor]],
    names: dict[str, str],
    optimizers: list[str],
    others: dict | None = None,
) -> None:
    """Two steps; ``names`` are those of losses, published -> in the log."""
    double(method, parts)
    wrapper = own_adams(method, others)
    gradients = Gradients(wrapper, parts)
    for iteration in (0, 1):
        log = method.train_step(images(iteration), wrapper)
        values = golden[f"it{iteration}_loss_values_f64"]
        stored = dict(zip(golden[f"it{iteration}_loss_names"].tolist(), values, strict=True))
        found = {name: float(log.get(own, 0.0)) for name, own in names.items()}
        found["G"] = sum(value for name, value in found.items() if not name.startswith(("D", "CLS")))
        assert found == pytest.approx(stored, rel=1e-7, abs=1e-12)
        check_pictures(golden, iteration, log["pictures"])
        gradients.check(golden, iteration, optimizers)
        check_states(golden, iteration, parts)


def test_cyclegan_steps_equal_the_published_ones():
    method = MODELS.build({**base("uda/cyclegan")["uda"], **SMALL})
    shape = (1, 3, 64, 96)
    compare_steps(
        load("domains/step_cyclegan"),
        method,
        of_cyclegan(method),
        lambda iteration: inputs(colours(100 + iteration, shape), colours(200 + iteration, shape)),
        LOSSES,
        ["G", "D"],
    )


SEMANTIC = {
    "sem_AB": "to_target.loss_semantic",
    "sem_BA": "to_source.loss_semantic",
    "CLS": "C.loss",
}


@pytest.mark.parametrize("case", ["on", pytest.param("off", marks=pytest.mark.slow)])
def test_cycada_steps_of_digits_equal_the_published_ones(case):
    """The classifier is believed in the first iteration alone, or in neither."""
    consistency = dict(type="LearntConsistency", classifier=dict(type="DigitClassifier", channels=16))
    method = CyCADA(**SMALL, consistency=consistency)
    if case == "on":
        method.consistency.last_loss.fill_(0.5)
    labels = [np.random.RandomState(300 + i).randint(0, 10, (2, 6))[0] for i in (0, 1)]
    shape = (6, 3, 32, 32)
    compare_steps(
        load(f"domains/step_cycada_digits_{case}"),
        method,
        of_cyclegan(method) | {"CLS": method.consistency.network},
        lambda i: inputs(
            colours(100 + i, shape, 4), colours(200 + i, shape, 4), torch.from_numpy(labels[i]).long()
        ),
        LOSSES | SEMANTIC,
        ["G", "D", "CLS"],
        {"classifier": dict(optimizer=ADAM["optimizer"] | dict(lr=1e-3))},
    )
    assert float(method.state_dict()["consistency.last_loss"]) > 1


def with_convolution(consistency: DynamicConsistency) -> DynamicConsistency:
    """A convolution as segmentation network, as in the stored steps."""
    consistency.network = nn.Conv2d(3, 19, 3, padding=1).requires_grad_(False)
    return consistency


def test_cycada_steps_of_segmentation_equal_the_published_ones():
    consistency = dict(type="DynamicConsistency", segmentor=tiny(), weight=200.0, published_input=True)
    method = CyCADA(**SMALL, consistency=consistency)
    with_convolution(method.consistency)
    shape = (2, 3, 48, 64)
    compare_steps(
        load("domains/step_cycada_seg"),
        method,
        of_cyclegan(method) | {"PixelCLS": method.consistency.network},
        lambda i: inputs(colours(100 + i, shape), colours(200 + i, shape)),
        LOSSES | {"sem_AB": SEMANTIC["sem_AB"]},
        ["G", "D"],
    )


MADAN_NETWORKS = {"SYN": ("1", "synthia"), "GTA": ("2", "gta")}
AB, BA = "to_target", "to_source"
OF_MADAN = {
    f"{loss}_{number}": f"{name}.{way}.{part}"
    for number, name in MADAN_NETWORKS.values()
    for loss, way, part in (
        ("G_A", AB, "loss_gan"), ("cycle_A", AB, "loss_cycle"),
        ("G_B", BA, "loss_gan"), ("cycle_B", BA, "loss_cycle"),
    )
} | {
    "D_A_1": "D_target.loss_synthia",
    "D_A_2": "D_target.loss_gta",
    "D_B_1": "D_synthia.loss",
    "D_B_2": "D_gta.loss",
    "D_3_1": "D_synthia_gta.loss",
    "G_s1s2": "synthia_gta.loss_aggregation",
    "D_21": "D_gta_via_target_synthia.loss",
    "G_s1s21": "gta_via_target_synthia.loss_cross",
    "D_12": "D_synthia_via_target_gta.loss",
    "G_s2s12": "synthia_via_target_gta.loss_cross",
    "sem_syn": "synthia.to_target.loss_semantic",
    "sem_gta": "gta.to_target.loss_semantic",
}  # fmt: skip
PIXELS = 19 * 48 * 64
LOGGED = {"sem_syn": PIXELS / 20, "sem_gta": PIXELS / 20, "G_s1s21": 5.0, "G_s2s12": 5.0}
"""The published log has some losses without their weights."""


def madan(**settings) -> tuple[MADAN, dict[str, nn.Module]]:
    """With the stored networks by published names."""
    segmentor = dict(type="DynamicConsistency", segmentor=tiny(), weight=200.0, published_input=True)
    method = MADAN(
        **SMALL,
        sources=("synthia", "gta"),
        consistency=dict.fromkeys(("synthia", "gta"), segmentor),
        aggregation=[("synthia", "gta")],
        **settings,
    )
    judge, parts = method.discriminator, {}
    for published, (number, name) in MADAN_NETWORKS.items():
        parts[f"G_A_{number}"] = method.generator[name]["to_target"]
        parts[f"G_B_{number}"] = method.generator[name]["to_source"]
        parts[f"D_B_{number}"] = judge[name]
        parts[f"PixelCLS_{published}"] = with_convolution(method.consistency[name]).network
    parts |= {"D_A": judge["target"], "D_3": judge["synthia_gta"]}
    parts |= {"D_21": judge["gta_via_target_synthia"], "D_12": judge["synthia_via_target_gta"]}
    return method, parts


@pytest.mark.parametrize("case", ["", pytest.param("_early", marks=pytest.mark.slow)])
def test_madan_steps_equal_the_published_ones(case):
    """Early, discriminators of aggregation and cross-domain cycle are trained, the generators not by them."""
    golden = load(f"domains/step_madan{case}")
    begin = dict(aggregation_from=2, cross_from=2) if case else {}
    method, parts = madan(**begin)
    double(method, parts)
    wrapper = own_adams(method)
    gradients = Gradients(wrapper, parts)
    shape = (2, 3, 48, 64)
    for iteration in (0, 1):
        sources = [torch.from_numpy(colours(seed + iteration, shape)) for seed in (100, 150)]
        data = dict(
            img=torch.stack(sources, dim=1),
            target_img=torch.from_numpy(colours(200 + iteration, shape)),
            gt_semantic_seg=torch.zeros(2, 2, 48, 64, dtype=torch.long),
            wants_pictures=True,
        )
        log = method.train_step(data, wrapper)
        names = golden[f"it{iteration}_loss_names"].tolist()
        stored = dict(zip(names, golden[f"it{iteration}_loss_values_f64"], strict=True))
        found = {name: float(log.get(own, 0.0)) for name, own in OF_MADAN.items()}
        found["G"] = sum(value for name, value in found.items() if not name.startswith("D"))
        found |= {name: factor * found[name] for name, factor in LOGGED.items()}
        identity = dict.fromkeys([name for name in names if name.startswith("idt")], 0.0)
        assert found | identity == pytest.approx(stored, rel=1e-7, abs=1e-12)
        for number, name in MADAN_NETWORKS.values():
            picture = host(log["pictures"][f"{name}_translated"])
            expected = golden[f"it{iteration}_fake_B_{number}_digest"]
            assert norm(gen.digest(picture)) == pytest.approx(norm(expected), rel=1e-6)
        gradients.check(golden, iteration, ["G_1", "G_2", "D", "D_3", "D_21", "D_12"])
        check_states(golden, iteration, parts)


def test_steps_of_madan_read_nothing_back():
    three = MADAN(**TINY, sources=("a", "b", "c"), aggregation=[("a", "b"), ("c", "b")])
    assert len(three.crossings) == 6 and {"a_b", "c_b", "c_via_target_a"} <= three.discriminator.keys()
    method = MADAN(**TINY, sources=("a", "b"), aggregation=[("a", "b")], pool_size=1)
    images = tiny_images()
    data = images | {key: torch.stack([images[key]] * 2, dim=1) for key in ("img", "gt_semantic_seg")}
    step_without_values(method, data)


@pytest.mark.parametrize(
    "settings",
    [dict(sources=["a"]), dict(sources=["a", "b"], aggregation=[("a", "c")]), dict(sources=["a", "a"])],
)
def test_impossible_sources_of_madan_are_refused(settings):
    with pytest.raises(ConfigError, match="expected two sources at least, and names of these"):
        MADAN(**TINY, **settings)


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


def test_steps_of_cycada_read_nothing_back():
    learnt = dict(type="LearntConsistency", classifier=dict(type="DigitClassifier", channels=2))
    data = {name: x[:, 0, 0] if name == "gt_semantic_seg" else x for name, x in tiny_images().items()}
    step_without_values(CyCADA(**TINY, consistency=learnt), data, steps=2)
    dynamic = dict(type="DynamicConsistency", segmentor=tiny())
    step_without_values(CyCADA(**TINY, consistency=dynamic), tiny_images())


def test_the_classifier_may_label_pixels_and_is_believed_when_it_is_good():
    method = CyCADA(
        **TINY, consistency=dict(type="LearntConsistency", classifier=tiny(), threshold=1e-3)
    ).train()
    wrapper = own_adams(method)
    assert set(wrapper.keys()) == {"generator", "discriminator", "classifier"}
    for believed in (False, True):
        method.consistency.last_loss.fill_(0.0 if believed else 1.0)
        log = method.train_step(tiny_images(), wrapper)
        assert (log["to_target.loss_semantic"] > 0) == (log["to_source.loss_semantic"] > 0) == believed
        assert float(method.consistency.last_loss) == pytest.approx(float(log["C.loss"]))


@pytest.mark.parametrize("published", [False, True])
def test_the_segmentation_network_sees_images_as_it_was_trained(published):
    """By default normalised and in eval mode; as published in [-1, 1] and with statistics of the batch."""
    consistency = dict(type="DynamicConsistency", segmentor=networks.tiny(), published_input=published)
    method = CyCADA(**TINY, consistency=consistency).train()
    network = method.consistency.network
    start = {name: value.clone() for name, value in network.state_dict().items()}
    seen = []
    network.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    data = tiny_images()
    method.train_step(data, own_adams(method))
    signed = data["img"] / 127.5 - 1
    expected = (
        signed
        if published
        else (data["img"] - network.data_preprocessor.mean) / network.data_preprocessor.std
    )
    torch.testing.assert_close(seen[0], expected, rtol=1e-4, atol=1e-4)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, start[name])}
    assert bool(changed) == published and all("running" in name or "num_batches" in name for name in changed)


def test_a_consistency_without_weights_is_refused():
    method = CyCADA(**TINY, consistency=dict(type="DynamicConsistency", segmentor=tiny()))
    with pytest.raises(ConfigError, match="checkpoint=None"):
        method.begin_run(0, 10)
