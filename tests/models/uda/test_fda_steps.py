"""FDA: two training steps in double precision against the published script; its entropy."""

import math

import numpy as np
import pytest
import torch
from golden_data import gen, load
from networks import host, model_config
from test_alignment_steps import assert_digests
from torch import nn
from uda_steps import optim_wrapper, tiny, tiny_batch, tiny_method

from mmseg.config.base import base
from mmseg.engine.optimizer_constructor import GroupedOptimWrapperConstructor
from mmseg.errors import ConfigError
from mmseg.models.uda import DACS, FDA, SourceOnly, UDABatch
from mmseg.models.uda.parts.entropy import charbonnier_entropy
from mmseg.registry import MODELS

GOLDEN = "domains/step_fda"


def names_of_network(golden: dict, student: nn.Module) -> dict[str, str]:
    """Published name -> own name, of a network with one block per stage."""
    own = {"conv1": "backbone.network.conv1", "bn1": "backbone.network.bn1"}
    found = {}
    for key in golden["state_names"].tolist():
        first, rest = key.split(".", 1)
        if first == "layer5":
            found[key] = f"decode_head.{student.decode_head.own_name(rest)}"
        else:
            found[key] = f"{own.get(first, f'backbone.network.{first}')}.{rest}"
    assert found.keys() == set(golden["state_names"].tolist())
    assert set(found.values()) == set(student.state_dict())
    return found


def shallow(golden: dict) -> tuple[FDA, dict[str, str]]:
    """The published network with one block per stage, and published name -> own name."""
    student = MODELS.build(model_config("deeplabv2_adaptsegnet_single_r101"))
    student.decode_head.num_summed = 4
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        setattr(student.backbone.network, stage, student.backbone.network[stage][:1])
    names = names_of_network(golden, student)
    state = student.state_dict()
    gen.fill({published: state[own] for published, own in names.items()})
    part = base("uda/fda")["uda"]
    part["translator"]["beta"] = 0.05
    method = MODELS.build({**part, "model": student}).double().train()
    method.begin_run(0, 150_000)
    return method, names


def inputs(iteration: int) -> dict[str, torch.Tensor]:
    """The stored images are BGR."""
    shape = (1, 3, 48, 64)
    return dict(
        img=torch.from_numpy(gen.image_u8(100 + iteration, shape)).flip(1),
        gt_semantic_seg=torch.from_numpy(gen.label(110 + iteration, (1, 1, 48, 64), 8))[:, 0],
        target_img=torch.from_numpy(gen.image_u8(200 + iteration, shape)).flip(1),
    )


@pytest.mark.parametrize("variant", ["published", "unique"])
def test_steps_of_fda_equal_the_published_ones(variant):
    golden = load(GOLDEN)
    method, names = shallow(golden)
    settings = base("schedules/sgd_deeplabv2")["optim_wrapper"]
    paramwise = settings.pop("paramwise_cfg")
    if variant == "published":
        settings["optimizer"].update(type="LegacySGD", decay_in_gradient=False)
        paramwise["published_duplicate_parameters"] = "backbone.network."
    settings.pop("constructor")
    wrapper = GroupedOptimWrapperConstructor(settings, paramwise)(method)
    rates = [group["lr"] / 2.5e-4 for group in wrapper.optimizer.param_groups]
    for iteration in range(2):
        stored, own = translated_pair(golden, method, iteration)
        np.testing.assert_allclose(host(own), stored, atol=2e-3, rtol=0)
        method.translator.forward = lambda *_, stored=stored: torch.from_numpy(stored).double().flip(1) / 255
        lr = golden[f"{variant}_it{iteration}_lr"]
        for group, factor in zip(wrapper.optimizer.param_groups, rates, strict=True):
            group["lr"] = float(lr[0]) * factor
            assert factor in (1, pytest.approx(lr[1] / lr[0]))
        log = method.train_step(inputs(iteration), wrapper)
        del method.translator.forward
        (segmentation, _), (_, entropy) = golden[f"{variant}_seg_ent_source_target_f64"][iteration]
        assert float(log["decode.loss_seg"]) == pytest.approx(segmentation, rel=1e-7)
        assert float(log["ent.loss"]) == pytest.approx(0.005 * entropy if iteration else 0, rel=1e-7)
        state = method.model.state_dict()
        found = [gen.digest(host(state[own])) for own in names.values()]
        assert_digests(found, golden[f"{variant}_it{iteration}_state_digest"], 1e-7)


def translated_pair(golden: dict, method: FDA, iteration: int) -> tuple[np.ndarray, torch.Tensor]:
    """The stored translated image and ours, both 0…255 in BGR."""
    data = method.data_preprocessor(inputs(iteration), training=True)
    found = method.translated(UDABatch.from_dict(data)).img + method.data_preprocessor.mean
    return golden[f"it{iteration}_translated"], found


@pytest.mark.parametrize("exponent", [1.0, 1.5, 2.0])
def test_charbonnier_entropy_is_its_formula(exponent):
    logits = torch.from_numpy(gen.feats(81, [(2, 19, 5, 7)])[0]).double() * 3
    terms = []
    for pixel in logits.movedim(1, -1).reshape(-1, 19).tolist():
        weights = [math.exp(x) for x in pixel]
        shares = [w / sum(weights) for w in weights]
        entropy = -sum(p * math.log(p) for p in shares) / 2.9444
        terms.append((entropy**2 + 1e-8) ** exponent)
    found = charbonnier_entropy(logits, exponent, 2.9444).item()
    assert found == pytest.approx(sum(terms) / len(terms), rel=1e-12)
    assert charbonnier_entropy(torch.zeros(1, 5, 2, 2), exponent).item() == pytest.approx(1, rel=1e-6)


def test_labels_of_a_round_are_learnt_by_fda():
    method = tiny_method(FDA, tiny())
    method.begin_run(0, 10)
    wrapper = optim_wrapper(method, type="SGD", lr=1e-3)
    data = tiny_batch()
    plain = method.train_step(dict(data), wrapper)
    assert plain["ent.loss"] == 0 and not any(name.startswith("target.") for name in plain)
    labelled = method.train_step(data | dict(target_label=data["gt_semantic_seg"]), wrapper)
    assert labelled["target.loss_seg"] > 0 and labelled["ent.loss"] > 0


@pytest.mark.parametrize("kind", [SourceOnly, DACS])
def test_any_method_is_trained_on_translated_images(kind):
    """Source pixels change to those of the translator, before the method sees them."""
    method = tiny_method(kind, tiny(), translator=dict(type="FDA", beta=0.1))
    seen = []
    forward = method.model.forward_train
    method.model.forward_train = lambda img, *args, **named: (
        seen.append(img.detach()) or forward(img, *args, **named)
    )
    data = tiny_batch()
    pictures = method.train_step(
        data | dict(wants_pictures=True), optim_wrapper(method, type="SGD", lr=1e-3)
    )["pictures"]
    assert torch.equal(pictures["source_original"], data["img"])
    preprocessor = method.data_preprocessor
    colours = [preprocessor.denormalize(data[key]) for key in ("img", "target_img")]
    expected = preprocessor.normalize01(method.translator(*colours))
    torch.testing.assert_close(seen[0], expected)
    assert (seen[0] - data["img"]).abs().mean() > 0.05


def test_translation_of_a_mixed_batch_is_refused():
    method = tiny_method(SourceOnly, tiny(), translator=dict(type="FDA"))
    data = tiny_batch() | dict(from_target=torch.tensor([True, False]))
    del data["target_img"]
    with pytest.raises(ConfigError, match="translator needs source images apart"):
        method.train_step(data, optim_wrapper(method, type="SGD", lr=1e-3))
