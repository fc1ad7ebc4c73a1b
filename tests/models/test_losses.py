import math

import numpy as np
import pytest
import torch
from golden_data import gen, load, norm

from mmseg.errors import ConfigError
from mmseg.models.losses import CrossEntropyLoss, pixel_accuracy


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    logits = 3 * np.random.RandomState(51).standard_normal((2, 19, 24, 32))
    label = gen.label(52, (2, 1, 24, 32), 8, ignore_frac=0.25)[:, 0]
    weight = np.random.RandomState(53).random_sample((2, 24, 32))
    weight[:, :4] = 0
    return (
        torch.tensor(logits, dtype=torch.float32, requires_grad=True),
        torch.from_numpy(label),
        torch.tensor(weight, dtype=torch.float32),
    )


def test_plain_and_weighted_loss_and_gradient(case) -> None:
    logits, label, weight = case
    golden = load("loss_ce")
    plain = CrossEntropyLoss()(logits, label)
    assert plain.item() == pytest.approx(golden["plain"].item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(plain, logits)
    np.testing.assert_allclose(gradient[..., ::2, ::2], golden["plain_grad"], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(
        norm(gen.digest(gradient.numpy())), norm(golden["plain_grad_digest"]), rtol=1e-5
    )
    weighted = CrossEntropyLoss()(logits, label, weight)
    assert weighted.item() == pytest.approx(golden["weighted"].item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(weighted, logits)
    np.testing.assert_allclose(
        norm(gen.digest(gradient.numpy())), norm(golden["weighted_grad_digest"]), rtol=1e-5
    )


def test_reductions_and_factors(case) -> None:
    logits, label, weight = (part.detach() for part in case)
    golden = load("loss_ce")
    none = CrossEntropyLoss(reduction="none")(logits, label, weight)
    np.testing.assert_allclose(none, golden["none"], rtol=1e-5, atol=1e-7)
    total = CrossEntropyLoss(reduction="sum")(logits, label, weight)
    assert total.item() == pytest.approx(golden["sum"].item(), rel=1e-5)
    averaged = CrossEntropyLoss()(logits, label, weight, avg_factor=100)
    assert averaged.item() == pytest.approx(golden["avg_factor_100"].item(), rel=1e-5)
    by_class = CrossEntropyLoss(loss_weight=0.7, class_weight=np.linspace(0.5, 1.5, 19).tolist())
    assert by_class(logits, label, weight).item() == pytest.approx(golden["class_weight"].item(), rel=1e-5)
    assert CrossEntropyLoss()(logits, torch.full_like(label, 255)).item() == golden["all_ignored"].item() == 0


def test_accuracy(case) -> None:
    logits, label, _ = case
    accuracy = pixel_accuracy(logits, label)
    assert accuracy.shape == () and not accuracy.requires_grad
    assert accuracy.item() == pytest.approx(load("loss_ce")["accuracy"].item(), rel=1e-5)


def test_mean_is_over_all_pixels() -> None:
    label = torch.tensor([[[3, 255], [255, 255]]])
    assert CrossEntropyLoss()(torch.zeros(1, 19, 2, 2), label).item() == pytest.approx(math.log(19) / 4)


def test_loss_of_half_precision_logits_is_float32() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(1, 19, 8, 8).bfloat16(), torch.randint(0, 19, (1, 8, 8))
    with torch.autocast("cpu", torch.bfloat16):
        loss = CrossEntropyLoss()(logits, label)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(CrossEntropyLoss()(logits.float(), label).item(), rel=1e-6)


def test_class_weights_are_not_in_the_state_dict() -> None:
    assert not CrossEntropyLoss(class_weight=[1.0, 2.0]).state_dict()


def test_unknown_reduction_is_an_error() -> None:
    with pytest.raises(ConfigError, match="reduction='average'; expected 'mean', 'sum' or 'none'"):
        CrossEntropyLoss(reduction="average")
