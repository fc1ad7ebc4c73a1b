"""What a multi-resolution network predicts from one scale alone, and its attention."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_data import load
from networks import filled, tiny
from test_hrda import BOX, config, image

from mmseg.errors import ConfigError
from mmseg.models.decode_heads.hrda_head import paste
from mmseg.registry import MODELS

WHOLE = dict(mode="whole")
SLIDE = dict(mode="slide", crop_size=(96, 96), stride=(32, 32), batched_slide=True)


@pytest.fixture(scope="module")
def model():
    return filled(config()).eval()


def test_attention_map_is_the_published_one(model):
    with torch.no_grad():
        attention = model.encode_decode(image(), output="ATT")
    golden = load("hrda_daformer")["attention_vis"]
    np.testing.assert_allclose(attention[:1, :, ::2, ::2], golden, rtol=1e-4, atol=1e-5)


def test_one_attention_map_for_all_classes_is_shown_as_it_is():
    model = filled(config(dict(attention_classwise=False))).eval()
    with torch.no_grad():
        features = model.extract_feat(image())
        attention = model.decode_head.attention(features, model.decode_head.head(features.context), 4)
        expected = F.interpolate(attention, (32, 32), mode="bilinear", align_corners=False)
        torch.testing.assert_close(model.decode_head(features, "ATT"), expected)


@pytest.mark.parametrize(("output", "attention"), [("LR", 0.0), ("HR", 1.0)])
@pytest.mark.parametrize("test_cfg", [WHOLE, SLIDE])
def test_one_scale_is_the_network_with_that_attention(model, output, attention, test_cfg):
    fixed = filled(config(dict(fixed_attention=attention), test_cfg=test_cfg)).eval()
    one_scale = filled(config(test_cfg=test_cfg | dict(hrda_out=output))).eval()
    torch.testing.assert_close(one_scale.predict(image()), fixed.predict(image()), rtol=0, atol=0)


def test_context_and_detail_are_what_the_head_makes_of_them(model):
    with torch.no_grad():
        features = model.extract_feat(image())
        context = model.decode_head.head(features.context)
        detail = paste(model.decode_head.head(features.detail), features, 4)
        enlarged = F.interpolate(context, detail.shape[2:], mode="bilinear", align_corners=False)
        torch.testing.assert_close(model.decode_head(features, "LR"), enlarged)
        torch.testing.assert_close(model.decode_head(features, "HR"), detail)


def test_asking_for_one_scale_leaves_nothing_behind(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        expected = model.encode_decode(image())
        crop = model.decode_head(model.extract_feat(image(), [BOX]))
        for output in ("LR", "HR", "ATT"):
            assert not torch.equal(model.encode_decode(image(), output=output), expected)
        assert torch.equal(model.encode_decode(image()), expected)
        assert torch.equal(model.decode_head(model.extract_feat(image(), [BOX])), crop)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_network_that_shows_its_attention_still_trains_and_labels_as_before(model):
    """The teacher is a copy of the student: what ``test_cfg`` says is for predictions alone."""
    shown = filled(config(test_cfg=WHOLE | dict(hrda_out="ATT"))).eval()
    with torch.no_grad():
        assert torch.equal(shown.encode_decode(image()), model.encode_decode(image()))


@pytest.mark.parametrize("test_cfg", [WHOLE, SLIDE])
def test_samples_hold_the_attention(model, test_cfg):
    shown = filled(config(test_cfg=test_cfg | dict(hrda_out="ATT"))).eval()
    metas = [dict(img_shape=(128, 128), ori_shape=(80, 160), img_path=f"{name}.png") for name in "ab"]
    with torch.no_grad():
        samples = shown(image(), img_metas=metas, mode="predict")
    for sample in samples:
        assert set(sample) == {"attention", "img_path"} and sample["attention"].shape == (80, 160)
        assert 0 <= sample["attention"].min() <= sample["attention"].max() <= 1
    expected = F.interpolate(shown.predict(image()), (80, 160), mode="bilinear", align_corners=False)
    assert torch.equal(samples[1]["attention"], expected[1, 0])


def test_attention_of_windows_is_averaged():
    model = filled(config(test_cfg=SLIDE | dict(hrda_out="ATT"))).eval()
    img = image()[:1, :, :96]
    with torch.no_grad():
        left, right = (model.encode_decode(img[..., start : start + 96], output="ATT") for start in (0, 32))
    found = model.predict(img)
    torch.testing.assert_close(found[..., :32], left[..., :32], rtol=1e-5, atol=1e-6)
    middle = (left[..., 32:] + right[..., :64]) / 2
    torch.testing.assert_close(found[..., 32:96], middle, rtol=1e-5, atol=1e-6)


def test_wrong_outputs_are_explained():
    with pytest.raises(ConfigError, match=r"hrda_out='UP'; expected one of \('LR', 'HR', 'ATT'\)"):
        MODELS.build(config(test_cfg=WHOLE | dict(hrda_out="UP")))
    with pytest.raises(ConfigError, match="attention is not averaged"):
        MODELS.build(config(test_cfg=WHOLE | dict(hrda_out="ATT", augmentation=dict(flip=True))))
    with pytest.raises(ConfigError, match=r"unknown entries \['hrda_out'\]"):
        MODELS.build(tiny(test_cfg=WHOLE | dict(hrda_out="LR")))
