"""Segmenting images, folders, patterns and videos with networks of every form."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg.apis import inference_segmentor, init_segmentor, save_pretrained
from mmseg.apis.export import export
from mmseg.apis.inference import segment
from mmseg.commands.predict import main, result_paths
from mmseg.datasets.classes import CITYSCAPES_PALETTE
from mmseg.errors import ConfigError
from mmseg.visualization.palette_image import blend

SIZE = (48, 72)  # images are scaled to it
SMALL = dict(
    type="EncoderDecoder",
    backbone=dict(type="TimmBackbone", name="resnet10t", out_indices=(1, 2)),
    decode_head=dict(type="FCNHead", channels=8, num_convs=1, num_classes=19, in_index=1),
)


@pytest.fixture(scope="module")
def model(uda_run):
    return init_segmentor(uda_run.work_dir / "daformer.py", uda_run.checkpoint, device="cpu")


@pytest.fixture(scope="module")
def network(model, tmp_path_factory) -> str:
    """A folder with a network and its config."""
    return str(save_pretrained(model, tmp_path_factory.mktemp("network")))


@pytest.fixture
def photos(toy_data, tmp_path) -> Path:
    """Two images in a folder, one more below it."""
    found = sorted((toy_data / "cityscapes/leftImg8bit/val").rglob("*.png"))
    folder = tmp_path / "photos"
    (folder / "night").mkdir(parents=True)
    shutil.copy(found[0], folder / "a.png")
    shutil.copy(found[1], folder / "b.png")
    shutil.copy(found[0], folder / "night" / "a.png")
    return folder


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_folders_are_searched_and_stay_as_they_are(network, photos, tmp_path, capsys):
    assert main([str(photos), network, "--out-dir", str(tmp_path / "out")]) == 0
    assert files_below(tmp_path / "out") == ["a_pred.png", "b_pred.png", "night/a_pred.png"]
    printed = capsys.readouterr().out.splitlines()[-3:]
    assert printed == [str(tmp_path / "out" / name) for name in files_below(tmp_path / "out")]


def test_patterns(network, photos, tmp_path):
    assert main([str(photos / "**" / "a.*"), network, "--out-dir", str(tmp_path / "out")]) == 0
    assert files_below(tmp_path / "out") == ["a_pred.png", "night/a_pred.png"]
    assert main([str(photos / "c*"), network]) == 1
    one = result_paths([photos / "night" / "a.png"], photos / "night" / "a.png", tmp_path)
    assert one == [tmp_path / "a_pred.png"]


def test_ids_and_probabilities_beside_the_picture(network, model, photos, capsys):
    image = photos / "b.png"
    kinds = ["overlay", "ids", "probabilities"]
    assert main([str(image), network, "--save", *kinds]) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        str(photos / name) for name in ("b_pred.png", "b_ids.png", "b_probabilities.npz")
    ]
    found = segment(model, image, probabilities=True)
    np.testing.assert_array_equal(np.array(Image.open(photos / "b_ids.png")), found.classes)
    stored = np.load(photos / "b_probabilities.npz")["probabilities"]
    assert stored.dtype == np.float16 and stored.shape == (19, *found.classes.shape)
    np.testing.assert_allclose(stored, found.probabilities, atol=1e-3)
    assert segment(model, image).probabilities is None
    assert main([str(photos), network]) == 0, "results are no images to segment"
    assert not list(photos.rglob("*_ids_pred*")) and not list(photos.rglob("*_pred_pred*"))


def test_probabilities_are_of_the_classes(model, photos):
    found = segment(model, photos / "a.png", probabilities=True)
    np.testing.assert_allclose(found.probabilities.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(found.probabilities.argmax(axis=0), found.classes)


def test_an_image_of_one_tile_is_predicted_at_its_own_resolution(model):
    pixels = np.random.RandomState(0).randint(0, 256, (64, 96, 3)).astype(np.uint8)
    image = model.data_preprocessor(
        {"img": torch.from_numpy(pixels[..., ::-1].copy()).permute(2, 0, 1)[None]}
    )
    expected = model.predict(image["img"])[0].argmax(0).numpy()
    for tile in ((64, 96), (500, 500)):
        np.testing.assert_array_equal(segment(model, pixels, tile=tile).classes, expected)


def test_tiles_are_joined_in_the_middle_of_what_they_share(model):
    """Rows 0…63 and 36…99; they share 28, and the second begins to count at 36 + 8."""
    pixels = np.random.RandomState(1).randint(0, 256, (100, 64, 3)).astype(np.uint8)
    found = segment(model, pixels, tile=(64, 64)).classes
    upper, lower = (segment(model, part, tile=(64, 64)).classes for part in (pixels[:64], pixels[36:]))
    np.testing.assert_array_equal(found[:44], upper[:44])
    np.testing.assert_array_equal(found[44:], lower[8:])
    with pytest.raises(ConfigError, match="expected at least 32 on each side, and classes alone"):
        segment(model, pixels, tile=(64, 16))
    with pytest.raises(ConfigError, match="probabilities=True"):
        segment(model, pixels, probabilities=True, tile=(64, 64))


@pytest.mark.parametrize("probabilities", [False, True])
def test_exported_networks(model, photos, tmp_path, probabilities, capsys):
    path = tmp_path / "net.pt2"
    small = init_segmentor(Config(dict(model=SMALL, test_dataloader=model.cfg.test_dataloader)), device="cpu")
    export(small, path, size=SIZE, probabilities=probabilities)
    assert main([str(photos / "a.png"), str(path), "--save", "ids"]) == 0
    ids = np.array(Image.open(photos / "a_ids.png"))
    (expected,) = inference_segmentor(small, photos / "a.png")
    assert ids.shape == expected.shape and (ids == expected).mean() > (0.99 if probabilities else 0.7)
    status = main([str(photos / "a.png"), str(path), "--save", "probabilities"])
    assert status == (0 if probabilities else 1)
    if not probabilities:
        assert "gives classes alone; export the network with --probabilities" in capsys.readouterr().err


@pytest.fixture
def video(photos, tmp_path) -> Path:
    """Five frames at ten a second."""
    path = tmp_path / "drive.avi"
    frame = cv2.imread(str(photos / "a.png"))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (frame.shape[1], frame.shape[0]))
    for _ in range(5):
        writer.write(frame)
    writer.release()
    return path


def frames_of(path: Path) -> tuple[list[np.ndarray], float]:
    reader, frames = cv2.VideoCapture(str(path)), []
    while (read := reader.read())[0]:
        frames.append(read[1])
    return frames, reader.get(cv2.CAP_PROP_FPS)


def test_a_video_gets_the_colours_of_the_classes(network, model, video, tmp_path, capsys):
    assert main([str(video), network, "--out-dir", str(tmp_path / "out")]) == 0
    out = tmp_path / "out" / "drive_pred.mp4"
    assert capsys.readouterr().out.splitlines()[-1] == f"{out}: 5 frames"
    assert files_below(tmp_path / "out") == ["drive_pred.mp4"]
    frames, rate = frames_of(out)
    assert len(frames) == 5 and rate == 10
    (original, *_), _ = frames_of(video)
    expected = blend(original[..., ::-1], segment(model, original).classes, CITYSCAPES_PALETTE)
    assert np.abs(frames[0][..., ::-1].astype(int) - expected).mean() < 20, "videos are not exact"
    assert main([str(video), network, "--frames", "2"]) == 0
    assert len(frames_of(video.with_name("drive_pred.mp4"))[0]) == 2


def test_videos_that_are_none(network, tmp_path, capsys, video):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    assert main([str(broken), network]) == 1
    assert f"{broken}: no frame can be read" in capsys.readouterr().err
    assert not list(tmp_path.glob("*_pred*")) and not list(tmp_path.glob(".*"))
    assert main([str(video), network, "--out-dir", str(broken)]) == 1
    assert f"{video}: its result cannot be written" in capsys.readouterr().err
    assert main([str(video), network, "--save", "ids"]) == 1
    assert "leave --save out" in capsys.readouterr().err
    assert main(["camera:front", network]) == 1
    assert "expected camera:NUMBER, as camera:0, and how many --frames" in capsys.readouterr().err


def test_what_does_not_go_together(model, network, photos, uda_run, tmp_path, capsys):
    image = str(photos / "a.png")
    assert main([image, str(uda_run.work_dir / "daformer.py")]) == 1
    assert "a config needs weights; name the CHECKPOINT" in capsys.readouterr().err
    assert main([image, str(tmp_path / "x.onnx"), "--tile", "64", "64"]) == 1
    assert "leave CHECKPOINT and --tile out" in capsys.readouterr().err
    assert main([image, str(tmp_path / "x.onnx")]) == 1
    assert "no such file" in capsys.readouterr().err
    assert main([image, str(tmp_path)]) == 1
    assert "expected config.json and model.safetensors in it" in capsys.readouterr().err
