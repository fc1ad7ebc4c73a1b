"""Probabilities of images: those of the published prediction, sizes, scales and mirrored images."""

import cv2
import numpy as np
import pytest
import torch
from golden_data import gen, load
from rounds_inputs import softmax
from torch import nn

from mmseg.datasets.custom import CustomDataset
from mmseg.engine.prediction import Predictor, enlarge_as_cbst, weights_digest
from mmseg.errors import ConfigError
from mmseg.labelling import ClassBalanced
from mmseg.models.segmentors.inference import Inference

STORED = load("survey/rounds/st_predict")
CLASSES = [str(index) for index in range(19)]
IMAGENET = dict(
    type="SegDataPreprocessor",
    mean=[255 * v for v in (0.485, 0.456, 0.406)],
    std=[255 * v for v in (0.229, 0.224, 0.225)],
)


class OneConvolution(Inference):
    """A network of one convolution of stride 8, which resizes with aligned corners."""

    num_classes, align_corners = 19, True

    def __init__(self, **test_cfg):
        super().__init__(IMAGENET, dict(mode="whole", **test_cfg))
        self.conv = nn.Conv2d(3, 19, 3, stride=8, padding=1)
        self.conv.weight.data = torch.from_numpy(2 * gen.fill_array("net.weight", (19, 3, 3, 3)))
        self.conv.bias.data = torch.from_numpy(gen.fill_array("net.bias", (19,)))
        self.eval()

    def forward(self, img):
        return self.encode_decode(img)

    def encode_decode(self, img, upscale_pred=True):
        logits = self.conv(img)
        return self.resize_logits(logits, img.shape[2:]) if upscale_pred else logits


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for index, picture in enumerate(gen.image_u8(7100, (8, 3, 64, 128), 16).transpose(0, 2, 3, 1)):
        cv2.imwrite(str(folder / f"{index}.png"), picture)  # the numbers are blue, green, red
    return dataset_of(folder)


def dataset_of(folder, *steps, **options):
    pipeline = [dict(type="LoadImage"), *steps, dict(type="PackInputs")]
    options = dict(test_mode=True, classes=CLASSES, palette=[[0, 0, 0]] * 19, img_suffix=".png") | options
    return CustomDataset(data_root=str(folder), img_dir="", pipeline=pipeline, **options)


def test_probabilities_are_those_of_crst(dataset):
    network = OneConvolution(resize_once=True)
    predict = Predictor(network, dataset, scales=[0.9], flip=True)
    maps = [predict(index) for index in range(8)]
    assert predict.names == list("01234567")
    assert np.abs(np.stack(maps[:2])[:, :, ::4, ::4] - STORED["prob_s4"]).max() < 2e-6
    assert np.allclose([gen.digest(each) for each in maps], STORED["prob_digest"], rtol=1e-5)
    assert np.mean(np.stack([each.argmax(0) for each in maps]) == STORED["pred"]) > 0.9999
    program = ClassBalanced(0.2, stride=4, exact=True).choose(0, 19)
    survey = next(program)
    for each in maps:
        survey.add("", each)
    assert np.abs(np.array(survey.thresholds(0.2)) - STORED["thresh_p20"]).max() < 2e-6


def test_scales_are_averaged(dataset):
    network = OneConvolution()
    each = [Predictor(network, dataset, scales=[scale])(0) for scale in (0.5, 1.0)]
    assert torch.allclose(
        Predictor(network, dataset, scales=[0.5, 1.0])(0), (each[0] + each[1]) / 2, atol=1e-6
    )


@pytest.mark.parametrize(("scales", "key"), [([0.9, 1.0, 1.2], "test_ms_pred"), ([1.0], "test_ss_pred")])
def test_mean_of_logits_is_that_of_crst(dataset, scales, key):
    flip = key == "test_ms_pred"
    network = OneConvolution(resize_once=True)
    predict = Predictor(network, dataset, scales, flip=flip, average="logits", rescaling="input")
    found = np.stack([predict(index).argmax(0) for index in range(8)])
    assert np.mean(found == STORED[key]) > 0.9999


@pytest.mark.parametrize("size", [(66, 130), (60, 144), (73, 144), (60, 120)], ids=str)
def test_enlarging_is_that_of_cbst(size):
    maps = softmax(2 * gen.feats(7300, [(19, 9, 17)])[0].astype(np.float64)).astype(np.float32)
    found = enlarge_as_cbst(maps, (66, 130), size)
    stored = {key: STORED[f"cbst_interp_{size[0]}x{size[1]}_{key}"] for key in ("s4", "digest", "range")}
    assert found.shape == (19, *size)
    assert np.abs(found[:3, ::4, ::4] - stored["s4"]).max() < 1e-6
    assert np.allclose([gen.digest(each) for each in found], stored["digest"], rtol=1e-5, atol=1e-4)
    total = found.sum(axis=0)
    assert np.allclose([found.min(), found.max(), total.min(), total.max()], stored["range"], atol=1e-6)


def test_results_have_the_size_of_the_image(dataset, tmp_path):
    """Images behind a pipeline that resizes, for either way of enlarging."""
    network = OneConvolution()
    small = dataset_of(dataset.root, dict(type="Resize", scale=(60, 30), keep_ratio=False))
    for upsampling in ("logits", "cbst"):
        probabilities = Predictor(network, small, upsampling=upsampling)(3)
        assert probabilities.shape == (19, 64, 128)
        assert torch.allclose(probabilities.sum(0), torch.ones(64, 128), atol=1e-5)


@pytest.mark.parametrize("upsampling", ["logits", "cbst"])
def test_a_mirrored_image_has_mirrored_probabilities(dataset, tmp_path, upsampling):
    picture = cv2.imread(str(dataset.root / "0.png"))
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    cv2.imwrite(str(tmp_path / "b.png"), picture[:, ::-1])
    for flip in (True, False):
        predict = Predictor(OneConvolution(), dataset_of(tmp_path), flip=flip, upsampling=upsampling)
        assert torch.allclose(predict(0).flip(2), predict(1), atol=1e-6) == flip


def test_wrong_predictors_are_explained(dataset):
    network = OneConvolution()
    with pytest.raises(ConfigError, match="set test_mode=True in it"):
        Predictor(network, dataset_of(dataset.root, test_mode=False))
    with pytest.raises(ConfigError, match=r"scales=\[0\]; expected positive factors"):
        Predictor(network, dataset, scales=[0])
    with pytest.raises(ConfigError, match="average='mean'; expected one of probabilities, logits"):
        Predictor(network, dataset, average="mean")
    with pytest.raises(ConfigError, match="upsampling='cbst' enlarges probabilities"):
        Predictor(network, dataset, average="logits", upsampling="cbst")


def test_digest_of_weights():
    first, second = OneConvolution(), OneConvolution()
    assert weights_digest(first) == weights_digest(second)
    second.conv.bias.data[3] += 1e-6
    assert weights_digest(first) != weights_digest(second)
