"""EMA, pseudo-labels, ClassMix, strong augmentation and feature distance against stored numbers."""

import numpy as np
import pytest
import torch
from golden_data import gen, load
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import assert_digest, assert_values, host, tensor
from torch import nn
from uda_steps import tiny

from mmseg.errors import ConfigError
from mmseg.models.data_preprocessor import SegDataPreprocessor
from mmseg.models.uda import DACS, EMATeacher
from mmseg.models.uda.parts.class_mix import draw_classes, mix, mix_masks
from mmseg.models.uda.parts.feature_distance import (
    class_table,
    downscale_label_ratio,
    masked_feature_distance,
)
from mmseg.models.uda.parts.strong_augmentation import (
    StrongAugmentation,
    blur_kernel_size,
    color_jitter,
    gaussian_blur,
)
from mmseg.models.uda.step_context import StepContext

THINGS = [6, 7, *range(11, 19)]


class Logits(nn.Module):
    """A 'network' that returns its input."""

    def encode_decode(self, img):
        return img


def filled(prefix: str) -> nn.Linear:
    linear = nn.Linear(3, 2)
    gen.fill(linear.state_dict(), prefix)
    return linear


def test_ema_follows_the_published_table(device):
    for alpha, iteration, _, *expected in load("ema")["table_f64"]:
        teacher = EMATeacher(filled("teacher.").to(device), alpha)
        teacher.update(filled("student.").to(device), int(iteration))
        found = torch.cat([p.flatten() for p in teacher.ema_model.parameters()])
        assert_values(found, expected, rtol=1e-6, atol=1e-8)


def test_ema_leaves_buffers_alone():
    student, teacher = nn.BatchNorm2d(2), EMATeacher(nn.BatchNorm2d(2))
    student.running_mean.fill_(3.0)
    teacher.update(student, 0)
    assert torch.equal(teacher.ema_model.running_mean, torch.zeros(2))


def pseudo_logits(device: str = "cpu") -> torch.Tensor:
    normal = np.random.RandomState(57).standard_normal((2, 19, 40, 48))
    return tensor(2.5 * normal.astype(np.float32), device)


def test_pseudo_labels_and_weights(device):
    golden = load("pseudo_label")
    for name in [key for key in golden if key.startswith("weight_t")]:
        threshold, top, bottom = (int(part) for part in name.removeprefix("weight_t").split("_"))
        pseudo = EMATeacher(Logits(), 0.99, threshold / 1000, top, bottom).label(pseudo_logits(device))
        np.testing.assert_array_equal(host(pseudo.label), golden["pseudo_label"])
        expected = np.broadcast_to(golden[name][:, :, None], (2, 40, 48))
        assert_values(pseudo.weight, expected, rtol=1e-6, atol=0)


def test_valid_mask_and_no_threshold(device):
    golden = load("pseudo_label")
    mask = tensor(golden["validmask"], device)[:, 0].bool()
    pseudo = EMATeacher(Logits(), pseudo_threshold=0.3).label(pseudo_logits(device), mask)
    assert_values(pseudo.weight, golden["weight_validmask"], rtol=1e-6, atol=0)
    pseudo = EMATeacher(Logits(), pseudo_threshold=None).label(pseudo_logits(device))
    np.testing.assert_array_equal(host(pseudo.weight), golden["weight_none"])


@pytest.mark.parametrize(
    ("margins", "rows"),
    [(dict(ignore_top=3, ignore_bottom=10), 27), (dict(ignore_bottom=60), 0), (dict(ignore_top=60), 0)],
)
def test_margins_end_at_the_borders_of_the_crop(margins, rows):
    weight = EMATeacher(Logits(), pseudo_threshold=None, **margins).label(pseudo_logits()).weight
    assert weight.shape[1] == 40 and weight.sum() == rows * weight.shape[0] * weight.shape[2]


def test_both_kinds_of_margins_are_refused():
    teacher = EMATeacher(Logits(), pseudo_threshold=0.3, ignore_top=2)
    with pytest.raises(ConfigError, match="choose one"):
        teacher.label(pseudo_logits(), torch.ones(2, 40, 48, dtype=torch.bool))


@pytest.mark.parametrize("case", range(3))
def test_class_mix_masks(case, device):
    golden = load("classmix")
    shape, block, ignore = [((2, 1, 64, 96), 16, 0.1), ((2, 1, 64, 96), 32, 0), ((4, 1, 48, 48), 12, 0.3)][
        case
    ]
    label = torch.from_numpy(gen.label(70 + case, shape, block, ignore_frac=ignore))[:, 0]
    chosen = torch.zeros(len(label), 256, dtype=torch.bool)
    for row, picked in zip(chosen, golden[f"pick{case}"], strict=True):
        row[golden[f"classes{case}"][picked]] = True
    masks = mix_masks(label.to(device), chosen.to(device))
    np.testing.assert_array_equal(host(masks), golden[f"mask{case}"][:, 0].astype(bool))


def test_mixing_images_and_labels(device):
    golden = load("classmix")
    mask = tensor(golden["mask0"][:1, 0], device).bool()
    img = tensor(gen.image(75, (2, 3, 64, 96)), device)
    mixed = mix(mask, img[:1], img[1:])
    assert_values(mixed[..., ::2, ::2], golden["mixed_img_s2"], rtol=0, atol=0)
    label = tensor(gen.label(70, (2, 1, 64, 96), 16, ignore_frac=0.1), device)[:, 0]
    np.testing.assert_array_equal(host(mix(mask, label[:1], label[1:])), golden["mixed_lbl"][:, 0])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=12, unique=True),
    st.integers(1, 4),
    st.integers(0, 999),
)
def test_half_of_the_classes_of_the_whole_batch_are_drawn(classes, number, seed):
    torch.manual_seed(seed)
    label = torch.tensor(classes)[torch.randint(len(classes), (number, 8, 8))]
    present = set(label.unique().tolist())
    for row in draw_classes(label):
        drawn = set(row.nonzero().flatten().tolist())
        assert drawn <= present
        assert len(drawn) == (len(present) + 1) // 2


def test_every_class_is_drawn_equally_often():
    torch.manual_seed(0)
    label = torch.arange(5).repeat(200, 1)[:, None]
    share = draw_classes(label)[:, :5].float().mean(0)
    torch.testing.assert_close(share, torch.full((5,), 3 / 5), atol=0.12, rtol=0)


@pytest.mark.parametrize("seed", range(6))
def test_color_jitter(seed, device):
    golden = load("color_jitter")
    img = gen.image(80 + seed, (1 if seed < 4 else 2, 3, 48, 64))
    mean, std, img, factors = (
        tensor(array, device) for array in (gen.MEAN, gen.STD, img, golden[f"factors{seed}"])
    )
    out = color_jitter((img * std + mean) / 255, golden[f"order{seed}"].tolist(), factors)
    out = (out * 255 - mean) / std
    assert_values(out[..., ::2, ::2], golden[f"out{seed}"], rtol=1e-7)


@pytest.mark.parametrize(("case", "size"), enumerate([(64, 96), (128, 128), (48, 64), (512, 512)]))
def test_gaussian_blur(case, size, device):
    golden = load("gaussian_blur")
    img = tensor(gen.image(90 + case, (1, 3, *size)), device)
    out = gaussian_blur(img, torch.tensor(golden[f"sigma{case}_f64"], device=device).float())
    assert [blur_kernel_size(length) for length in size] == golden[f"kernel{case}"].tolist()
    part = out[..., 200:264, 200:264] if case == 3 else out[..., ::2, ::2]
    assert_values(part, golden[f"out{case}"], rtol=1e-7, atol=1e-5)
    assert_digest(out, golden[f"digest{case}"], rtol=1e-6)


def test_jitter_fires_above_the_threshold_only():
    img = torch.zeros(2, 3, 16, 16)
    skip = load("color_jitter")["skip_p"]
    for uniform, skipped in zip([0.0, 0.2, 0.2000001], skip, strict=True):

        class Decided(StepContext):
            def decide(self, number: int, uniform: float = uniform) -> list[float]:
                return [uniform, 0.0]

        out = StrongAugmentation(0.2, 0.2)(img, SegDataPreprocessor(), Decided())
        assert torch.equal(out, img) == bool(skipped)


def test_odds_and_ranges_are_the_published_ones(monkeypatch):
    steps, orders, factors, widths = 1000, [], [], []

    def jitter(img, order, drawn):
        orders.append(tuple(order))
        factors.append(drawn)
        return img

    def blur(img, sigma):
        widths.append(sigma)
        return img

    monkeypatch.setattr("mmseg.models.uda.parts.strong_augmentation.color_jitter", jitter)
    monkeypatch.setattr("mmseg.models.uda.parts.strong_augmentation.gaussian_blur", blur)
    img, normalizer = torch.zeros(2, 3, 2, 2), SegDataPreprocessor()
    for iteration in range(steps):
        StrongAugmentation()(img, normalizer, StepContext.of_step(0, iteration))
    assert len(factors) / steps == pytest.approx(0.8, abs=0.04)
    assert len(widths) / steps == pytest.approx(0.5, abs=0.05)
    assert len(set(orders)) == 24
    ranges = dict(brightness=(0.8, 1.2), contrast=(0.8, 1.2), saturation=(0.8, 1.2), hue=(-0.2, 0.2))
    drawn = [*torch.cat(factors, dim=1), torch.cat(widths)]
    for values, (low, high) in zip(drawn, [*ranges.values(), (0.15, 1.15)], strict=True):
        assert low <= values.min() < low + 0.01 and high - 0.01 < values.max() <= high
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=0.04)


def test_downscale_label_ratio(device):
    sizes = [(128, 128), (128, 128), (128, 192), (128, 128), (70, 50)]
    for name, expected in load("downscale_label_ratio").items():
        case, scale, ratio = (int(part[1:]) for part in name.split("_"))
        label = gen.label(60 + case, (2, 1, *sizes[case]), 6 if case == 0 else 24, ignore_frac=0.2)
        found = downscale_label_ratio(tensor(label, device)[:, 0], scale, ratio / 100, 19)
        np.testing.assert_array_equal(host(found), expected[:, 0])


def test_feature_distance(device):
    golden = load("loss_fd")
    first, second = (tensor(f, device) for f in gen.feats(55, [(2, 64, 4, 6)] * 2))
    first.requires_grad_()
    label = tensor(gen.label(56, (2, 1, 128, 192), 32, ignore_frac=0.1), device)[:, 0]
    small = downscale_label_ratio(label, 32, 0.75, 19)
    np.testing.assert_array_equal(host(small), golden["label_small"][:, 0])
    mask = class_table(THINGS).to(device)[small]
    np.testing.assert_array_equal(host(mask), golden["mask"][:, 0])
    value = masked_feature_distance(first, second, mask)
    value.backward()
    np.testing.assert_allclose(value.item(), golden["value"], rtol=1e-5)
    assert_values(first.grad, golden["grad_f1"], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(
        masked_feature_distance(first, second).item(), golden["value_nomask"], rtol=1e-5
    )


def test_empty_feature_distance_mask_gives_zero():
    first, second = (torch.from_numpy(f).requires_grad_() for f in gen.feats(55, [(2, 64, 4, 6)] * 2))
    value = masked_feature_distance(first, second, torch.zeros(2, 4, 6, dtype=torch.bool))
    value.backward()
    assert value.item() == 0
    assert not first.grad.any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(alpha=1.5), "alpha"),
        (dict(pseudo_threshold=96.8), "pseudo_threshold"),
        (dict(alpha="high"), "alpha='high'"),
        (dict(imnet_feature_dist_lambda=-1), "imnet_feature_dist_lambda=-1"),
        (dict(imnet_feature_dist_classes=[6]), "scale_min_ratio"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        DACS(tiny(), **settings)
