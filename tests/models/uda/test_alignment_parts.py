"""Losses of ADVENT and CLAN, with their gradients, against those of the published implementations."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_data import gen, load
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.losses import FocalLoss
from mmseg.models.uda.clan import disagreement, weight_discrepancy
from mmseg.models.uda.parts.class_ratio_prior import ClassRatioPrior
from mmseg.models.uda.parts.entropy import mean_entropy, self_information


def random(seed: int, *shapes: tuple[int, ...], scale: float = 1.0) -> list[Tensor]:
    """float64 inputs that take gradients."""
    return [torch.from_numpy(x).double().mul(scale).requires_grad_() for x in gen.feats(seed, shapes)]


def check(golden: dict, name: str, value: Tensor, *inputs: Tensor) -> None:
    """Compare a loss and its gradients with the stored ones."""
    assert value.item() == pytest.approx(float(golden[f"{name}_f64"]), rel=1e-6)
    for i, gradient in enumerate(torch.autograd.grad(value, inputs)):
        number = f"{i}" if len(inputs) > 1 else ""
        stored = golden.get(f"{name}_grad{number}")
        if stored is not None:
            np.testing.assert_allclose(gradient, stored, atol=1e-6 * np.abs(stored).max(), rtol=0)
        digest, expected = gen.digest(gradient.numpy()), golden[f"{name}_grad{number}_digest"]
        np.testing.assert_allclose(digest[1:3], expected[1:3], rtol=1e-5, atol=1e-12)


def label(seed: int, shape: tuple[int, int, int], block: int) -> Tensor:
    batch, height, width = shape
    return torch.from_numpy(gen.label(seed, (batch, 1, height, width), block))[:, 0]


def test_self_information_of_each_class():
    golden = load("alignment/loss_advent")
    (logits,) = random(51, (2, 19, 12, 16), scale=3)
    found = self_information(logits)
    np.testing.assert_allclose(found.detach(), golden["self_information"], atol=1e-7)
    np.testing.assert_allclose(found.sum(1).detach(), golden["entropy_map"], atol=1e-6)
    check(golden, "self_information_sq", found.square().mean(), logits)
    check(golden, "minent", mean_entropy(logits), logits)
    certain = torch.full((1, 19, 1, 1), -1e4)
    certain[:, 3] = 1e4
    np.testing.assert_allclose(self_information(certain), golden["self_information_onehot"], atol=1e-7)


def test_entropy_of_the_most_uncertain_pixels():
    (logits,) = random(51, (2, 19, 12, 16), scale=3)
    check(load("alignment/loss_papers"), "minent_er30", mean_entropy(logits, 0.3), logits)
    with pytest.raises(AssertionError):
        check(load("alignment/loss_papers"), "minent_er30", mean_entropy(logits, 0.35), logits)
    few = logits[:, :, :1, :2]
    most = self_information(few).sum(1).amax(dim=(1, 2))
    assert mean_entropy(few, 0.3).item() == pytest.approx(most.mean().item(), rel=1e-12), "one pixel of each"


@pytest.mark.parametrize("relaxation", [0.5, 1.0])
def test_class_ratio_prior(relaxation):
    golden = load("alignment/loss_papers")
    (logits,) = random(51, (2, 19, 12, 16), scale=3)
    prior = ClassRatioPrior(19, golden["cp_prior"] * 7.0, relaxation).double()
    check(golden, f"cp_mu{relaxation}", prior(logits), logits)


def test_class_ratio_prior_of_the_statistics_of_a_data_set(tmp_path):
    path = tmp_path / "sample_class_stats.json"
    prior = ClassRatioPrior(3, str(path))
    with pytest.raises(ConfigError, match=r"sample_class_stats.json: cannot be read .* --write-statistics"):
        prior.begin_run()
    path.write_text('[{"file": "a.png", "0": 30, "2": 20}, {"file": "b.png", "2": 50}]')
    prior.begin_run()
    assert prior.share.tolist() == pytest.approx([0.3, 0, 0.7])
    for bad in (
        [1, 2],
        [1, -1, 3],
        [0, 0, 0],
        ["a"] * 3,
        None,
        5,
        [math.nan, 1, 1],
        [math.inf, 1, 1],
        [[1]] * 3,
    ):
        with pytest.raises(ConfigError, match="a number from 0 on for each of the 3 classes"):
            ClassRatioPrior(3, bad)


def test_focal_loss():
    golden = load("alignment/loss_clan")
    (logits, _) = random(61, (1, 19, 24, 32), (1, 19, 24, 32), scale=2)
    target = label(62, (1, 24, 32), 8)
    check(golden, "focal", FocalLoss()(logits, target), logits)
    saturated = (logits * 60).detach().requires_grad_()
    check(golden, "focal_saturated", FocalLoss()(saturated, target), saturated)
    nothing = FocalLoss()(logits, torch.full_like(target, 255))
    assert nothing.item() == 0 and torch.autograd.grad(nothing, logits)[0].abs().max() == 0


def test_focal_loss_names_a_label_that_is_no_class():
    with pytest.raises(IndexError, match="Target 5 is out of bounds"):
        FocalLoss()(torch.zeros(1, 5, 2, 2), torch.full((1, 2, 2), 5))


def test_focal_loss_of_a_batch_with_weights():
    logits, target = random(1, (2, 5, 4, 6))[0], torch.randint(0, 5, (2, 4, 6))
    target[0, 0] = 255
    weight = torch.rand(2, 4, 6)
    terms = [
        weight[b, y, x] * (1 - q) ** 3 * -q.log()
        for b, y, x in np.argwhere(target.numpy() != 255)
        for q in [logits[b, :, y, x].softmax(0)[target[b, y, x]]]
    ]
    found = FocalLoss(loss_weight=2.0, gamma=3.0)(logits, target, weight)
    assert found.item() == pytest.approx(2 * torch.stack(terms).mean().item())


def test_weights_of_pixels_where_classifiers_disagree():
    golden = load("alignment/loss_clan")
    first, second = random(61, (1, 19, 24, 32), (1, 19, 24, 32), scale=2)
    (score,) = random(63, (1, 1, 24, 32), scale=2)
    weight = disagreement(first, second)
    np.testing.assert_allclose(weight.detach(), golden["weightmap"], atol=1e-6)
    check(golden, "weightmap_mean", weight.mean(), first, second)
    bce: Callable = F.binary_cross_entropy_with_logits
    for domain in (0, 1):
        for local in (40, 10):
            weighted = bce(score, torch.full_like(score, domain), 0.4 + local * weight.detach())
            check(golden, f"weighted_bce_{domain}_local{local}", weighted, score)
    fooled = bce(score.detach(), torch.zeros_like(score), reduction="none")
    through = ((0.4 + 40 * disagreement(first, second)) * fooled).mean()
    check(golden, "weighted_bce_0_through_weights", through, first, second)


def test_discrepancy_of_the_weights_of_two_classifiers():
    w5, b5, w6, b6 = random(64, (19, 2048, 3, 3), (19,), (19, 2048, 3, 3), (19,))
    parts = (w5[:4, :8], b5[:4], (w6 + 0.7 * w5)[:4, :8], b6[:4])
    first, second = nn.Conv2d(8, 4, 3).double(), nn.Conv2d(8, 4, 3).double()
    for module, weight, bias in ((first, *parts[:2]), (second, *parts[2:])):
        module.load_state_dict(dict(weight=weight, bias=bias))
    parameters = [*first.parameters(), *second.parameters()]
    check(load("alignment/loss_clan"), "weight_discrepancy", weight_discrepancy(first, second), *parameters)
