import numpy as np
import pytest
import torch
from golden_data import gen, load, norm
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.optim import OptimWrapper
from networks import (
    assert_digest,
    assert_values,
    filled,
    gradient_digests,
    host,
    model_config,
    tensor,
    tiny,
    train_without_randomness,
)

from mmseg.errors import ConfigError
from mmseg.models.layers.sliding_window import slide_inference, sliding_windows
from mmseg.registry import MODELS


@pytest.mark.parametrize(
    "case, config", [("seg_daformer_b0", "daformer_sepaspp_mitb5"), ("seg_segformer_b0", "segformer_b5")]
)
def test_segmentor_equals_the_published_one(case: str, config: str, device: str) -> None:
    model, golden = filled(model_config(config, "mit_b0"), device).eval(), load(case)
    image = tensor(gen.image(31, (2, 3, 64, 96)), device)
    with torch.no_grad():
        assert_values(model.encode_decode(image, False), golden["logits_raw"])
        logits = model(image)
    assert_values(logits[..., ::2, ::2], golden["logits_s2"])
    assert_digest(logits, golden["logits_digest"])
    probabilities = model.predict_probabilities(image, (80, 120))
    assert_values(probabilities[..., ::4, ::4], golden["prob_rescaled_s4"])
    mirrored = model.predict_probabilities(image, (80, 120), flip=True).argmax(dim=1)
    assert (host(mirrored) == golden["pred_aug"]).mean() >= 0.999

    metas = [dict(img_shape=(64, 96), ori_shape=(80, 120), img_path=name) for name in ("a.png", "b.png")]
    samples = model(image, img_metas=metas, mode="predict")
    assert [sample["img_path"] for sample in samples] == ["a.png", "b.png"]
    assert all(sample["pred"].dtype == torch.uint8 and "gt" not in sample for sample in samples)
    prediction = torch.stack([sample["pred"] for sample in samples])
    assert (host(prediction) == golden["pred"]).mean() >= 0.999


@pytest.mark.parametrize(
    "case, config", [("seg_daformer_b0", "daformer_sepaspp_mitb5"), ("seg_segformer_b0", "segformer_b5")]
)
def test_training_equals_the_published_one(case: str, config: str, device: str) -> None:
    model, golden = train_without_randomness(filled(model_config(config, "mit_b0"), device)), load(case)
    image, label = gen.image(31, (2, 3, 64, 96)), gen.label(32, (2, 1, 64, 96), 16)[:, 0]
    weight = np.random.RandomState(33).random_sample((2, 64, 96)).astype(np.float32)
    losses, features = model.forward_train(
        *(tensor(array, device) for array in (image, label, weight)), return_feat=True
    )
    expected = dict(zip(golden["log_names"], golden["log_values_f64"], strict=True))
    assert losses["decode.loss_seg"].item() == pytest.approx(expected["decode.loss_seg"], rel=1e-4)
    assert losses["decode.acc_seg"].item() == pytest.approx(expected["decode.acc_seg"], rel=1e-4)
    assert_values(features[3], golden["feat3_train"])

    losses["decode.loss_seg"].backward()
    names, digests = gradient_digests(model)
    assert names == list(golden["grad_names"])
    # A bias in front of a batch norm has the gradient 0: what is left there (1e-8) is rounding.
    np.testing.assert_allclose(norm(digests), norm(golden["grad_digest"]), rtol=2e-3, atol=1e-7)


@pytest.mark.parametrize("batched", [False, True])
def test_slide_inference_equals_the_published_one(batched: bool, device: str) -> None:
    golden = load("daformer_b0_slide")
    cases = {
        "a": ((96, 160), (64, 64), (32, 32)),
        "b": ((80, 200), (64, 96), (48, 40)),
        "c": ((96, 160), (128, 128), (128, 128)),
    }
    for case, (size, crop, stride) in cases.items():
        sliding = dict(mode="slide", crop_size=crop, stride=stride, batched_slide=batched)
        model = filled(model_config("daformer_sepaspp_mitb5", "mit_b0", dict(test_cfg=sliding)), device)
        probabilities = model.eval().predict_probabilities(tensor(gen.image(45, (1, 3, *size)), device))
        assert_values(probabilities[..., ::4, ::4], golden[f"{case}_prob_s4"], atol=3e-4)
        assert_digest(probabilities, golden[f"{case}_digest"])


sides = st.integers(1, 40)


@st.composite
def sliding_cases(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    crop = draw(sides), draw(sides)
    stride = draw(st.integers(1, crop[0])), draw(st.integers(1, crop[1]))
    # Steps of a single pixel over a large image would only repeat the same.
    size = tuple(draw(st.integers(1, length + 4 * step)) for length, step in zip(crop, stride, strict=True))
    return size, crop, stride  # type: ignore[return-value]


@given(sliding_cases())
@settings(deadline=None)
def test_windows_cover_the_image_and_have_one_size(case) -> None:
    size, crop, stride = case
    windows = sliding_windows(size, crop, stride)
    count = torch.zeros(1, 1, *size)
    for window in windows:
        assert window.bottom - window.top == min(crop[0], size[0])
        assert window.right - window.left == min(crop[1], size[1])
        window.of(count).add_(1)
    assert windows[0][::2] == (0, 0) and windows[-1][1::2] == size
    assert len(set(windows)) == len(windows)
    assert count.min() >= 1


@given(sliding_cases(), st.integers(1, 2), st.integers(2, 5))
@settings(deadline=None)
def test_batched_windows_give_the_result_of_the_loop(case, batch_size: int, chunk: int) -> None:
    size, crop, stride = case
    image = torch.rand(batch_size, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def network(windows: torch.Tensor) -> torch.Tensor:
        # Depends on the place in the window and on what else is in it.
        ramp = torch.arange(windows[0, 0].numel()).reshape(windows.shape[2:])
        return torch.cat([windows * ramp, windows.sum(dim=(1, 2, 3), keepdim=True) - windows], dim=1)

    loop = slide_inference(network, image, crop, stride)
    assert loop.shape == (batch_size, 6, *size)
    torch.testing.assert_close(slide_inference(network, image, crop, stride, None), loop)
    torch.testing.assert_close(slide_inference(network, image, crop, stride, chunk), loop)
    torch.testing.assert_close(slide_inference(lambda windows: windows, image, crop, stride), image)


@pytest.mark.parametrize("limit, forwards", [(None, [12]), (12, [12]), (5, [4, 4, 4]), (1, [2] * 6)])
def test_crops_per_forward_are_limited(limit: int | None, forwards: list[int]) -> None:
    test_cfg = dict(mode="slide", crop_size=(32, 32), stride=(16, 16), batched_slide=True)
    model = MODELS.build(tiny(test_cfg=test_cfg | dict(max_windows_per_forward=limit))).eval()
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    assert model.predict(torch.randn(2, 3, 48, 64)).shape == (2, 4, 48, 64)
    assert seen == forwards


def test_padding_of_a_batch_does_not_reach_the_prediction() -> None:
    model = MODELS.build(tiny()).eval()
    image, label = torch.randn(2, 3, 64, 64), torch.randint(0, 4, (2, 50, 70))
    metas = [
        dict(img_shape=(64, 64), ori_shape=(50, 70), img_path="whole.png"),
        dict(img_shape=(40, 48), ori_shape=(80, 96), img_path="padded.png"),
    ]
    whole, padded = model(image, gt_semantic_seg=label, img_metas=metas, mode="predict")
    assert whole["pred"].shape == (50, 70) and padded["pred"].shape == (80, 96)
    assert torch.equal(padded["gt"], label[1])
    logits = model.predict(image[1:])[:, :, :40, :48]
    resized = torch.nn.functional.interpolate(logits, (80, 96), mode="bilinear")
    assert torch.equal(padded["pred"], resized.argmax(dim=1)[0].to(torch.uint8))


def test_train_step_of_mmengine_updates_all_parameters() -> None:
    torch.manual_seed(0)
    model = MODELS.build(tiny())
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1))
    batch = dict(
        img=torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8),
        gt_semantic_seg=torch.randint(0, 4, (2, 64, 64), dtype=torch.uint8),
        img_metas=[dict(img_shape=(64, 64))] * 2,
        target_img=torch.zeros(2, 3, 64, 64, dtype=torch.uint8),
        valid_pseudo_mask=None,
    )
    logs = model.train_step(batch, optimizer)
    assert set(logs) == {"loss", "decode.loss_seg", "decode.acc_seg"}
    assert logs["loss"].item() == pytest.approx(np.log(4), rel=0.1)
    after = dict(model.named_parameters())
    # What starts at 0 has no decay, and biases in front of a batch norm no gradient.
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name for name in before if name.endswith("weight")} <= changed


def test_val_step_of_mmengine() -> None:
    model = MODELS.build(tiny()).eval()
    batch = dict(
        img=torch.randint(0, 256, (1, 3, 32, 64), dtype=torch.uint8),
        gt_semantic_seg=torch.full((1, 64, 128), 255, dtype=torch.uint8),
        img_metas=[dict(img_shape=(32, 64), ori_shape=(64, 128), img_path="a.png")],
    )
    (sample,) = model.val_step(batch)
    assert sample["pred"].shape == sample["gt"].shape == (64, 128)
    assert not sample["pred"].requires_grad


def test_auxiliary_heads_add_losses() -> None:
    main = tiny()["decode_head"]
    auxiliary = main | dict(loss_decode=dict(type="CrossEntropyLoss", loss_weight=0.4))
    image, label = torch.randn(2, 3, 32, 32), torch.randint(0, 4, (2, 32, 32))
    single = MODELS.build(tiny(auxiliary_head=auxiliary))
    losses, features = single.forward_train(image, label)
    assert set(losses) == {"decode.loss_seg", "decode.acc_seg", "aux.loss_seg", "aux.acc_seg"}
    assert features is None
    single.auxiliary_head.load_state_dict(single.decode_head.state_dict())
    losses, _ = train_without_randomness(single).forward_train(image, label)
    assert losses["aux.loss_seg"].item() == pytest.approx(0.4 * losses["decode.loss_seg"].item(), rel=1e-5)
    several = MODELS.build(tiny(auxiliary_head=[auxiliary, auxiliary]))
    assert {"aux_0.loss_seg", "aux_1.loss_seg"} < set(several.forward_train(image, label)[0])


def test_logits_under_autocast_are_float32(device: str) -> None:
    model = MODELS.build(tiny()).to(device).eval()
    with torch.autocast(device, torch.bfloat16), torch.no_grad():
        assert model.encode_decode(torch.randn(1, 3, 32, 32, device=device)).dtype == torch.float32


@pytest.mark.parametrize(
    "test_cfg, message",
    [
        (dict(mode="slides"), "mode='slides'.*expected mode 'whole' or 'slide'"),
        (dict(mode="whole", crop=(4, 4)), r"unknown entries \['crop'\]"),
        (dict(mode="slide", stride=(4, 4)), r"crop_size=\(\), stride=\(4, 4\)"),
        (dict(mode="slide", crop_size=(4, 4), stride=(4, 5)), "0 < stride <= crop_size"),
        (dict(mode="slide", crop_size=(4, 4), stride=(0, 4)), "0 < stride <= crop_size"),
    ],
)
def test_wrong_test_cfg_is_explained(test_cfg: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MODELS.build(tiny(test_cfg=test_cfg))


def test_wrong_use_is_explained() -> None:
    model, image = MODELS.build(tiny()).eval(), torch.randn(1, 3, 32, 32)
    with pytest.raises(ValueError, match="needs gt_semantic_seg"):
        model(image, mode="loss")
    with pytest.raises(ValueError, match="needs img_metas"):
        model(image, mode="predict")
    with pytest.raises(ValueError, match="mode='test'; expected 'loss', 'predict' or 'tensor'"):
        model(image, mode="test")
    with pytest.raises(ConfigError, match="did you mean 'decode_head'"):
        MODELS.build(tiny(decoder_head={}))
