"""What makes predictions cheaper and must not change them."""

import pytest
import torch

from benchmarks.step_case import StepCase, config_of
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS


def hrda(**options) -> EncoderDecoder:
    cfg = config_of(StepCase("hrda", "mit_b0", crop=128)).model
    cfg.test_cfg = dict(mode="slide", crop_size=(128, 128), stride=(64, 64), batched_slide=True)
    cfg.update(options)
    torch.manual_seed(0)
    return MODELS.build(cfg).eval()


def encoded_images(model: EncoderDecoder, img: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Prediction, and how many 64×64 images went through the encoder for it."""
    batches: list[int] = []
    handle = model.backbone.register_forward_pre_hook(lambda _, args: batches.append(len(args[0])))
    logits = model.predict(img)
    handle.remove()
    return logits, sum(batches)


def test_details_that_windows_share_are_computed_once():
    model, img = hrda(), torch.randn(2, 3, 128, 256)
    shared, images = encoded_images(model, img)
    with torch.no_grad():
        alone = EncoderDecoder._slide(model, img, (128, 128), (64, 64), None)
    assert torch.allclose(shared, alone, atol=1e-6)
    windows, details = 3, 3 * 7  # 3 windows of 3×3 details each overlap by half
    assert images == 2 * (windows + details)


@pytest.mark.parametrize("stride", [(64, 64), (50, 37)])
@pytest.mark.parametrize("training", [False, True])
def test_windows_on_any_pixel_predict_as_each_alone(stride, training):
    """In train mode the statistics of a window depend on what it is computed with."""
    model, img = hrda(max_windows_per_forward=2).train(training), torch.randn(1, 3, 150, 190)
    model.test_cfg = dict(mode="slide", crop_size=(128, 128), stride=stride)
    torch.manual_seed(1)
    found = model.predict(img)
    torch.manual_seed(1)
    with torch.no_grad():
        alone = EncoderDecoder._slide(model, img, (128, 128), stride, 1)
    assert torch.allclose(found, alone, atol=1e-6)


@pytest.mark.parametrize(
    "options", [dict(blur_hr_crop=True), dict(hr_slide_inference=False), dict(max_windows_per_forward=2)]
)
def test_other_settings_predict_as_before(options):
    model, img = hrda(**options), torch.randn(1, 3, 128, 192)
    with torch.no_grad():
        alone = EncoderDecoder._slide(model, img, (128, 128), (64, 64), 1)
    assert torch.allclose(model.predict(img), alone, atol=1e-6)
