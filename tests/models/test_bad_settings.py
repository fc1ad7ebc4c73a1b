"""Settings that would train or predict nonsense are refused, with the name of the setting."""

import pytest
import torch
from networks import model_config

from mmseg.cli import add_cfg_options
from mmseg.errors import ConfigError
from mmseg.models.uda.parts.mask_generator import BlockMaskGenerator
from mmseg.models.uda.parts.output_weights import output_weights
from mmseg.registry import MODELS

HRDA = [
    ("decode_head.hr_loss_weight", -0.2, "hr_loss_weight=-0.2"),
    ("decode_head.fixed_attention", 7, r"fixed_attention=7; expected None or a number in \[0, 1\]"),
    ("max_windows_per_forward", 0, "max_windows_per_forward=0"),
    ("max_windows_per_forward", 1.5, "max_windows_per_forward=1.5"),
    ("test_cfg.max_windows_per_forward", -3, "test_cfg: max_windows_per_forward=-3"),
    ("hr_crop_size", 32, "hr_crop_size=32; expected a list of whole numbers"),
    ("hr_crop_size", (0, 0), "hr_crop_size"),
    ("scales", [1, 0], r"scales=\[1, 0\]"),
]


@pytest.mark.parametrize(("key", "value", "message"), HRDA)
def test_hrda(key, value, message):
    changes = {"hr_crop_size": (32, 32)} | {key: value}
    with pytest.raises(ConfigError, match=message):
        MODELS.build(model_config("hrda_daformer_sepaspp_mitb5", "mit_b0", changes))


@pytest.mark.parametrize(
    "settings",
    [
        dict(mask_ratio="a", mask_block_size=16),
        dict(mask_ratio=0.7, mask_block_size=2.5),
        dict(mask_ratio=1.1, mask_block_size=16),
    ],
)
def test_mask_generator(settings):
    with pytest.raises(ConfigError, match=r"mask_ratio=.*mask_block_size=.*expected"):
        BlockMaskGenerator(**settings)


@pytest.mark.parametrize(
    ("option", "value"),
    [("mask_lambda", -1), ("mask_lambda", "x"), ("alpha", "sam"), ("pseudo_threshold", "sam")],
)
def test_masking(option, value):
    masking = dict(mask_mode="separatetrg", mask_generator=dict(mask_ratio=0.7, mask_block_size=16))
    model = model_config("daformer_conv1_mitb5", "mit_b0")
    setting = {option: value} if option == "mask_lambda" else dict(teacher={option: value})
    with pytest.raises(ConfigError, match=f"{option}={value!r}; expected"):
        MODELS.build(dict(type="DACS", model=model, masking=masking | setting))


def test_weights_of_outputs():
    with pytest.raises(ConfigError, match=r"lambda_adv_target=0\.1; expected weights by output"):
        output_weights("lambda_adv_target", 0.1, ["main"])


def test_image_smaller_than_a_key():
    backbone = MODELS.build(dict(type="mit_b0"))
    backbone(torch.zeros(1, 3, 29, 29))
    with pytest.raises(ConfigError, match=r"found an image of \(28, 64\) pixels, expected at least 29"):
        backbone(torch.zeros(1, 3, 28, 64))


def test_option_without_value(capsys):
    from argparse import ArgumentParser

    parser = ArgumentParser()
    add_cfg_options(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--cfg-options", "foo"])
    assert "--cfg-options foo: expected KEY=VALUE" in capsys.readouterr().err
