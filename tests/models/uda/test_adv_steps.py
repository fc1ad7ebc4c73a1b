"""Consecutive AdvSeg and MinEnt steps against the stored numbers of the published implementation."""

import copy

import numpy as np
import pytest
import torch
from golden_data import gen, load
from mmengine.optim import OptimWrapper
from networks import assert_values, filled_published, published_names, tensor
from torch import nn
from uda_steps import (
    DLV2,
    HRDA_DLV2,
    MIC,
    Recorder,
    check_calls,
    check_gradients,
    check_state,
    recorded_steps,
    tiny,
    tiny_batch,
    tiny_method,
    wrappers,
)

from mmseg.errors import ConfigError
from mmseg.models.uda import AdvSeg, MinEnt, UDADecorator
from mmseg.models.uda.parts.discriminator import FCDiscriminator
from mmseg.models.uda.parts.entropy import mean_entropy

MASKING = dict(masking=MIC | dict(teacher=dict(alpha=0.999, pseudo_threshold=0.25)))
CASES = {
    "step_advseg_dlv2": (AdvSeg, DLV2, {}),
    "step_advseg_hrda_dlv2": (AdvSeg, HRDA_DLV2, {}),
    "step_advseg_mic": (AdvSeg, DLV2, MASKING),
    "step_minent_dlv2": (MinEnt, DLV2, {}),
}


def build(name: str, device: str) -> tuple[UDADecorator, OptimWrapper]:
    kind, segmentor, arguments = copy.deepcopy(CASES[name])
    if kind is AdvSeg:
        arguments = dict(published_double_update=True) | arguments
    method = kind(segmentor, **arguments)
    filled_published(method.to(device))
    return method.train(), wrappers(method)


@pytest.mark.parametrize("name", CASES)
def test_two_steps_equal_the_published_ones(name, device):
    golden = load(name)
    method, wrapper = build(name, device)
    recorder = Recorder(method)
    assert list(published_names(method).values()) == list(golden["state_names"])
    for iteration, scalars, gradients in recorded_steps(golden, method, wrapper):
        names, values = golden[f"it{iteration}_log_names"], golden[f"it{iteration}_log_values_f64"]
        assert set(scalars) == set(names)
        for key, value in zip(names, values, strict=True):
            # The weight of masked images counts pixels above a threshold: noise of 1e-7 in the images moves
            # their loss by 1e-3.
            later = 3e-2 if key.startswith(("G_", "D_")) else 4e-3 if key.startswith("masked") else 2e-3
            rtol = (2e-4, later)[iteration]
            tolerance = dict(rel=rtol) if "loss" in key else dict(abs=(0.05, 1.0)[iteration])
            assert scalars[key] == pytest.approx(value, **tolerance), (iteration, key)
        check_gradients(golden, iteration, gradients, (2e-2, 0.3)[iteration])
        check_state(golden, iteration, method)
        masked = [call for call in recorder.calls if call[2] is not None]  # the stored cases omit the source
        assert len(masked) == ("mic" in name)
        check_calls(golden, iteration, masked, 0.98)
        recorder.calls.clear()


# --------------------------------------------------------------------------------------------- small networks


def gradients(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def keep_gradients(method: UDADecorator, wrapper: OptimWrapper) -> dict[str, torch.Tensor]:
    """Of everything in the method, right before the first optimizer steps."""
    kept: dict[str, torch.Tensor] = {}
    for single in wrapper.values():
        single.optimizer.register_step_pre_hook(lambda *_: None if kept else kept.update(gradients(method)))
    return kept


def test_gradients_of_student_and_discriminator_do_not_mix():
    """With weight 0 the student learns from source labels alone; the discriminator never sees its loss."""
    method = tiny_method(AdvSeg, tiny(), lambda_adv_target=dict(main=0.0))
    reference = copy.deepcopy(method)
    wrapper = wrappers(method)
    kept = keep_gradients(method, wrapper)
    data = tiny_batch()
    method.train_step(data, wrapper)

    losses, _ = reference.model.forward_train(data["img"], data["gt_semantic_seg"])
    losses["decode.loss_seg"].backward()
    student = {f"model.{name}": gradient for name, gradient in gradients(reference.model).items()}
    probability = reference.model.encode_decode(data["img"]).softmax(1).detach()
    score = reference.model_D["main"](probability)
    source = 0.5 * (score**2).mean()
    probability = reference.model.encode_decode(data["target_img"]).softmax(1).detach()
    score = reference.model_D["main"](probability)
    (source + 0.5 * ((score - 1) ** 2).mean()).backward()
    discriminator = {f"model_D.{name}": gradient for name, gradient in gradients(reference.model_D).items()}

    assert kept.keys() == student.keys() | discriminator.keys()
    for name, gradient in (student | discriminator).items():
        torch.testing.assert_close(kept[name], gradient, rtol=1e-4, atol=1e-7, msg=name)
    assert all(parameter.requires_grad for parameter in method.model_D.parameters())


def test_generator_loss_reaches_the_student():
    methods = [tiny_method(AdvSeg, tiny(), lambda_adv_target=dict(main=weight)) for weight in (0.0, 1.0)]
    found = []
    for method in methods:
        wrapper = wrappers(method)
        found.append(keep_gradients(method, wrapper))
        method.train_step(tiny_batch(), wrapper)
    without, with_loss = found
    name = "model.decode_head.conv_seg.weight"
    assert not torch.allclose(without[name], with_loss[name], rtol=1e-2)
    for name in (name for name in without if name.startswith("model_D.")):
        assert torch.equal(without[name], with_loss[name]), "the same predictions are to be told apart"


@pytest.mark.parametrize("double", [False, True])
def test_who_trains_the_discriminator(double):
    """By default Adam alone; as published the student's optimizer steps on the same gradients as well."""
    method = tiny_method(AdvSeg, tiny(), published_double_update=double)
    before = {name: p.detach().clone() for name, p in method.model_D.named_parameters()}
    wrapper = wrappers(method)
    in_student = {id(p) for group in wrapper["student"].param_groups for p in group["params"]}
    in_adam = {id(p) for group in wrapper["discriminator"].param_groups for p in group["params"]}
    discriminator = {id(p) for p in method.model_D.parameters()}
    assert in_adam == discriminator
    assert in_student == {id(p) for p in method.model.parameters()} | (discriminator if double else set())
    method.train_step(tiny_batch(), wrapper)
    for name, parameter in method.model_D.named_parameters():
        gradient, start = parameter.grad, before[name]
        if double:
            start = start - 2.5e-5 * (gradient + 5e-4 * start)
        expected = start - 1e-4 * gradient / (gradient.abs() + 1e-8)  # the first step of Adam
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-6, atol=1e-9)


def test_teachers_are_in_no_optimizer():
    method = tiny_method(AdvSeg, tiny(), masking=MIC, published_double_update=True)
    wrapper = wrappers(method)
    trained = {id(p) for single in wrapper.values() for group in single.param_groups for p in group["params"]}
    assert trained.isdisjoint(id(p) for p in method.mic.parameters())


@pytest.mark.parametrize(("kind", "expected"), [("LS", "ls"), ("Vanilla", "bce")])
def test_discriminator_and_its_losses_equal_the_published_ones(kind, expected, device):
    golden = load("adv_ent")
    discriminator = FCDiscriminator(19).to(device)
    gen.fill(discriminator.state_dict())
    noise = np.random.RandomState(58).standard_normal((2, 19, 64, 96)).astype(np.float32)
    probability = tensor(2 * noise, device).softmax(1)
    with torch.no_grad():
        assert_values(discriminator(probability), golden["disc_out"], atol=1e-6)
    method = tiny_method(AdvSeg, tiny(), discriminator_type=kind)
    method.model_D["main"] = discriminator
    for domain, label in (("src", 0.0), ("trg", 1.0)):
        value = method.domain_loss("main", probability, label).item()
        assert value == pytest.approx(float(golden[f"{expected}_{domain}"]), rel=1e-4)


def test_entropy_equals_the_published_one(device):
    noise = np.random.RandomState(57).standard_normal((2, 19, 40, 48)).astype(np.float32)
    found = mean_entropy(tensor(2.5 * noise, device)).item()
    assert found == pytest.approx(float(load("adv_ent")["entropy_loss"]), rel=1e-4)
    assert mean_entropy(torch.zeros(1, 4, 2, 2)).item() == pytest.approx(1)
    certain = torch.zeros(1, 4, 2, 2, requires_grad=True)
    entropy = mean_entropy(certain + torch.tensor([1e4, 0, 0, 0]).view(1, 4, 1, 1))
    entropy.backward()
    assert entropy.item() == 0 and torch.isfinite(certain.grad).all()


@pytest.mark.parametrize(("auxiliary", "names"), [(1, ["aux"]), (2, ["aux_0", "aux_1"])])
def test_several_levels_have_a_discriminator_each(auxiliary, names):
    method = tiny_method(AdvSeg, tiny(auxiliary), lambda_adv_target=dict(main=0.01, aux=0.5))
    assert list(method.model_D) == ["main", *names]
    log = method.train_step(tiny_batch(), wrappers(method))
    expected = {"decode.loss_seg", "decode.acc_seg"}
    for name in names:
        expected |= {f"{name}.loss_seg", f"{name}.acc_seg"}
    for name in ("main", *names):
        expected |= {f"G_trg.loss.{name}", f"D_src.loss.{name}", f"D_trg.loss.{name}"}
    assert log.keys() - {"pictures"} == expected
    for name in ("main", *names):  # an untrained discriminator says 0.5 ± a bit: the same before the weight
        weight = 0.01 if name == "main" else 0.5
        assert 0 <= log[f"G_trg.loss.{name}"] / weight < 0.1 and 0.3 < log[f"D_trg.loss.{name}"] < 0.7
    method = tiny_method(MinEnt, tiny(auxiliary), lambda_ent_target=dict(main=0.01, aux=0.5))
    log = method.train_step(tiny_batch(), wrappers(method))
    for name in ("main", *names):  # an untrained network is uncertain
        assert log[f"ent.loss.{name}"] == pytest.approx(0.01 if name == "main" else 0.5, rel=0.1)


@pytest.mark.parametrize("kind", [AdvSeg, MinEnt])
@pytest.mark.parametrize("hrda", [False, True])
@pytest.mark.parametrize("mode", [None, "separatetrgaug", "separate", "separatesrc"])
def test_methods_combine_with_hrda_and_masking(kind, hrda, mode):
    # Blocks of 8: a detail crop of 32 without any visible block has equal tokens, whose norms without trained
    # biases multiply gradients until they overflow.
    masking = mode and dict(mask_mode=mode, mask_generator=dict(mask_ratio=0.7, mask_block_size=8))
    method = tiny_method(kind, tiny(hrda=hrda), masking=masking)
    wrapper = wrappers(method)
    for _ in range(2):
        log = method.train_step(tiny_batch() | dict(wants_pictures=True), wrapper)
    scalars = {name: value for name, value in log.items() if name != "pictures"}
    assert all(torch.isfinite(value) and not value.requires_grad for value in scalars.values())
    assert ("masked.decode.loss_seg" in scalars) == (mode is not None)
    assert ("decode.hr.loss_seg" in scalars) == hrda
    assert len(method.teachers) == (mode is not None and "src" not in mode)
    assert method.iteration == 2
    prediction = log["pictures"]["target_prediction"]
    assert prediction.shape == ((2, 32, 32) if hrda else (2, 64, 64)) and prediction.max() < 4


def test_state_holds_iteration_and_discriminator():
    method = tiny_method(AdvSeg, tiny())
    method.train_step(tiny_batch(), wrappers(method))
    other = tiny_method(AdvSeg, tiny())
    other.load_state_dict(method.state_dict())
    assert other.iteration == 1
    assert torch.equal(other.model_D["main"].conv1.weight, method.model_D["main"].conv1.weight)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (AdvSeg, dict(discriminator_type="Wasserstein"), "'LS' or 'Vanilla'"),
        (AdvSeg, dict(lambda_adv_target=dict(aux=1)), "lambda_adv_target.*for each of main"),
        (AdvSeg, dict(lambda_adv_target=dict(main=-1)), "lambda_adv_target"),
        (AdvSeg, dict(lambda_adv_target=dict(main=1, auxiliary=1)), "lambda_adv_target"),
        (MinEnt, dict(lambda_ent_target=dict(main="1")), "lambda_ent_target"),
        (MinEnt, dict(masking=dict(mask_mode="trg", mask_generator={})), "mask_mode"),
    ],
)
def test_settings_out_of_range_are_refused(kind, settings, message):
    with pytest.raises(ConfigError, match=message):
        tiny_method(kind, tiny(), **settings)


def test_an_auxiliary_head_needs_a_weight():
    with pytest.raises(ConfigError, match="for each of main, aux"):
        tiny_method(AdvSeg, tiny(1), lambda_adv_target=dict(main=0.001))
