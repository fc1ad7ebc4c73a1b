"""Test-time augmentation: the sizes of the versions, and the mean over explicit passes."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_data import gen
from networks import filled, tiny

from mmseg.errors import ConfigError, DataError
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder
from mmseg.models.segmentors.test_time_augmentation import TestTimeAugmentation

PUBLISHED = (0.5, 0.75, 1, 1.25, 1.5, 1.75)


def network(**test_cfg) -> EncoderDecoder:
    return filled(tiny(test_cfg=dict(mode="whole") | test_cfg)).eval()


def explicit_passes(model: EncoderDecoder, img: torch.Tensor, sizes, result) -> torch.Tensor:
    """Mean probability, written out: resize, predict, mirror back, enlarge, soft-max, add."""
    total, number = torch.zeros(len(img), 4, *result), 0
    for size in sizes:
        version = F.interpolate(img, size, mode="bilinear", align_corners=False)
        for mirrored in (False, True):
            logits = model.encode_decode(torch.flip(version, [3]) if mirrored else version)
            logits = torch.flip(logits, [3]) if mirrored else logits
            total += F.interpolate(logits, result, mode="bilinear", align_corners=False).softmax(dim=1)
            number += 1
    return total / number


def test_published_scales_of_the_data_sets():
    cityscapes = TestTimeAugmentation(PUBLISHED, base_scale=(1024, 512)).sizes(1024, 2048, "a.png")
    assert cityscapes == [(256, 512), (384, 768), (512, 1024), (640, 1280), (768, 1536), (896, 1792)]
    acdc = TestTimeAugmentation(PUBLISHED, base_scale=(960, 540)).sizes(1080, 1920, "a.png")
    assert acdc == [(270, 480), (405, 720), (540, 960), (675, 1200), (810, 1440), (945, 1680)]
    assert TestTimeAugmentation((1, 1.5)).sizes(100, 64, "a.png") == [(100, 64), (150, 96)]
    other_ratio = TestTimeAugmentation((0.5, 1), base_scale=(200, 100), keep_ratio=False)
    assert other_ratio.sizes(300, 300, "a.png") == [(50, 100), (100, 200)]


def test_wrong_scales_and_tiny_versions_are_explained():
    for scales in ((), (1, 0), (-1,)):
        with pytest.raises(ConfigError, match="expected one or more positive numbers"):
            TestTimeAugmentation(scales)
    with pytest.raises(
        DataError, match=r"a\.png: 96x64 pixels become 36x24 at scale 0\.5, expected at least 32"
    ):
        TestTimeAugmentation((0.5, 1), base_scale=(72, 48)).sizes(64, 96, "a.png")


def test_probabilities_of_mean_logits():
    model, img = network(), torch.from_numpy(gen.image(7, (2, 3, 64, 96)))
    with torch.no_grad():
        both = [model.encode_decode(img), model.encode_decode(img.flip(3)).flip(3)]
    expected = (sum(both) / 2).softmax(dim=1)
    found = model.predict_probabilities(img, flip=True, average="logits")
    torch.testing.assert_close(found, expected)
    assert (found - model.predict_probabilities(img, flip=True)).abs().max() > 1e-4
    with pytest.raises(ConfigError, match=r"average='logit'; expected probabilities or logits"):
        TestTimeAugmentation(average="logit")


def test_probabilities_are_the_mean_of_explicit_passes():
    model, img = network(), torch.from_numpy(gen.image(7, (2, 3, 64, 96)))
    sizes = [(32, 48), (64, 96), (80, 120)]
    with torch.no_grad():
        expected = explicit_passes(model, img, sizes, (100, 150))
    found = model.predict_probabilities(img, (100, 150), flip=True, input_sizes=sizes)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(2, 100, 150))
    alone = model.predict_probabilities(img, (100, 150))
    assert (found - alone).abs().max() > 1e-3


def test_samples_are_predicted_from_all_versions():
    versions = dict(scales=[1, 1.5], flip=True, base_scale=(72, 48), keep_ratio=True)
    model, img = (
        network(augmentation=versions, confidence=True),
        torch.from_numpy(gen.image(8, (2, 3, 64, 96))),
    )
    metas = [dict(img_shape=(64, 96), ori_shape=(64, 96), img_path=f"{name}.png") for name in "ab"]
    with torch.no_grad():
        samples = model(img, img_metas=metas, mode="predict")
        expected = explicit_passes(model, img, [(48, 72), (72, 108)], (64, 96))
    for sample, probabilities in zip(samples, expected, strict=True):
        assert (sample["pred"] == probabilities.argmax(0)).float().mean() > 0.999
        torch.testing.assert_close(sample["confidence"], probabilities.amax(0), rtol=1e-5, atol=1e-6)


def test_confidence_is_the_probability_of_the_prediction():
    img = torch.from_numpy(gen.image(9, (1, 3, 64, 96)))
    metas = [dict(img_shape=(64, 96), ori_shape=(80, 120), img_path="a.png")]
    with torch.no_grad():
        (sample,) = network(confidence=True)(img, img_metas=metas, mode="predict")
        (without,) = network()(img, img_metas=metas, mode="predict")
    probabilities = network().predict_probabilities(img, (80, 120))[0]
    torch.testing.assert_close(sample["confidence"], probabilities.amax(0), rtol=1e-5, atol=1e-6)
    assert torch.equal(sample["pred"], without["pred"]) and "confidence" not in without


def test_sliding_windows_keep_their_size_on_every_version():
    window = dict(mode="slide", crop_size=(48, 48), stride=(24, 24))
    model, img = network(**window), torch.from_numpy(gen.image(10, (1, 3, 64, 96)))
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[2:])))
    model.predict_probabilities(img, flip=True, input_sizes=[(32, 48), (64, 96)])
    assert seen == [(32, 48)] * 2 + [(48, 48)] * 12


@pytest.mark.parametrize("size", [(48, 72), (90, 135)])
def test_resizing_on_the_device_is_that_of_the_pipeline(size):
    """Up to the rounding to whole grey values, which only the pipeline has."""
    image = np.random.RandomState(0).randint(0, 256, (64, 96, 3)).astype(np.uint8)
    pipeline = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR).astype(np.float32)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    device = F.interpolate(tensor, size, mode="bilinear", align_corners=False)[0].permute(1, 2, 0).numpy()
    assert np.abs(device - pipeline).max() <= 1
