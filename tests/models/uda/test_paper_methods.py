"""FCNs in the Wild, ROAD and FCAN against the equations of their papers: there is no published code."""

import json
import math

import pytest
import torch
from golden_data import gen, load
from networks import assert_values
from torch import Tensor, nn
from torch.nn.functional import softplus
from uda_steps import MIC, tiny, tiny_batch, tiny_method, wrappers

from mmseg.errors import ConfigError
from mmseg.models.uda import ADDA, FCAN, ROAD, FCNsInTheWild
from mmseg.models.uda.fcan import ASPPDiscriminator
from mmseg.models.uda.fcns_in_the_wild import confusion
from mmseg.models.uda.parts.category_sizes import CategorySizes, closest_prediction, size_bounds
from mmseg.models.uda.parts.gradient_reversal import reverse_gradient
from mmseg.models.uda.road import divide

FOUR = dict(lower=[0.05] * 4, mean=[0.1] * 4, upper=[0.5] * 4)


def features(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    return [torch.from_numpy(x).double() for x in gen.feats(seed, shapes)]


# ------------------------------------------------------------------------------------------- FCNs in the Wild


def test_losses_of_fcns_in_the_wild_equal_the_stored_ones():
    """L_D, L_Dinv and half of their sum, of logits of the source's probability."""
    source, target = features(76, (2, 1, 5, 7), (2, 1, 5, 7))
    own, swapped, mean = load("alignment/loss_papers")["wild_values"]
    number = source.numel()
    assert number * (softplus(-source).mean() + softplus(target).mean()).item() == pytest.approx(own)
    assert number * (softplus(source).mean() + softplus(-target).mean()).item() == pytest.approx(swapped)
    assert number * (confusion(source) + confusion(target)).item() == pytest.approx(mean)


def test_the_student_confuses_and_the_discriminator_tells_apart():
    method = tiny_method(FCNsInTheWild, tiny(), ramp_iters=0, lambda_adv=1.0)
    for layer in method.model_D.modules():
        if isinstance(layer, nn.Dropout2d):
            layer.p = 0.0
    with torch.no_grad():
        seen = [method.model.extract_feat(tiny_batch()[name])[-1] for name in ("img", "target_img")]
        source, target = (method.model_D(x) for x in seen)
    log = method.train_step(tiny_batch(), wrappers(method))
    assert log["D_src.loss"] == pytest.approx(softplus(-source).mean().item())
    assert log["D_trg.loss"] == pytest.approx(softplus(target).mean().item())
    assert log["G_src.loss"] == pytest.approx(confusion(source).item())
    assert log["G_trg.loss"] == pytest.approx(confusion(target).item())


def test_the_alignment_of_fcns_in_the_wild_fades_in():
    method = tiny_method(FCNsInTheWild, tiny())
    assert method.ramp(0) == 0 and method.ramp(1200) == pytest.approx(2 / (1 + 2.718281828**-10) - 1)
    log = method.train_step(tiny_batch(), wrappers(method))
    assert log["G_trg.loss"] == 0 and log["D_trg.loss"] > 0


# ------------------------------------------------------------------------------------------------ class sizes


def test_sizes_of_classes_are_those_of_images_that_have_them():
    pixels = torch.tensor([[0, 90, 10], [0, 70, 30], [0, 100, 0], [0, 4, 0]], dtype=torch.float64)
    lower, mean, upper = size_bounds(pixels)
    assert lower.tolist() == pytest.approx([0, 0.76, 0.12])
    assert mean.tolist() == pytest.approx([0, 0.9, 0.2])
    assert upper.tolist() == pytest.approx([0, 1.0, 0.28])


def test_predictions_within_the_bounds_stay():
    (z,) = features(1, (2, 4, 5, 6))
    loss = CategorySizes(4, dict(lower=[0.0] * 4, mean=[0.0] * 4, upper=[1.0] * 4)).double()
    assert loss(z).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [(0.4, 0.6, 0.4), (0.05, 0.1, 0.1), (0.2, 0.3, 0.25), (0.9, 1.0, math.e / (math.e + 3))],
    ids=["lower", "upper", "within", "slack"],
)
def test_the_closest_prediction_of_equal_positions_has_a_closed_form(least, most, expected):
    """q = (¼, ¾) everywhere: the first class gets its bound, or e times its share, the other one the rest."""
    log_q = torch.tensor([0.25, 0.75], dtype=torch.float64).log().view(1, 2, 1, 1).expand(1, 2, 3, 3)
    bounds = [torch.tensor(x, dtype=torch.float64) for x in ([least, 0.0], [most, 1.0])]
    p = closest_prediction(log_q, torch.ones(1, 2, dtype=torch.bool), *bounds, slack=1.0, iterations=50)
    assert p[0, 0].flatten().tolist() == pytest.approx([expected] * 9, abs=1e-6)


def test_the_closest_prediction_meets_the_conditions_of_its_problem():
    """Bounds hold, lower ones but for the slack; multipliers act at bounds only."""
    (z,) = features(2, (2, 5, 7, 9))
    log_q = (3 * z).log_softmax(dim=1)
    least = torch.tensor([0.5, 0.05, 0.1, 0.0, 0.02], dtype=torch.float64)
    most = torch.tensor([0.7, 0.1, 0.3, 0.1, 0.9], dtype=torch.float64)
    present = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 1, 1]], dtype=torch.bool)
    p = closest_prediction(log_q, present, least, most, slack=2.0, iterations=3000)
    size = p.mean(dim=(2, 3))
    dual = (p / log_q.exp()).log()
    dual = (dual - dual[:, 4:]).mean(dim=(2, 3))  # the last class is free in both images
    assert (size[:, 4] > least[4]).all() and (size[:, 4] < most[4]).all()
    assert size[1, 2] == 0 and torch.allclose(p.sum(dim=1), torch.ones(2, 7, 9).double())
    for image in range(2):
        for c in (0, 1, 2, 3):
            if not present[image, c]:
                continue
            assert size[image, c] <= most[c] + 1e-6
            if dual[image, c] > 1e-6:
                short = size[image, c] < least[c] - 1e-6
                assert dual[image, c].item() == pytest.approx(2) if short else True
                assert short or size[image, c].item() == pytest.approx(least[c].item(), abs=1e-6)
            elif dual[image, c] < -1e-6:
                assert size[image, c].item() == pytest.approx(most[c].item(), abs=1e-6)
            else:
                assert least[c] - 1e-6 <= size[image, c]


def test_the_gradient_of_the_sizes_is_what_is_too_much():
    """(q − p) / N, a tenth of it for large classes."""
    z = features(3, (1, 4, 6, 5))[0].requires_grad_()
    sizes = dict(lower=[0.3, 0.05, 0.05, 0.05], mean=[0.4, 0.1, 0.1, 0.1], upper=[0.6, 0.2, 0.15, 0.2])
    loss = CategorySizes(4, sizes).double()
    value = loss(z)
    value.backward()
    bounds = [torch.tensor(sizes[name], dtype=torch.float32).double() for name in ("mean", "upper")]
    with torch.no_grad():
        q = z.softmax(dim=1)
        p = closest_prediction(q.log(), torch.ones(1, 4, dtype=torch.bool), *bounds, slack=2.0, iterations=50)
        assert value.item() == pytest.approx((p * (p / q).log()).sum(dim=1).mean().item())
        gradient = (q - p) / 30
        gradient[:, 0] *= 0.1
    torch.testing.assert_close(z.grad, gradient)


def test_a_class_that_is_hardly_predicted_is_absent():
    z = torch.zeros(1, 4, 10, 10, dtype=torch.float64)
    z[:, 0] = 1.0
    z[:, 1, 0, 0] = 5.0  # the share of class 1 is 0.01
    sizes = {name: [0.4, 0.2, 0.2, 0.2] for name in ("lower", "mean", "upper")}
    assert CategorySizes(4, sizes).double()(z) > 0.3, "absent classes are taken away"
    sizes["lower"] = [0.4, 0.09, 0.2, 0.2]  # 0.01 > 0.1 · 0.09
    z = z.requires_grad_()
    CategorySizes(4, sizes | dict(upper=[1.0] * 4)).double()(z).backward()
    assert (z.grad[:, 1, 1:] < 0).all() and (z.grad[:, 2:] > 0).all()


SIZES = dict(lower=[0.1, 0.1], mean=[0.2, 0.2], upper=[0.3, 0.3])


@pytest.mark.parametrize(
    "sizes",
    [
        [0.1, 0.2], 5, dict(lower=[0.1, 0.1]), SIZES | dict(mean=[0.2]), SIZES | dict(mean=["a", "b"]),
        SIZES | dict(upper=None), SIZES | dict(upper=[0.3, math.nan]), SIZES | dict(upper=[0.3, 1.1]),
        SIZES | dict(mean=[0.2, 0.4]), SIZES | dict(lower=[0.1, 0.4]), SIZES | dict(lower=[-0.1, 0.1]),
    ],
)  # fmt: skip
def test_impossible_sizes_are_refused(sizes):
    CategorySizes(2, SIZES)
    with pytest.raises(ConfigError, match="none above its upper one, or a file of statistics"):
        CategorySizes(2, sizes)


def test_sizes_come_from_the_statistics_of_the_source(tmp_path):
    path = tmp_path / "sample_class_stats.json"
    method = tiny_method(FCNsInTheWild, tiny(), sizes=str(path))
    with pytest.raises(ConfigError, match="json: cannot be read as class statistics"):
        method.begin_run(0, 10)
    path.write_text(json.dumps([{"0": 60, "1": 40, "file": "a.png"}, {"0": 50, "3": 50, "file": "b.png"}]))
    method.begin_run(0, 10)
    assert method.sizes.bounds[1].tolist() == pytest.approx([0.55, 0.4, 0, 0.5])
    assert method.train_step(tiny_batch(), wrappers(method))["sizes.loss"] > 0


# ---------------------------------------------------------------------------------------------- ROAD and FCAN


def test_reversed_gradients():
    x = torch.tensor([2.0], requires_grad=True)
    y = reverse_gradient(x, 0.25)
    (3 * y).backward()
    assert y.item() == 2 and x.grad.item() == -0.75


def test_regions_cover_the_map_once():
    x = torch.arange(7 * 8).view(1, 1, 7, 8)
    parts = divide(x, (3, 3))
    assert [tuple(part.shape[2:]) for part in parts[::4]] == [(3, 3), (2, 3), (2, 2)]
    assert sorted(torch.cat([part.flatten() for part in parts]).tolist()) == list(range(56))
    assert parts[1].min() == 3 and parts[3].min() == 24, "row by row"
    with pytest.raises(ConfigError, match=r"regions=\(3, 3\), but features of \(2, 5\) positions"):
        divide(x[:, :, :2, :5], (3, 3))


def test_each_region_has_its_own_classifier():
    """Source 1, target 0; the encoder gets the reversed gradient with the weight, a classifier all of it."""
    method = tiny_method(ROAD, tiny(), regions=(2, 1), lambda_spatial=0.5)
    for network in method.model_D:
        for parameter in network.parameters():
            nn.init.zeros_(parameter)
    nn.init.constant_(method.model_D[1].D[-1].bias, 2.0)
    levels = [torch.ones(2, c, 2, 2, requires_grad=True) for c in (32, 64, 160, 256)]
    for label, second in ((1.0, -2.0), (0.0, 2.0)):
        expected = softplus(torch.zeros(())) + softplus(torch.tensor(second))
        assert method.spatial_loss(levels, label).item() == pytest.approx(expected.item())
    nn.init.ones_(method.model_D[0].D[0].weight), nn.init.ones_(method.model_D[0].D[3].weight)
    nn.init.constant_(method.model_D[0].D[-1].weight, 1e-3)
    method.eval().spatial_loss(levels, 0.0).backward()
    upper, lower = levels[-1].grad.tensor_split(2, dim=2)
    assert (upper < 0).all() and (lower == 0).all(), "more of it would be told apart: reversed"


def test_distillation_is_the_distance_on_target_images():
    method = tiny_method(ROAD, tiny(), regions=(1, 1), lambda_distillation=2.0)
    assert method.train_step(tiny_batch(), wrappers(method))["distillation.loss"] < 1e-4, "the same encoder"
    nn.init.zeros_(method.model.backbone.norm4.weight), nn.init.zeros_(method.model.backbone.norm4.bias)
    img = tiny_batch()["target_img"]
    expected = torch.linalg.vector_norm(method.imnet_model.extract_feat(img)[-1], dim=1).mean()
    found = method.train_step(tiny_batch(), wrappers(method))["distillation.loss"]
    assert found.item() == pytest.approx(2 * expected.item(), rel=1e-3)


def test_the_adversary_of_fcan_equals_the_stored_one():
    golden = load("alignment/loss_papers")
    source, target = features(75, (2, 32, 9, 12), (2, 32, 9, 12))
    network = ASPPDiscriminator(32, (1, 2, 3, 4), 128)
    gen.fill(network.state_dict())
    scores = [network.double()(x) for x in (source, target)]
    for score, name in zip(scores, ("source", "target"), strict=True):
        assert_values(score, golden[f"fcan_d_{name}"], rtol=1e-5, atol=1e-6)
    value = softplus(scores[0]).mean() + softplus(-scores[1]).mean()
    assert value.item() == pytest.approx(float(golden["fcan_adv_f64"]), rel=1e-6)


def test_fcan_is_a_minimax_of_one_backward_pass():
    method = tiny_method(FCAN, tiny(), lambda_seg=3.0)
    wrapper = wrappers(method)
    trained = {id(p) for group in wrapper.param_groups for p in group["params"]}
    assert {id(p) for p in method.model_D.parameters()} < trained
    reference, _ = method.model.forward_train(tiny_batch()["img"], tiny_batch()["gt_semantic_seg"])
    with torch.no_grad():
        seen = [method.model.extract_feat(tiny_batch()[name])[-1] for name in ("img", "target_img")]
        source, target = (method.model_D(x) for x in seen)
    log = method.train_step(tiny_batch(), wrapper)
    assert log["decode.loss_seg"].item() == pytest.approx(3 * reference["decode.loss_seg"].item(), rel=1e-4)
    assert log["decode.acc_seg"].item() == pytest.approx(reference["decode.acc_seg"].item())
    assert log["D_src.loss"].item() == pytest.approx(softplus(source).mean().item(), rel=1e-4)
    assert log["D_trg.loss"].item() == pytest.approx(softplus(-target).mean().item(), rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (FCNsInTheWild, dict(lambda_adv=-1), "lambda_adv=-1"),
        (FCNsInTheWild, dict(sizes=dict(lower=[0.1] * 4)), r"expected dict\(lower, mean, upper\)"),
        (FCNsInTheWild, dict(sizes=FOUR | dict(upper=[2.0] * 4)), r"a share in \[0, 1\] for each of the 4"),
        (FCNsInTheWild, dict(sizes=FOUR, slack=-1), "slack=-1"),
        (ROAD, dict(regions=(3,)), r"regions=\(3,\)"),
        (ROAD, dict(lambda_spatial=-1), "lambda_spatial"),
        (FCAN, dict(lambda_seg=-1), "lambda_seg"),
        (FCAN, dict(dilations=()), "dilations"),
    ],
)
def test_settings_of_paper_methods_out_of_range_are_refused(kind, settings, message):
    with pytest.raises(ConfigError, match=message):
        tiny_method(kind, tiny(), **settings)


KINDS = [
    (ADDA, dict(accuracy_threshold=0.0)),
    (ADDA, dict(discriminate="features", weights_shared=False, accuracy_threshold=0.0)),
    (FCNsInTheWild, dict(sizes=FOUR)),
    (ROAD, dict(regions=(2, 2))),
    (FCAN, {}),
]


@pytest.mark.parametrize(("kind", "settings"), KINDS)
@pytest.mark.parametrize(("hrda", "masking"), [(False, MIC), (True, None), (True, MIC)])
def test_paper_methods_combine_with_hrda_and_masking(kind, settings, hrda, masking):
    if kind is ROAD and hrda:
        settings = dict(regions=(1, 1))  # the context has one position
    method = tiny_method(kind, tiny(hrda=hrda), masking=masking, **settings)
    wrapper = wrappers(method)
    for _ in range(2):
        log = method.train_step(tiny_batch() | dict(wants_pictures=True), wrapper)
    assert all(torch.isfinite(value).all() for name, value in log.items() if name != "pictures")
    assert ("masked.decode.loss_seg" in log) == (masking is not None)
    supervised = settings.get("weights_shared", True)
    assert ("decode.hr.loss_seg" in log) == (hrda and supervised)
    learnt = (method.model_D.parameters(), method.model.decode_head.parameters() if supervised else ())
    assert all(parameter.requires_grad for parameters in learnt for parameter in parameters)


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_steps_in_bfloat16_have_losses_in_float32(kind, settings):
    """About those of single precision; discriminators learn."""
    logs = []
    for precision in (None, torch.bfloat16):
        method = tiny_method(kind, tiny(), **settings)
        for layer in method.modules():
            if isinstance(layer, nn.Dropout2d):
                layer.p = 0.0
        wrapper = wrappers(method)
        for single in wrapper.values() if method.other_networks else [wrapper]:
            single.dtype = precision
        logs.append(
            {name: x for name, x in method.train_step(tiny_batch(), wrapper).items() if "loss" in name}
        )
        if kind is not ADDA:  # whose discriminator has stepped, without gradients since
            weights = [parameter for parameter in method.model_D.parameters() if parameter.ndim > 1]
            assert all((weight.grad != 0).any() for weight in weights)
    for name, value in logs[0].items():
        assert logs[1][name].dtype == torch.float32
        assert logs[1][name].item() == pytest.approx(value.item(), rel=0.1, abs=0.05), name
