"""Networks as ONNX files and PyTorch programs: they predict what the network predicts."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from networks import CONFIGS, filled, model_config, tiny, under_hrda
from PIL import Image

from mmseg.apis.export import export
from mmseg.apis.exported import ExportedSegmentor
from mmseg.commands.export import main
from mmseg.datasets.transforms.loading import LoadImage  # noqa: F401  (fills the registry)
from mmseg.errors import CheckpointError, ConfigError
from mmseg.models.layers.depthwise_conv import ShiftedSumConv2d

SMALL = dict(
    type="EncoderDecoder",
    backbone=dict(type="TimmBackbone", name="resnet10t", out_indices=(1, 2)),
    decode_head=dict(type="FCNHead", channels=8, num_convs=1, num_classes=4, in_index=1),
)
PIPELINE = [
    dict(type="LoadImage"),
    dict(type="Resize", scale=[96, 64], keep_ratio=False),
    dict(type="PackInputs"),
]


def exportable(network: dict):
    """A network with random weights and all that :func:`init_segmentor` attaches."""
    torch.manual_seed(0)
    model = filled(network).eval()
    model.classes = tuple(f"class {c}" for c in range(model.num_classes))
    model.palette = [(c, 2 * c, 3 * c) for c in range(model.num_classes)]
    model.cfg = Config(dict(test_dataloader=dict(dataset=dict(type="CustomDataset", pipeline=PIPELINE))))
    return model


def photograph(height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8."""
    return np.random.RandomState(height).randint(0, 256, (height, width, 3)).astype(np.uint8)


def expected_of(model, image: np.ndarray) -> torch.Tensor:
    """Logits (1, C, h, w) of the network itself for an RGB image."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    return model.predict(model.data_preprocessor({"img": pixels})["img"])


@pytest.fixture(scope="module")
def small():
    return exportable(SMALL)


@pytest.fixture(scope="module", params=["onnx", "pt2"])
def file(request, small, tmp_path_factory):
    """A file with probabilities."""
    path = tmp_path_factory.mktemp("export") / f"net.{request.param}"
    parity = export(small, path, probabilities=True)
    assert (parity.images, parity.differing, parity.noise) == (3, 0, True) and parity.pixels > 70_000
    return path


def test_images_of_any_size_and_number(file, small):
    exported = ExportedSegmentor(file)
    for size in ((64, 96), (50, 77), (211, 130)):
        image = photograph(*size)
        classes, probabilities = exported.predict(image, size)
        logits = expected_of(small, image)
        np.testing.assert_array_equal(classes, logits[0].argmax(0).numpy())
        np.testing.assert_allclose(probabilities, logits.softmax(1)[0].numpy(), atol=1e-5)
        assert classes.dtype == np.uint8
    both = exported.session(np.stack([photograph(64, 96), photograph(65, 96)[:64]]).transpose(0, 3, 1, 2))
    assert both[0].shape == (2, 64, 96) and (both[0][0] != both[0][1]).any()


def test_the_file_knows_classes_colours_and_scaling(file, small):
    exported = ExportedSegmentor(file)
    assert (exported.classes, exported.palette, exported.size) == (small.classes, small.palette, None)
    assert exported.pipeline == PIPELINE[:2]


def test_results_have_the_size_of_the_image_before(file, small):
    image = photograph(64, 96)
    classes, probabilities = ExportedSegmentor(file).predict(image, (128, 192))
    resized = torch.nn.functional.interpolate(
        expected_of(small, image).softmax(1), (128, 192), mode="bilinear"
    )
    np.testing.assert_array_equal(classes, resized[0].argmax(0).numpy())
    assert probabilities.shape == (4, 128, 192)


def test_one_size_and_classes_alone(tmp_path, small):
    path = tmp_path / "net.pt2"
    image = photograph(30, 40)
    assert not export(small, path, size=(64, 96), images=[image]).noise
    exported = ExportedSegmentor(path)
    assert exported.size == (64, 96)
    classes, probabilities = exported.predict(photograph(64, 96), (32, 48))
    assert classes.shape == (32, 48) and probabilities is None
    with pytest.raises(ConfigError, match=r"takes images of 96x64, found one of 64x96.*--size 96 64"):
        exported.predict(photograph(96, 64), (96, 64))
    with pytest.raises(ConfigError, match="is tested at --size 64 96, not at 32 32"):
        export(small, tmp_path / "other.pt2", size=(32, 32), images=[image])


def test_no_file_is_left_that_predicts_otherwise(tmp_path, small, monkeypatch):
    from mmseg.apis import export as module

    def other(path, suffix):
        return lambda images: [np.full((1, *images.shape[2:]), 3, np.uint8)]

    monkeypatch.setattr(module, "session_of", other)
    path = tmp_path / "net.pt2"
    path.write_text("of before")
    with pytest.raises(CheckpointError, match=r"predicts otherwise than the network.*pixels differ"):
        export(small, path)
    assert path.read_text() == "of before" and list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_exported_is_said_before(tmp_path, small, monkeypatch):
    with pytest.raises(ConfigError, match=r"expected a name that ends with \.onnx or \.pt2"):
        export(small, tmp_path / "net.pth")
    hrda = exportable(under_hrda(tiny()))
    with pytest.raises(ConfigError, match="name the size of all images with --size HEIGHT WIDTH"):
        export(hrda, tmp_path / "net.onnx")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"ONNX needs onnx, onnxscript, onnxruntime; run: pip install"):
        export(small, tmp_path / "net.onnx")


def test_a_size_that_the_file_does_not_take_is_explained(file, small):
    exported = ExportedSegmentor(file)
    with pytest.raises(
        ConfigError, match=r"does not hold for images of 1x1 \(.*\); export .* with --size 1 1"
    ):
        exported.session(np.zeros((1, 4, 1, 1), np.uint8))  # four channels


def test_files_that_are_none(tmp_path, small):
    with pytest.raises(CheckpointError, match="no such file"):
        ExportedSegmentor(tmp_path / "net.onnx")
    for suffix in ("onnx", "pt2"):
        path = tmp_path / f"net.{suffix}"
        path.write_bytes(b"nothing")
        with pytest.raises(
            CheckpointError, match=rf"net\.{suffix}: cannot be read.*export the network again"
        ):
            ExportedSegmentor(path)
    torch.export.save(
        torch.export.export(torch.nn.ReLU(), (torch.zeros(1, 3, 8, 8),)), tmp_path / "other.pt2"
    )
    with pytest.raises(CheckpointError, match="holds no description of its classes"):
        ExportedSegmentor(tmp_path / "other.pt2")


def test_dilated_depthwise_convolutions_are_plain_ones_in_a_file():
    conv = ShiftedSumConv2d(4, 4, 3, padding=2, dilation=2, groups=4)
    program = torch.export.export(conv, (torch.zeros(1, 4, 8, 8),))
    operators = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert operators == ["aten.conv2d.default"]
    x = torch.rand(2, 4, 9, 9)[:1, :, :8, :8]
    torch.testing.assert_close(program.module()(x), conv(x))


def test_command_compares_on_the_images_of_the_test_set(uda_run, tmp_path, capsys):
    out = tmp_path / "net.pt2"
    arguments = [str(uda_run.work_dir / "daformer.py"), str(uda_run.checkpoint), "--format", "pt2"]
    assert main([*arguments, "--out", str(out)]) == 1
    assert (
        "the file does not hold for images of 72x48 (Guard failed" in capsys.readouterr().err
        and not out.exists()
    )
    assert main([*arguments, "--out", str(out), "--size", "48", "72"]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith(f"{out}: ") and said.endswith("0 of 6,912 pixels differ on 2 images")
    assert len(ExportedSegmentor(out).classes) == 19


ENCODERS = {
    "mitb5": "mit_b0",
    "upernet_ch256_mit": "mit_b0",
    "upernet_mit": "mit_b0",
    "segformer_b5": "mit_b0",
}


OF_ONE_SIZE = ("fcn8s_clan_vgg16", "pspnet_r50-d8", "upernet_ch256_mit", "upernet_mit")
"""Networks whose pooling or cropping is fixed to one size in ONNX."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.py")))
def test_every_network_of_the_base_configs(name, tmp_path):
    encoder = next((small for part, small in ENCODERS.items() if part in name), None)
    network = model_config(name, encoder)
    size = None
    if network["type"] == "HRDAEncoderDecoder" or "slide" in str(network.get("test_cfg")):
        size = (128, 192)
        network["test_cfg"] = dict(mode="slide", batched_slide=True, crop_size=(128, 128), stride=(64, 64))
        network["hr_crop_size"] = (64, 64)
    model = exportable(network)
    if name in OF_ONE_SIZE:
        size = (128, 192)
        with pytest.raises((ConfigError, CheckpointError), match=r"--size|predicts otherwise"):
            export(model, tmp_path / "net.onnx")
        assert not (tmp_path / "net.onnx").exists()
    parity = export(model, tmp_path / "net.onnx", size=size)
    assert parity.differing <= 3 and parity.pixels > 20_000, "two classes may be equal but for rounding"


def test_description_is_plain_json(file):
    """Whoever has no part of this framework can read it."""
    content = json.loads(ExportedSegmentor(file).session.metadata)
    assert content["framework"].startswith("mmseg-uda ") and content["input"].startswith("RGB images")


def test_a_photograph_file_is_read_as_in_tests(tmp_path, small):
    path = tmp_path / "photo.png"
    Image.fromarray(photograph(128, 96)).save(path)
    parity = export(small, tmp_path / "net.pt2", images=[path])
    assert (parity.images, parity.pixels) == (1, 64 * 96)
