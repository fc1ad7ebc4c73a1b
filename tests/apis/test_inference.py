"""Predictions on one's own images, of any size."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from toy_run import toy_config, uda_config

from demo.image_demo import main as image_demo
from mmseg import apis
from mmseg.apis import inference_segmentor, init_segmentor
from mmseg.apis.training import build_runner
from mmseg.commands.predict import result_names
from mmseg.datasets.classes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.errors import ConfigError, DataError
from mmseg.visualization.palette_image import colorize


@pytest.fixture(scope="module")
def segmentor(uda_run):
    return init_segmentor(uda_run.work_dir / "daformer.py", uda_run.checkpoint, device="cpu")


@pytest.fixture
def image(toy_data):
    return sorted((toy_data / "cityscapes/leftImg8bit/val").rglob("*.png"))[0]


def test_segmentor_of_an_adapted_run_is_the_student(segmentor, uda_run):
    state = segmentor.state_dict()
    student = uda_run.model.model.state_dict()
    assert state.keys() == student.keys()
    assert all(torch.equal(state[name], value) for name, value in student.items())
    assert not segmentor.training
    assert segmentor.classes == CITYSCAPES_CLASSES and segmentor.palette == list(CITYSCAPES_PALETTE)


def test_file_array_and_list_agree(segmentor, image):
    (from_file,) = inference_segmentor(segmentor, str(image))
    assert from_file.dtype == np.uint8 and from_file.max() < 19
    (from_path,) = inference_segmentor(segmentor, image)
    bgr = cv2.imread(str(image))
    both = inference_segmentor(segmentor, [bgr, image])
    for other in (from_path, *both):
        np.testing.assert_array_equal(other, from_file)
    (red_and_blue_exchanged,) = inference_segmentor(segmentor, bgr[..., ::-1])
    assert (red_and_blue_exchanged != from_file).any()


def test_same_predictions_as_testing(segmentor, uda_run, image, toy_data, tmp_path):
    cfg = toy_config("source_only", toy_data, tmp_path)
    apis.test(cfg, uda_run.checkpoint, show_dir=tmp_path / "preds")
    written = cv2.imread(str(next((tmp_path / "preds").rglob(image.name))))
    (found,) = inference_segmentor(segmentor, image)
    np.testing.assert_array_equal(written[..., ::-1], colorize(found, CITYSCAPES_PALETTE))


@pytest.mark.parametrize("size", [(20, 33), (64, 96), (150, 131), (97, 65)])
def test_any_image_size(segmentor, size):
    """Smaller and larger than in training, and portrait."""
    image = np.random.RandomState(0).randint(0, 256, (*size, 3)).astype(np.uint8)
    (label,) = inference_segmentor(segmentor, image)
    assert label.shape == size and label.max() < 19


def test_image_that_is_too_thin(segmentor, tmp_path):
    path = tmp_path / "line.png"
    cv2.imwrite(str(path), np.zeros((2, 300, 3), np.uint8))
    with pytest.raises(
        DataError, match=r"line\.png: 300x2 pixels are scaled to 72x1, expected at least 32 on each side"
    ):
        inference_segmentor(segmentor, path)
    with pytest.raises(DataError, match="image array: 2x300 pixels"):
        inference_segmentor(segmentor, np.zeros((300, 2, 3), np.uint8))


def test_missing_image(segmentor, tmp_path):
    with pytest.raises(DataError, match=r"nothing\.png: cannot be read"):
        inference_segmentor(segmentor, tmp_path / "nothing.png")


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((64, 96, 3), np.uint16), r"uint16 of shape \(64, 96, 3\)"),
        (np.zeros((64, 96, 3)), r"float64 of shape \(64, 96, 3\)"),
        (np.zeros((64, 96), np.uint8), r"uint8 of shape \(64, 96\)"),
        (np.zeros((64, 96, 4), np.uint8), r"uint8 of shape \(64, 96, 4\)"),
        (np.zeros((0, 96, 3), np.uint8), r"uint8 of shape \(0, 96, 3\)"),
        ([torch.zeros(64, 96, 3)], "image of type Tensor"),
        ([[[[0, 0, 0]]]], "image of type list"),
        ([None], "image of type NoneType"),
    ],
)
def test_arrays_that_are_no_image(segmentor, image, found):
    with pytest.raises(DataError, match=rf"{found}.*expected .*\(H, W, 3\)"):
        inference_segmentor(segmentor, image)


def test_config_object_without_weights(uda_run, toy_data, tmp_path):
    cfg = toy_config("daformer", toy_data, tmp_path, {"model.pretrained": "nowhere.pth"})
    assert not init_segmentor(cfg, device="cpu").training
    del cfg.test_dataloader.dataset.pipeline[1]
    model = init_segmentor(cfg, device="cpu")
    assert inference_segmentor(model, np.zeros((64, 96, 3), np.uint8))[0].shape == (64, 96)  # as it is
    cfg.test_dataloader = None
    model = init_segmentor(cfg, device="cpu")
    assert inference_segmentor(model, np.zeros((64, 96, 3), np.uint8))[0].shape == (64, 96)  # as validated
    cfg.val_dataloader = None
    model = init_segmentor(cfg, device="cpu")
    with pytest.raises(ConfigError, match="has no test_dataloader with a data set, whose pipeline says how"):
        inference_segmentor(model, np.zeros((64, 96, 3), np.uint8))


def test_normalisation_is_that_of_training(toy_data, tmp_path):
    cfg = uda_config(toy_data, tmp_path)
    cfg.data_preprocessor = dict(type="SegDataPreprocessor", mean=[10, 20, 30], std=[1, 2, 4])
    method = build_runner(cfg).model
    inferring = init_segmentor(cfg, device="cpu")
    for preprocessor in (
        method.data_preprocessor,
        method.model.data_preprocessor,
        inferring.data_preprocessor,
    ):
        assert preprocessor.mean.flatten().tolist() == [10, 20, 30]
        assert preprocessor.std.flatten().tolist() == [1, 2, 4]


# ------------------------------------------------------------------------------------------------------- demo


def demo_arguments(run):
    return [str(run.work_dir / "daformer.py"), str(run.checkpoint), "--device", "cpu"]


def test_demo_on_one_image(uda_run, segmentor, image, tmp_path, capsys):
    source = tmp_path / "my street.jpg"
    cv2.imwrite(str(source), cv2.resize(cv2.imread(str(image)), (130, 70)))
    assert (
        image_demo([str(source), *demo_arguments(uda_run), "--opacity", "1", "--out-dir", str(tmp_path)]) == 0
    )
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "my street_pred.jpg")
    drawn = cv2.imread(str(tmp_path / "my street_pred.jpg"))
    expected = colorize(inference_segmentor(segmentor, source)[0], CITYSCAPES_PALETTE)
    assert drawn.shape == (70, 130, 3)
    assert np.abs(drawn[..., ::-1].astype(int) - expected).mean() < 20, "JPEG is not exact"


def test_demo_on_a_folder_of_several_sizes(uda_run, image, tmp_path, capsys):
    shutil.copy(image, tmp_path / "a.png")
    cv2.imwrite(str(tmp_path / "b.PNG"), np.zeros((31, 45, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    sizes = {"a_pred.png": (64, 96), "b_pred.PNG": (31, 45)}
    for _ in range(2):  # results of the first call are no input of the second
        assert image_demo([str(tmp_path), *demo_arguments(uda_run)]) == 0
        printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith(str(tmp_path))]
        assert printed == [str(tmp_path / name) for name in sizes]
    for name, size in sizes.items():
        assert cv2.imread(str(tmp_path / name)).shape == (*size, 3)


def test_demo_without_images(uda_run, tmp_path, capsys):
    assert image_demo([str(tmp_path), *demo_arguments(uda_run)]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"error: {tmp_path}: neither an image nor a folder with images (.png, ")


def test_demo_goes_on_where_a_result_cannot_be_written(uda_run, image, tmp_path, capsys):
    """A name with the longest length has no room for ``_pred``; formats that cannot be written become PNG."""
    long = f"{'n' * 250}.png"
    for name in ("a.jfif", "b.png", long):
        shutil.copy(image, tmp_path / name)
    (tmp_path / "._b.png").write_bytes(b"a file server's")
    assert image_demo([str(tmp_path), *demo_arguments(uda_run)]) == 1
    out, err = capsys.readouterr()
    printed = [line for line in out.splitlines() if line.startswith(str(tmp_path))]
    assert printed == [str(tmp_path / "a_pred.png"), str(tmp_path / "b_pred.png")]
    assert f"error: {tmp_path / long}: its result cannot be written" in err and "b.png" not in err
    assert cv2.imread(str(tmp_path / "a_pred.png")).shape == cv2.imread(str(image)).shape


@pytest.mark.parametrize(
    ("images", "results"),
    [
        (["p.jfif", "p.png"], ["p.jfif_pred.png", "p_pred.png"]),
        (["p", "p.jfif", "p.xyz"], ["p_pred.png", "p.jfif_pred.png", "p.xyz_pred.png"]),
        (["p.jpg", "p.jpeg", "q.png"], ["p_pred.jpg", "p_pred.jpeg", "q_pred.png"]),
        (["A.png", "a.PNG"], ["A_pred.png", "a.PNG_pred.PNG"]),
        (["p.jfif", "p.jfif.png", "p.png"], ["p.jfif__pred.png", "p.jfif_pred.png", "p_pred.png"]),
    ],
)
def test_each_result_has_its_own_file(images, results):
    assert result_names([Path(name) for name in images]) == results


def test_demo_writes_a_result_for_each_image(uda_run, image, tmp_path, capsys):
    for name in ("p.jfif", "p.png"):
        shutil.copy(image, tmp_path / name)
    cv2.imwrite(str(tmp_path / "p.png"), np.zeros((31, 45, 3), np.uint8))
    assert image_demo([str(tmp_path), *demo_arguments(uda_run)]) == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith(str(tmp_path))]
    assert printed == [str(tmp_path / "p.jfif_pred.png"), str(tmp_path / "p_pred.png")]
    assert cv2.imread(printed[0]).shape == cv2.imread(str(image)).shape
    assert cv2.imread(printed[1]).shape == (31, 45, 3)


def test_demo_on_a_file_without_suffix(uda_run, image, tmp_path):
    shutil.copy(image, tmp_path / "photo")
    assert image_demo([str(tmp_path / "photo"), *demo_arguments(uda_run)]) == 0
    assert (tmp_path / "photo_pred.png").is_file()


def test_demo_reads_images_as_the_test_pipeline_says(uda_run, image, tmp_path, capsys):
    cfg = toy_config("daformer", tmp_path, tmp_path)
    pixels = cv2.imread(str(image))
    cv2.imwrite(str(tmp_path / "deep.png"), pixels.astype(np.uint16) * 16)
    shutil.copy(image, tmp_path / "plain.png")
    cfg.test_dataloader.dataset.pipeline[0] = dict(type="LoadImage", value_range=(0, 255 * 16))
    model = init_segmentor(cfg, uda_run.checkpoint, device="cpu")
    plain, deep = (inference_segmentor(model, tmp_path / f"{name}.png")[0] for name in ("plain", "deep"))
    np.testing.assert_array_equal(deep, plain)
    arguments = [str(uda_run.work_dir / "daformer.py"), str(uda_run.checkpoint), "--device", "cpu"]
    assert image_demo([str(tmp_path / "deep.png"), *arguments]) == 1
    assert "deep.png: holds uint16 values" in capsys.readouterr().err


def test_colours_of_cityscapes_for_other_classes_are_refused(uda_run, image, tmp_path, capsys):
    content = torch.load(uda_run.checkpoint, weights_only=False)
    content["meta"]["dataset_meta"] = dict(
        classes=[f"c{c}" for c in range(19)], palette=[(c, c, c) for c in range(19)]
    )
    torch.save(content, tmp_path / "own.pth")
    config = str(uda_run.work_dir / "daformer.py")
    options = ["--device", "cpu", "--palette", "cityscapes", "--out-dir", str(tmp_path)]
    assert image_demo([str(image), config, str(tmp_path / "own.pth"), *options]) == 1
    assert "--palette cityscapes: the network has 19 classes of its own (c0, c1" in capsys.readouterr().err
