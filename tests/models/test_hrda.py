"""HRDA against the stored numbers of the published implementation, and sliding windows of any size."""

import copy
import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_data import gen, listing, load, norm
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import (
    assert_digest,
    assert_values,
    filled_published,
    gradient_digests,
    host,
    model_config,
    published_names,
    tensor,
    train_without_randomness,
    under_hrda,
)
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg.errors import ConfigError, TrainingError
from mmseg.models.decode_heads.hrda_features import HRDAFeatures
from mmseg.models.decode_heads.hrda_head import paste
from mmseg.models.layers.resize import resize
from mmseg.models.layers.sliding_window import Window, sliding_windows
from mmseg.models.segmentors import EncoderDecoder, hrda_encoder_decoder
from mmseg.models.segmentors.hrda_encoder_decoder import blurred, downscaled, draw_detail_window
from mmseg.registry import MODELS

BOX = Window(32, 96, 16, 80)
DAFORMER = model_config("daformer_sepaspp_mitb5", "mit_b0")


def config(head: dict | None = None, **segmentor) -> dict:
    return copy.deepcopy(under_hrda(DAFORMER, head, **segmentor))


CASES = {
    "hrda_daformer": config(),
    "hrda_fixedatt": config(dict(fixed_attention=0.5)),
    "hrda_lrloss_all": config(dict(lr_loss_weight=0.1), feature_scale="all"),
    "hrda_nooverlap": config(hr_slide_overlapping=False),
    "hrda_conv1": under_hrda(model_config("daformer_conv1_mitb5", "mit_b0")),
    "hrda_dlv2": under_hrda(model_config("deeplabv2red_r50-d8")),
}


def filled(cfg: dict, device: str = "cpu") -> nn.Module:
    """The network with the weights of the stored cases."""
    return filled_published(MODELS.build(cfg).to(device))


def with_crop_at_box(model: nn.Module) -> nn.Module:
    """The network, whose detail crop is that of the stored cases."""
    model.draw_window = lambda size: BOX
    return model


def image(device: str = "cpu") -> torch.Tensor:
    return tensor(gen.image(41, (2, 3, 128, 128)), device)


def label(device: str = "cpu") -> torch.Tensor:
    return tensor(gen.label(42, (2, 1, 128, 128), 16), device)[:, 0]


@pytest.mark.parametrize("name", CASES)
def test_inference(name, device):
    golden, model, img = load(name), filled(CASES[name], device).eval(), image(device)
    with torch.no_grad():
        raw = model.encode_decode(img, upscale_pred=False)
        up = model.encode_decode(img)
    assert_values(raw[..., ::2, ::2], golden["infer_raw_s2"], atol=3e-4)
    assert_digest(raw, golden["infer_raw_digest"])
    assert_digest(up, golden["infer_up_digest"])
    limited = filled({**CASES[name], "max_windows_per_forward": 2}, device).eval()
    with torch.no_grad():
        tolerance = 1e-5 if device == "cpu" else 1e-4
        torch.testing.assert_close(limited.encode_decode(img), up, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_layers_of_a_detail_crop(name, device):
    golden, model = load(name), filled(CASES[name], device).eval()
    with torch.no_grad():
        fused, context, detail, _ = model.decode_head.fuse(model.extract_feat(image(device), [BOX]))
    for layer, found in dict(fused=fused, lr=context, hr=detail).items():
        assert_values(found[:1], golden[f"crop_{layer}"], atol=3e-4)
        assert_digest(found, golden[f"crop_{layer}_digest"])


@pytest.mark.parametrize("name", CASES)
def test_training_losses_gradients_and_features(name, device):
    golden, model = load(name), train_without_randomness(with_crop_at_box(filled(CASES[name], device)))
    # float32 in batch norms of many layers: the stored ResNet is itself 7e-4 and 1.3 % off a run in float64
    feature_atol, gradient_rtol = (1e-3, 2e-2) if "dlv2" in name else (3e-4, 2e-3)
    losses, features = model.forward_train(image(device), label(device), return_feat=True)
    check_losses(golden, "", losses)
    found = [feature.detach() for feature, _ in model.distance_features(features)]
    names = ["feat3_lr", "feat3_hr"] if "feat3_lr" in golden else ["feat3"]
    for feature, key in zip(found, names, strict=True):
        thinned = feature[:, :: feature.shape[1] // golden[key].shape[1]]
        assert_values(thinned, golden[key], atol=feature_atol)
    sum(value for key, value in losses.items() if "loss" in key).backward()
    names, digests = gradient_digests(model)
    published = published_names(model)
    assert [published[name] for name in names] == list(golden["grad_names"])
    np.testing.assert_allclose(norm(digests), norm(golden["grad_digest"]), rtol=gradient_rtol, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_weighted_training_losses(name, device):
    golden, model = load(name), train_without_randomness(with_crop_at_box(filled(CASES[name], device)))
    weight = tensor(np.random.RandomState(43).random_sample((2, 128, 128)).astype(np.float32), device)
    losses, _ = model.forward_train(image(device), label(device), seg_weight=weight)
    check_losses(golden, "w_", losses)


def check_losses(golden: dict, prefix: str, losses: dict) -> None:
    stored = zip(golden[f"{prefix}log_names"], golden[f"{prefix}log_values_f64"], strict=True)
    expected = {name: value for name, value in stored if name != "loss"}
    assert set(losses) == set(expected)
    for key, value in expected.items():
        tolerance = dict(rel=1e-4)
        if losses[key].is_cuda:  # other roundings; single pixels (of 8192 and more) fall to other classes
            tolerance = dict(rel=1e-3) if "loss" in key else dict(abs=0.05)
        assert losses[key].item() == pytest.approx(value, **tolerance), key


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        (
            "batched",
            dict(test_cfg=dict(mode="slide", crop_size=(128, 128), stride=(64, 64), batched_slide=True)),
        ),
        ("loop", dict(test_cfg=dict(mode="slide", crop_size=(128, 128), stride=(64, 64)))),
        ("whole", dict(test_cfg=dict(mode="whole"))),
        ("noslide", dict(test_cfg=dict(mode="whole"), hr_slide_inference=False)),
    ],
)
def test_whole_and_sliding_test_inference(name, settings, device):
    golden, model = load("hrda_inference"), filled(config(**settings), device).eval()
    probability = model.predict_probabilities(tensor(gen.image(44, (1, 3, 128, 224)), device))
    assert_values(probability[..., ::4, ::4], golden[f"{name}_prob_s4"], atol=3e-4)
    assert_digest(probability, golden[f"{name}_prob_digest"])
    if f"{name}_pred" in golden:
        assert (host(probability.argmax(1)[0]) == golden[f"{name}_pred"]).mean() >= 0.999


@pytest.mark.parametrize(
    "settings",
    [
        dict(head=dict(attention_classwise=False)),
        dict(blur_hr_crop=True),
        dict(scales=[1, 0.75], feature_scale=0.75),
        dict(scales=[1, 0.25], feature_scale=0.25),
        dict(scales=[1, 1], feature_scale=1),
        dict(hr_crop_size=(128, 128)),
    ],
)
def test_ablations_train_and_predict(settings):
    model = filled(config(**settings)).train()
    losses, _ = model.forward_train(image(), label())
    sum(value for key, value in losses.items() if "loss" in key).backward()
    assert all(torch.isfinite(value) for value in losses.values())
    assert model.decode_head.scale_attention.conv_seg.weight.grad.abs().sum() > 0
    with torch.no_grad():
        assert model.eval().encode_decode(image()).shape == (2, 19, 128, 128)


def test_one_attention_map_weighs_all_classes_alike():
    model = filled(config(dict(attention_classwise=False))).eval()
    with torch.no_grad():
        features = model.extract_feat(image(), [BOX])
        attention = model.decode_head.attention(features, model.decode_head.head(features.context), 4)
    assert attention.shape == (2, 1, 16, 16)
    rows, columns = attention[0, 0].nonzero(as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (
        4,
        11,
        2,
        9,
    )  # the crop in context cells


def test_blurred_detail_has_half_the_resolution():
    stripes = torch.arange(64).remainder(2).float().expand(1, 3, 64, 64)
    torch.testing.assert_close(hrda_encoder_decoder.blurred(stripes), torch.full((1, 3, 64, 64), 0.5))


def test_windows_and_training_crops():
    golden = load("hrda_windows")
    for case, (height, width, crop_h, crop_w, overlap) in enumerate(golden["cases"]):
        stride = (crop_h // 2, crop_w // 2) if overlap else (crop_h, crop_w)
        found = sliding_windows((height, width), (crop_h, crop_w), stride)
        np.testing.assert_array_equal(np.array(found), golden[f"boxes{case}"])
    for row, (seed, *box) in enumerate(golden["train_crop"]):
        random = np.random.RandomState(seed)
        size, crop = ((1024, 1024), (512, 512)) if row < 20 else ((128, 128), (64, 64))
        assert draw_detail_window(size, crop, 8, random.randint) == tuple(box)


def test_offsets_stop_one_step_before_the_end():
    drawn = {draw_detail_window((1024, 1024), (512, 512), 8).top for _ in range(2000)}
    assert drawn == set(range(0, 512, 8))


def test_a_crop_of_the_size_of_the_image_is_the_image():
    assert draw_detail_window((64, 64), (64, 64), 8) == (0, 64, 0, 64)


def test_too_large_crop_is_explained():
    with pytest.raises(ConfigError, match="hr_crop_size"):
        draw_detail_window((64, 64), (128, 64), 8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(scales=[0.5, 0.25]), "scales"),
        (dict(feature_scale=0.75), "feature_scale"),
        (dict(head=dict(decoder_params={})), "decoder_params"),
        (dict(hr_crop_size=(64, 66)), "hr_crop_size"),
        (dict(crop_coord_divisible=0), "crop_coord_divisible"),
        (dict(auxiliary_head=config()["decode_head"]), "auxiliary_head"),
        (dict(head=dict(hr_loss_weight=0.6, lr_loss_weight=0.5)), "hr_loss_weight"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        MODELS.build(config(**settings))


def test_grid_of_the_first_configs_predicts_and_does_not_train():
    """The grid only matters where training crops are drawn."""
    model, first = (filled(config(crop_coord_divisible=grid)).eval() for grid in (8, 1))
    odd = image()[:, :, :99, :121]
    with torch.no_grad():
        assert first.encode_decode(odd).shape[2:] == (99, 121)
        torch.testing.assert_close(first.encode_decode(image()), model.encode_decode(image()))
    model.training_features(image())
    for grid in (1, 6):
        with pytest.raises(ConfigError, match=f"crop_coord_divisible={grid}; training needs a multiple of"):
            filled(config(crop_coord_divisible=grid)).training_features(image())


def test_both_scales_go_through_the_encoder_together_with_the_same_result():
    model = filled(config()).eval()
    passes = []
    model.backbone.register_forward_hook(lambda *_: passes.append(1))
    with torch.no_grad():
        together = model.extract_feat(image(), [BOX])
        assert len(passes) == 1
        alone = model.backbone(BOX.of(image()))
    for found, expected in zip(together.detail, alone, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_two_models_do_not_disturb_each_other():
    first, second = filled(config()).eval(), filled(config()).eval()
    with torch.no_grad():
        features = first.extract_feat(image(), [BOX])
        expected = first.decode_head(features)
        second.extract_feat(image(), [Window(0, 64, 0, 64)])
        torch.testing.assert_close(first.decode_head(features), expected, rtol=0, atol=0)


@functools.cache
def small() -> nn.Module:
    """A narrow decoder: fast enough for many sizes."""
    narrow = {"decode_head.channels": 8, "decode_head.decoder_params.embed_dims": 8}
    return filled(under_hrda(model_config("daformer_conv1_mitb5", "mit_b0", narrow))).eval()


@st.composite
def sliding_cases(draw: st.DrawFn) -> dict:
    """Image size, HRDA's inner windows, the outer windows of the test, and a limit of windows per pass."""
    sharing = st.sampled_from([64, 72, 88])  # on the grid of the crops, so details are computed once
    length = draw(st.sampled_from([st.integers(24, 90), sharing]))
    outer = [draw(length) for _ in range(2)]
    return dict(
        size=[draw(st.integers(20, 110)) for _ in range(2)],
        hr_crop_size=[8 * draw(st.integers(4, 8)) for _ in range(2)],
        hr_slide_overlapping=draw(st.booleans()),
        crop_size=outer,
        stride=[draw(st.integers(max(16, span // 3), span)) for span in outer],
        limit=draw(st.integers(1, 5)),
    )


@settings(max_examples=10, deadline=None)
@given(sliding_cases())
def test_sliding_inference_of_any_size_equals_one_window_at_a_time(case):
    """Inner windows of HRDA in outer windows of the test; none of their logits are shared."""
    model = copy.copy(small())
    model.hr_crop_size, model.hr_slide_overlapping = case["hr_crop_size"], case["hr_slide_overlapping"]
    img = torch.randn(1, 3, *case["size"], generator=torch.Generator().manual_seed(0))

    def predict(inner: int | None, **outer) -> torch.Tensor:
        model.max_windows_per_forward = inner
        model.test_cfg = dict(mode="slide", crop_size=case["crop_size"], stride=case["stride"], **outer)
        return model.predict(img)

    with torch.no_grad():
        logits = EncoderDecoder._slide(model, img, case["crop_size"], case["stride"], 1)
    expected = resize(logits, img.shape[2:])
    assert expected.shape == (1, 19, *case["size"])
    assert torch.isfinite(expected).all()
    limit = case["limit"]
    for found in (
        predict(1),
        predict(None, batched_slide=True),
        predict(limit, batched_slide=True, max_windows_per_forward=limit),
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(sliding_cases(), st.sampled_from([4, 8]))
def test_detail_windows_lie_exactly_in_their_places(case, stride):
    """Every pixel has its own value, so cells that are pasted elsewhere differ."""
    model = copy.copy(small())
    grain = stride // 4  # the crops of a case are allowed over a head of stride 4
    model.hr_crop_size = [grain * length for length in case["hr_crop_size"]]
    model.hr_slide_overlapping = case["hr_slide_overlapping"]
    height, width = (grain * (length + model._padding(length)) for length in case["size"])
    pixels = torch.arange(2 * height * width, dtype=torch.float64).view(2, 1, height, width)
    windows = model.detail_windows((height, width))
    detail = F.avg_pool2d(torch.cat([window.of(pixels) for window in windows]), stride)
    features = HRDAFeatures([], [], windows, (height, width), 0.5)
    torch.testing.assert_close(
        paste(detail, features, stride), F.avg_pool2d(pixels, stride), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("overlapping", [True, False])
def test_windows_between_the_cells_of_the_head_are_refused(overlapping):
    """Over a head of stride 8, windows of 72 pixels that overlap by half would begin at pixel 36."""
    cfg = CASES["hrda_dlv2"] | dict(hr_crop_size=(72, 72), hr_slide_overlapping=overlapping)
    if overlapping:
        with pytest.raises(ConfigError, match=r"hr_crop_size=\(72, 72\); expected multiples of 16, twice"):
            MODELS.build(cfg)
    else:
        assert MODELS.build(cfg).output_stride == 8


@pytest.mark.parametrize(("divisible", "exact"), [(8, False), (16, True)])
def test_detail_crops_of_dlv2_lie_on_the_context_grid_with_offsets_of_16(divisible, exact):
    """Cells of the context cover 16 pixels; the published grid of 8 is off by half a cell."""
    model = filled(CASES["hrda_dlv2"] | dict(crop_coord_divisible=divisible)).eval()
    torch.manual_seed(0)
    boxes = {draw_detail_window((256, 256), (64, 64), model.crop_coord_divisible) for _ in range(50)}
    assert all(edge % 16 == 0 for box in boxes for edge in box) == exact
    with torch.no_grad():
        features = model.training_features(image())
        attention = model.decode_head.attention(features, model.decode_head.head(features.context), 8)
    (box,) = features.windows
    seen = attention[0].amax(0).nonzero()
    assert (seen[-1] - seen[0] + 1).tolist() == [4, 4]
    assert seen[0].tolist() == [box.top // 16, box.left // 16]


def test_the_attention_of_a_training_pass_is_a_picture():
    model = with_crop_at_box(copy.deepcopy(small())).train()
    _, features = model.forward_train(image(), label(), return_feat=True)
    attention = model.pictures_of(features)["attention"]
    assert attention.shape == (2, 32, 32) and not attention.requires_grad
    assert attention.min() == 0 and 0 < attention.max() <= 1
    inside = BOX.of(attention.repeat_interleave(4, 1).repeat_interleave(4, 2))
    assert (inside > 0).all()
    fixed = with_crop_at_box(filled(CASES["hrda_fixedatt"]))
    _, features = fixed.forward_train(image(), label(), return_feat=True)
    assert fixed.pictures_of(features)["attention"][:, 12:20, 8:16].allclose(torch.tensor(0.5))


def test_pictures_change_nothing_and_cost_nothing_unless_asked_for():
    model = with_crop_at_box(copy.deepcopy(small())).train()
    with CountedSoftmax() as training:
        _, features = model.forward_train(image(), label(), return_feat=True)
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    with CountedSoftmax() as shown:
        model.pictures_of(features)
    assert (training.over_classes, shown.over_classes) == (0, 1)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(module.training for module in model.modules())


class CountedSoftmax(TorchDispatchMode):
    """Counts soft-maxes over the classes of fused logits."""

    over_classes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._softmax.default and args[0].shape == (2, 19, 32, 32):
            self.over_classes += 1
        return function(*args, **(kwargs or {}))


def encoded_images(model: nn.Module, run) -> int:
    """How many images go through the encoder."""
    batches = []
    handle = model.backbone.register_forward_pre_hook(lambda _, args: batches.append(len(args[0])))
    run()
    handle.remove()
    return sum(batches)


def test_gradients_flow_through_one_detail_crop_alone():
    """In training, all windows would be kept in memory for the backward pass."""
    model, img = copy.deepcopy(small()).train(), image()[:1]
    assert encoded_images(model, lambda: model.forward_outputs(img)) == 2
    with pytest.raises(TrainingError, match=r"encode_decode slides .* train on forward_outputs\(img\)"):
        model.encode_decode(img)
    with torch.no_grad():  # the teacher's pseudo-labels
        assert encoded_images(model, lambda: model.encode_decode(img)) == 1 + 9


@settings(max_examples=200, deadline=None)
@given(st.tuples(*[st.integers(1, 60)] * 2), st.tuples(*[st.integers(1, 40)] * 2), st.data())
def test_windows_cover_every_pixel(size, crop, data):
    stride = [data.draw(st.integers(1, span)) for span in crop]
    seen = torch.zeros(size)
    for window in sliding_windows(size, crop, stride):
        window.of(seen).add_(1)
    assert seen.min() >= 1


@pytest.mark.parametrize(
    ("name", "cfg"),
    [
        ("statedict_hrda_mitb5", under_hrda(model_config("daformer_sepaspp_mitb5"))),
        ("statedict_hrda_dlv2_r101", under_hrda(model_config("deeplabv2red_r50-d8", "resnet101c"))),
    ],
)
def test_parameter_names(name, cfg):
    student = [row[:2] for row in listing(name) if row[0].startswith("model.")]
    with torch.device("meta"):
        model = MODELS.build(copy.deepcopy(cfg))
    own, state = published_names(model), model.state_dict()
    found = [[f"model.{own[key]}", "x".join(map(str, v.shape)) or "scalar"] for key, v in state.items()]
    assert found == student


def test_odd_sizes_are_resized_by_the_factor_as_published():
    """Resizing 65 to 32 places pixels every 2.03, by the factor every 2."""
    img = torch.arange(65.0).expand(1, 1, 65, 65)
    found = downscaled(img, 0.5)
    assert found.shape[2:] == (32, 32)
    assert torch.equal(found[0, 0, 0], torch.arange(32) * 2 + 0.5)
    expected = F.interpolate(found, (65, 65), mode="bilinear", align_corners=False)
    assert torch.equal(blurred(img), expected)
