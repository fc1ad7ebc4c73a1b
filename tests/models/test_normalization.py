"""Images are normalised with what the pretrained weights were trained with, in training and in every test."""

import logging

import pytest
import torch
from mmengine.config import Config

from mmseg.apis import init_segmentor
from mmseg.models.data_preprocessor import IMAGENET_MEAN, IMAGENET_STD
from mmseg.models.normalization import preprocessor_of, without_pretrained
from mmseg.registry import MODELS

HALF = (127.5, 127.5, 127.5)
SWIN = dict(type="TimmBackbone", name="swin_tiny_patch4_window7_224")  # ImageNet's statistics
MIXER = dict(type="TimmBackbone", name="mobilevitv2_050")  # values in 0…1: mean 0, std 255
LITE = dict(type="TimmBackbone", name="tf_efficientnet_lite0")  # values in −1…1
RESNET = dict(type="TimmBackbone", name="resnet50c", output_stride=8)


@pytest.fixture
def log(monkeypatch):
    """(level, text) of what is logged."""
    lines = []
    monkeypatch.setattr(
        "mmseg.models.normalization.print_log",
        lambda text, logger=None, level=logging.INFO: lines.append((level, text)),
    )
    return lines


def statistics(backbone, pretrained, given=None):
    preprocessor = MODELS.build(preprocessor_of(backbone, pretrained, given))
    return tuple(preprocessor.mean.flatten().tolist()), tuple(preprocessor.std.flatten().tolist())


def test_timm_says_what_its_weights_were_trained_with(log):
    assert statistics(LITE, "timm") == (HALF, HALF)
    assert log == [
        (
            logging.INFO,
            "Images are normalised with mean [127.5, 127.5, 127.5] and std [127.5, 127.5, 127.5], as the "
            "weights 'timm' expect",
        )
    ]
    assert statistics(MIXER, "timm") == ((0.0,) * 3, (255.0,) * 3)


@pytest.mark.parametrize(
    "backbone, pretrained",
    [
        (SWIN, "timm"), (LITE, None), (RESNET, "open-mmlab://resnet50_v1c"),
        (dict(type="mit_b0"), "mit_b0.pth"),
        (SWIN, "swin.pth"),
    ],
)  # fmt: skip
def test_all_others_take_those_of_imagenet_and_nothing_is_logged(log, backbone, pretrained):
    mean, std = statistics(backbone, pretrained)
    assert mean == pytest.approx(IMAGENET_MEAN, abs=1e-3) and std == pytest.approx(IMAGENET_STD, abs=1e-3)
    assert not log


def test_weights_of_a_package(log):
    assert statistics(LITE, "tf_efficientnet_lite0") == ((127.0,) * 3, (128.0,) * 3)
    assert len(log) == 1 and "'tf_efficientnet_lite0' expect" in log[0][1]


def test_a_config_wins_and_a_disagreement_is_a_warning(log):
    given = dict(type="SegDataPreprocessor")
    assert statistics(LITE, "timm", given)[0] == pytest.approx(IMAGENET_MEAN)
    ((level, text),) = log
    assert level == logging.WARNING and "trained with mean [127.5, 127.5, 127.5]" in text
    log.clear()
    statistics(LITE, "timm", dict(given, mean=(127, 127, 127), std=(128, 128, 128)))
    statistics(LITE, "other.pth", given)
    statistics(SWIN, "timm", given)
    assert not log, "half a grey level is no disagreement; what is given for a file is what is wanted"


def test_a_file_of_a_network_with_other_statistics_is_a_warning(log):
    assert statistics(LITE, "lite.pth")[0] == pytest.approx(IMAGENET_MEAN)
    ((level, text),) = log
    assert level == logging.WARNING and text.startswith("lite.pth: ")
    remedy = text.split("set model.data_preprocessor=")[1]
    assert MODELS.build(eval(remedy)).mean.flatten().tolist() == list(HALF)


def config(**changes) -> Config:
    head = dict(
        type="FCNHead",
        in_channels=320,
        in_index=3,
        channels=8,
        num_convs=1,
        concat_input=False,
        num_classes=3,
    )
    model = dict(type="EncoderDecoder", pretrained="timm", backbone=LITE, decode_head=head)
    return Config(dict(model={**model, **changes}))


def test_a_network_is_tested_as_it_was_trained(log):
    """Its pretrained weights are not needed for a test, but what they were trained with is."""
    trained = MODELS.build(config().model)
    tested = init_segmentor(config(), device="cpu")
    assert torch.equal(trained.data_preprocessor.mean, torch.full((1, 3, 1, 1), 127.5))
    assert torch.equal(tested.data_preprocessor.mean, trained.data_preprocessor.mean)
    model = without_pretrained(config())
    assert model["pretrained"] is None and model["data_preprocessor"]["mean"] == HALF
    again = without_pretrained(Config(dict(model=model)))
    assert again["data_preprocessor"] == model["data_preprocessor"]


def test_the_data_preprocessor_may_stand_beside_the_model(log):
    cfg = config(pretrained=None)
    cfg.data_preprocessor = dict(type="SegDataPreprocessor", mean=(1, 2, 3), std=(4, 5, 6))
    assert init_segmentor(cfg, device="cpu").data_preprocessor.std.flatten().tolist() == [4, 5, 6]


def test_a_checkpoint_says_what_its_weights_expect(tmp_path, monkeypatch):
    """As where a training goes on from it with other pretrained weights in the config, or none."""
    warnings = []
    monkeypatch.setattr(
        "mmseg.checkpoints.weights.print_log",
        lambda text, logger=None, level=logging.INFO: warnings.append(text) if level > logging.INFO else None,
    )
    trained = MODELS.build(config().model)
    meta = dict(normalization=trained.data_preprocessor.statistics)
    torch.save(dict(state_dict=trained.state_dict(), meta=meta), tmp_path / "a.pth")
    torch.save(dict(state_dict=trained.state_dict()), tmp_path / "old.pth")
    for cfg in (config(), config(pretrained=None)):
        init_segmentor(cfg, tmp_path / "old.pth", device="cpu")
    init_segmentor(config(), tmp_path / "a.pth", device="cpu")
    assert not warnings
    init_segmentor(config(pretrained=None), tmp_path / "a.pth", device="cpu")
    assert len(warnings) == 1 and "a.pth: was trained on images normalised with" in warnings[0]
    remedy = warnings[0].split("set model.data_preprocessor=")[1]
    init_segmentor(config(pretrained=None, data_preprocessor=eval(remedy)), tmp_path / "a.pth", device="cpu")
    assert len(warnings) == 1
