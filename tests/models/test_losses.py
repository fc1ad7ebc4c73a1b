import math

import numpy as np
import pytest
import torch
from golden_data import gen, load
from networks import assert_digest, assert_values, tensor

from mmseg.errors import ConfigError
from mmseg.models.losses import CrossEntropyLoss, pixel_accuracy
from mmseg.registry import MODELS


@pytest.fixture
def case(device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    logits = 3 * np.random.RandomState(51).standard_normal((2, 19, 24, 32))
    label = gen.label(52, (2, 1, 24, 32), 8, ignore_frac=0.25)[:, 0]
    weight = np.random.RandomState(53).random_sample((2, 24, 32))
    weight[:, :4] = 0
    return (
        tensor(logits.astype(np.float32), device).requires_grad_(),
        tensor(label, device),
        tensor(weight.astype(np.float32), device),
    )


def test_plain_and_weighted_loss_and_gradient(case) -> None:
    logits, label, weight = case
    golden = load("loss_ce")
    plain = CrossEntropyLoss()(logits, label)
    assert plain.item() == pytest.approx(golden["plain"].item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(plain, logits)
    assert_values(gradient[..., ::2, ::2], golden["plain_grad"], rtol=1e-5, atol=1e-9)
    assert_digest(gradient, golden["plain_grad_digest"], rtol=1e-5)
    weighted = CrossEntropyLoss()(logits, label, weight)
    assert weighted.item() == pytest.approx(golden["weighted"].item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(weighted, logits)
    assert_digest(gradient, golden["weighted_grad_digest"], rtol=1e-5)


def test_factors_of_classes(case) -> None:
    logits, label, weight = (part.detach() for part in case)
    golden = load("loss_ce")
    by_class = CrossEntropyLoss(loss_weight=0.7, class_weight=np.linspace(0.5, 1.5, 19).tolist())
    by_class.to(logits.device)
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


def test_loss_of_half_precision_logits_is_float32(device: str) -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 19, 8, 8, device=device).bfloat16()
    label = torch.randint(0, 19, (1, 8, 8), device=device)
    with torch.autocast(device, torch.bfloat16):
        loss = CrossEntropyLoss()(logits, label)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(CrossEntropyLoss()(logits.float(), label).item(), rel=1e-6)


def test_class_weights_are_not_in_the_state_dict() -> None:
    assert not CrossEntropyLoss(class_weight=[1.0, 2.0]).state_dict()


def test_a_head_adds_up_several_losses() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))

    def losses_of(*losses: dict) -> dict[str, torch.Tensor]:
        head = dict(type="FCNHead", in_channels=4, channels=4, num_classes=3, loss_decode=list(losses))
        return MODELS.build(head).loss(logits, label)

    half, double = (dict(type="CrossEntropyLoss", loss_weight=weight) for weight in (0.5, 2.0))
    expected = CrossEntropyLoss()(logits, label)
    assert losses_of(half)["loss_seg"] == 0.5 * expected
    named = losses_of(half, double | dict(loss_name="loss_second"))
    assert set(named) == {"loss_seg", "loss_second", "acc_seg"}
    assert (named["loss_seg"], named["loss_second"]) == (0.5 * expected, 2 * expected)
    assert losses_of(half, double)["loss_seg"] == 2.5 * expected
    with pytest.raises(ConfigError, match="loss_name='dice'; expected a name with 'loss'"):
        losses_of(half | dict(loss_name="dice"))
