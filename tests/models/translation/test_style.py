"""FCAN's appearance adaptation against the equations of its paper: there is no published code."""

import pytest
import torch
from golden_data import gen, load
from networks import assert_digest, assert_values
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.translation import AppearanceAdaptation
from mmseg.models.translation.style import distance, gram, moved


def features(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    return [torch.from_numpy(x).double() for x in gen.feats(seed, shapes)]


def test_distances_equal_the_stored_ones():
    golden = load("alignment/loss_papers")
    found, source = features(72, (6, 5, 7), (6, 5, 7))
    (other,) = features(73, (6, 6))
    found = found.requires_grad_()
    content = distance(found, source)
    assert content.item() == pytest.approx(float(golden["fcan_content_f64"]), rel=1e-6)
    (gradient,) = torch.autograd.grad(content, found)
    assert_values(gradient, golden["fcan_content_grad"], rtol=1e-5, atol=1e-5)
    assert_values(gram(found[None])[0], golden["fcan_gram"], rtol=1e-5, atol=1e-5)
    style = distance(gram(found[None])[0], other @ other.T)
    assert style.item() == pytest.approx(float(golden["fcan_style_f64"]), rel=1e-6)
    (gradient,) = torch.autograd.grad(style, found)
    assert_values(gradient, golden["fcan_style_grad"], rtol=1e-5, atol=1e-3)
    assert_digest(gradient, golden["fcan_style_grad_digest"])


@pytest.mark.parametrize("iteration", [1, 500, 1000])
def test_steps_equal_the_stored_ones(iteration):
    """β (I − i) / I in the sum of absolute values, as stated; the last one is none."""
    image, gradient = features(74, (3, 8, 9), (3, 8, 9))
    step = 10 * (1000 - iteration) / 1000
    found = moved(image[None], gradient[None], step, "sum")[0]
    assert_values(found, load("alignment/loss_papers")[f"fcan_update_{iteration}"], rtol=1e-6, atol=1e-6)
    found = moved(image[None], gradient[None], step, "mean")[0]
    assert (image - found).abs().mean().item() == pytest.approx(step)


class TwoLevels(nn.Module):
    """Colours, and their local means."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x, nn.functional.avg_pool2d(x, 2)]


def test_an_image_takes_over_content_and_style():
    """Without style it becomes its source; with much of it, its correlations become those of the target."""
    source, target, start = (
        255 * torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(n)) for n in range(3)
    )
    network = AppearanceAdaptation(TwoLevels(), alpha=0.0, iterations=200)
    grams = [level[0] for level in network.grams(target)]
    plain = network.adapt(source, grams, start)
    assert (plain - source).abs().mean() < 2 < (start - source).abs().mean()
    assert plain.min() >= 0 and plain.max() <= 255
    styled = AppearanceAdaptation(TwoLevels(), alpha=10.0, iterations=200).adapt(source, grams, start)
    far = sum(distance(a[0], b) for a, b in zip(network.grams(source), grams, strict=True))
    near = sum(distance(a[0], b) for a, b in zip(network.grams(styled), grams, strict=True))
    assert near < 0.3 * far


def test_the_loss_weighs_levels():
    found, content, style = (
        [torch.ones(1, 1, 1, 2)] * 2,
        [torch.zeros(1, 1, 1, 2)] * 2,
        [torch.zeros(1, 1)] * 2,
    )
    network = AppearanceAdaptation(TwoLevels(), alpha=0.5, content_weights=[1, 3], style_weights=[5, 0])
    assert network.loss(found, content, style).item() == 2 + 3 * 2 + 0.5 * 5 * 4


def test_settings_of_the_appearance_are_checked():
    for settings in (dict(gradient_norm="max"), dict(iterations=1), dict(alpha=-1), dict(rate=0.0)):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            AppearanceAdaptation(TwoLevels(), **settings)
