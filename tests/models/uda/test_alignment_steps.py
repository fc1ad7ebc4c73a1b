"""Two training steps of AdaptSegNet, ADVENT and CLAN, in double precision, against the published scripts.

Compared are losses, gradients, what the steps change, and all weights and statistics of norms after them. The
stored steps exist for three optimizers: ``once`` lists each parameter once, ``duplicates`` as published
with today's SGD, ``legacy`` as published with the SGD of that time.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from golden_data import gen, load, norm
from mmengine.optim import OptimWrapper, OptimWrapperDict
from networks import filled_from_listing, host, model_config
from torch import nn
from uda_steps import NORMALISED

from mmseg.config.base import base
from mmseg.engine.optimizer_constructor import GroupedOptimWrapperConstructor
from mmseg.models.uda import CLAN, UDADecorator
from mmseg.registry import MODELS

CAFFE_MEAN = np.array([104.00698793, 116.66876762, 122.67891434], np.float32).reshape(1, 3, 1, 1)
PUBLISHED = dict(published_duplicate_parameters="backbone.network.")
VARIANTS = {"once": ("SGD", {}), "duplicates": ("SGD", PUBLISHED), "legacy": ("LegacySGD", PUBLISHED)}
DISCRIMINATORS = {
    "AdvSeg": {"main": "D2", "aux": "D1"}, "AdvEnt": {"main": "D_main", "aux": "D_aux"}, "CLAN": {"": "D"},
}  # fmt: skip


class Case(NamedTuple):
    """A stored step: network, method, and stored name of a loss -> name in our log, factor.

    Attributes:
        first: Iteration of the first of the two steps.
    """

    network: str
    listing: str
    uda: str
    values: dict[str, tuple[str, float]]
    settings: dict = {}
    first: int = 0
    length: int = 250_000


def adversarial(*discriminators: str, weights: tuple[float, float] = (0.0002, 0.001)) -> dict:
    """Losses of both levels as AdaptSegNet and ADVENT store them, before their weights."""
    names: dict[str, tuple[str, float]] = {}
    for level, name, weight in zip(("aux", "main"), discriminators, weights, strict=True):
        number = {"D1": "1", "D2": "2"}.get(name, f"_{level}")
        head = "aux" if level == "aux" else "decode"
        names[f"seg{number}"] = (f"{head}.loss_seg", 1.0 if level == "main" else 0.1 if weight else 0.0)
        names[f"adv{number}"] = (f"G_trg.loss.{level}", weight)
        names[f"{name}_src/2"] = (f"D_src.loss.{level}", 1.0)
        names[f"{name}_trg/2"] = (f"D_trg.loss.{level}", 1.0)
    return names


ENTROPY = {
    "seg_aux": ("aux.loss_seg", 0.1), "seg_main": ("decode.loss_seg", 1.0),
    "ent_aux": ("ent.loss.aux", 0.0002), "ent_main": ("ent.loss.main", 0.001),
}  # fmt: skip
OF_CLAN = {
    "adv": ("G_trg.loss", 1.0), "weight": ("discrepancy.loss", 1.0), "D_s": ("D_src.loss", 1.0),
    "D_t": ("D_trg.loss", 1.0),
}  # fmt: skip
ONE_LEVEL = {"lambda_adv_target": dict(main=0.001, aux=0.0)}
ANY_SIZE = dict(target_size=None)
MULTI = "adaptseg_deeplab_multi"
CASES = {
    "adaptseg_multi": Case("deeplabv2_adaptsegnet_r101", MULTI, "adaptsegnet", adversarial("D1", "D2")),
    "adaptseg_single": Case(
        "deeplabv2_adaptsegnet_r101", MULTI, "adaptsegnet", adversarial("D1", "D2", weights=(0, 0.001)),
        ONE_LEVEL,
    ),
    "advent": Case("deeplabv2_advent_r101", MULTI, "advent", adversarial("D_aux", "D_main")),
    "minent": Case("deeplabv2_advent_r101", MULTI, "minent", ENTROPY),
    "clan_main": Case(
        "deeplabv2_clan_r101", "clan_deeplab", "clan", OF_CLAN, ANY_SIZE, first=5001, length=100_000
    ),
    "clan_start": Case("deeplabv2_clan_r101", "clan_deeplab", "clan", OF_CLAN, ANY_SIZE, length=100_000),
}  # fmt: skip


def stored_name(discriminator: str, key: str) -> str:
    """ADVENT numbers the layers of a discriminator, activations included."""
    layer, entry = key.split(".")
    layers = ["conv1", "conv2", "conv3", "conv4", "classifier"]
    return f"{2 * layers.index(layer)}.{entry}" if discriminator.startswith("D_") else key


def build(case: Case) -> tuple[UDADecorator, dict[str, str]]:
    """The method with the stored weights, and published name -> name in the student."""
    changes = dict(NORMALISED)
    if case.settings is ONE_LEVEL:
        changes["auxiliary_head.loss_decode.loss_weight"] = 0.0
    student = MODELS.build(model_config(case.network, changes=changes))
    student, names = filled_from_listing(student, f"alignment/statedict_net_{case.listing}")
    method = MODELS.build({**base(f"uda/{case.uda}")["uda"], **case.settings, "model": student})
    for level, prefix in DISCRIMINATORS.get(type(method).__name__, {}).items():
        network = method.model_D[level] if level else method.model_D
        gen.fill(
            {stored_name(prefix, key): value for key, value in network.state_dict().items()}, f"{prefix}."
        )
    method = method.double().train()
    method.begin_run(0, case.length)
    method.iteration = case.first
    return method, names


def optimizers(case: Case, method: UDADecorator, variant: str) -> OptimWrapper | OptimWrapperDict:
    """Those of the config."""
    kind, listed = VARIANTS[variant]
    settings = base("schedules/sgd_deeplabv2")["optim_wrapper"]
    settings["optimizer"].update(type=kind, lr=1.0)
    others = base(f"uda/{case.uda}").get("other_networks", {})
    others = {name: other["optim_wrapper"] for name, other in others.items()}
    settings.pop("constructor")
    paramwise = {**settings.pop("paramwise_cfg"), **listed}
    return GroupedOptimWrapperConstructor({**settings, "other_networks": others}, paramwise)(method)


def inputs(iteration: int) -> dict[str, torch.Tensor]:
    def bgr(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
        image = gen.image_u8(seed, shape, 16).astype(np.float32)
        return torch.from_numpy(np.ascontiguousarray(image[:, ::-1]) - CAFFE_MEAN).double()

    return dict(
        img=bgr(100 + iteration, (1, 3, 97, 161)),
        gt_semantic_seg=torch.from_numpy(gen.label(110 + iteration, (1, 1, 97, 161), 16))[:, 0],
        target_img=bgr(200 + iteration, (1, 3, 65, 129)),
    )


def assert_digests(found: list[np.ndarray], stored: np.ndarray, rtol: float) -> None:
    """Norm, and projection relative to the norm, of what is not 0."""
    digests, changed = np.stack(found), norm(stored) > 0
    assert (norm(digests)[~changed] == 0).all()
    digests, stored = digests[changed], stored[changed]
    np.testing.assert_allclose(norm(digests), norm(stored), rtol=rtol)
    scale = norm(stored)
    np.testing.assert_allclose(digests[:, 2] / scale, stored[:, 2] / scale, rtol=0, atol=10 * rtol)


def parameters_of(method: UDADecorator, names: dict[str, str]) -> dict[str, dict[str, nn.Parameter]]:
    """Stored network -> published name -> parameter."""
    student = dict(method.model.named_parameters())
    found = {"G": {key: student[own] for key, own in names.items() if own in student}}
    for level, prefix in DISCRIMINATORS.get(type(method).__name__, {}).items():
        network = method.model_D[level] if level else method.model_D
        found[prefix] = {stored_name(prefix, key): value for key, value in network.named_parameters()}
    return found


def states_of(method: UDADecorator, names: dict[str, str]) -> dict[str, Callable[[], dict]]:
    """Stored network -> its weights and statistics of now, by published name."""

    def student() -> dict[str, torch.Tensor]:
        state = method.model.state_dict()
        return {key: state[own] for key, own in names.items()}

    parameters = parameters_of(method, names)
    return {net: student if net == "G" else lambda net=net: parameters[net] for net in parameters}


def recorded_gradients(wrappers: OptimWrapper | OptimWrapperDict, networks: dict) -> dict[str, dict]:
    """Stored network -> published name -> digest of the gradient of the first step."""
    found: dict[str, dict] = {net: {} for net in networks}

    def record(optimizer, *_) -> None:
        own = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for net, parameters in networks.items():
            for key, parameter in parameters.items():
                if id(parameter) in own and parameter.grad is not None:
                    found[net].setdefault(key, gen.digest(host(parameter.grad)))

    for wrapper in wrappers.values() if isinstance(wrappers, OptimWrapperDict) else [wrappers]:
        wrapper.optimizer.register_step_pre_hook(record)
    return found


def recorded_weights(method: UDADecorator) -> list[torch.Tensor]:
    """What CLAN weighs the pixels with, of each step that has weights."""
    found: list[torch.Tensor] = []
    if isinstance(method, CLAN):
        local_weight = method.local_weight

        def record(*arguments):
            weight = local_weight(*arguments)
            found.extend(() if weight is None else [weight.detach()])
            return weight

        method.local_weight = record
    return found


def all_cases() -> list:
    first = [("adaptseg_multi", "legacy"), ("clan_main", "once")]
    rest = [(name, variant, 2) for name in CASES for variant in VARIANTS if (name, variant) not in first]
    fast = [*((*case, 2) for case in first), ("advent", "duplicates", 1), ("minent", "once", 1)]
    return [*fast, *(pytest.param(*case, marks=pytest.mark.slow) for case in rest)]


@pytest.mark.parametrize(("name", "variant", "steps"), all_cases())
def test_steps_equal_the_published_ones(name, variant, steps):
    case, golden = CASES[name], load(f"alignment/step_{name}")
    method, names = build(case)
    wrappers = optimizers(case, method, variant)
    networks, states = parameters_of(method, names), states_of(method, names)
    stored_names = golden["value_names"].tolist()
    start = {net: {key: p.detach().clone() for key, p in ps.items()} for net, ps in networks.items()}
    student = wrappers["student"] if method.other_networks else wrappers
    gradients = recorded_gradients(wrappers, networks)
    weights = recorded_weights(method)
    factors = {id(group): group["lr"] for group in student.optimizer.param_groups}
    for iteration in range(steps):
        rates = golden[f"{variant}_it{iteration}_lr"]
        for group in student.optimizer.param_groups:
            group["lr"] = float(rates[0]) * factors[id(group)]
        if method.other_networks:
            for group in wrappers["discriminator"].optimizer.param_groups:
                group["lr"] = float(rates[-1])
        log = method.train_step(inputs(iteration), wrappers)
        values = dict(zip(stored_names, golden[f"{variant}_it{iteration}_values"], strict=True))
        for key, (ours, weight) in case.values.items():
            if weight:
                assert float(log[ours]) / weight == pytest.approx(values[key], rel=1e-9), (iteration, key)
        for net, parameters in networks.items():
            if iteration == 0:
                found = [gradients[net][key] for key in golden[f"{net}_grad_names"].tolist()]
                assert_digests(found, golden[f"it0_{net}_grad_digest"], 1e-9)
            state = states[net]()
            found = [gen.digest(host(state[key])) for key in golden[f"{net}_names"].tolist()]
            assert_digests(found, golden[f"{variant}_it{iteration}_{net}_digest"], 1e-9)
            updated = golden[f"{net}_update_names"].tolist()
            found = [gen.digest(host(parameters[key].detach() - start[net][key])) for key in updated]
            assert_digests(found, golden[f"{variant}_it{iteration}_{net}_update_digest"], 1e-8)
    if "it0_weight_map" in golden:
        found = (weights[0] - method.epsilon) / method.lambda_local
        np.testing.assert_allclose(host(found)[..., ::2, ::2], golden["it0_weight_map"], atol=1e-6)
