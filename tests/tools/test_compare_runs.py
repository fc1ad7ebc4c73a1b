"""Predictions of runs side by side."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy_run import toy_config, write_config

from mmseg.apis import inference_segmentor, init_segmentor
from mmseg.datasets.classes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from mmseg.registry import DATASETS
from mmseg.reports import comparison
from mmseg.visualization.grid import BACKGROUND, GAP, LINE_HEIGHT, draw_comparison, draw_legend
from mmseg.visualization.palette_image import save_palette_png
from tools import compare_runs

FIRST, SECOND = 3, 13


@pytest.fixture
def run_dir(source_run, tmp_path) -> Path:
    """A copy of a finished run, to be changed; without what other tests may have tested."""
    untested = shutil.ignore_patterns("test", "preds")
    return Path(shutil.copytree(source_run.work_dir, tmp_path / "mine", ignore=untested))


@pytest.fixture
def drawn(monkeypatch) -> list[tuple]:
    """Collects the arguments of what is drawn, (images, columns, palette, path, width, names, classes)."""
    calls = []
    monkeypatch.setattr(comparison, "draw_comparison", lambda *arguments: calls.append(arguments))
    return calls


def store(run_dir: Path, names: list[str], value: int, age: float = 0.0) -> None:
    """Predict one class everywhere, as ``test.sh`` stores it, so many seconds after the checkpoint."""
    newest = max((path.stat().st_mtime for path in run_dir.glob("iter_*.pth")), default=0)
    for name in names:
        path = run_dir / "preds" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_palette_png(path, np.full((64, 96), value, np.uint8), CITYSCAPES_PALETTE)
        os.utime(path, (newest + age, newest + age))


def test_checkpoints_predict_the_images_of_the_first_run(
    source_run, uda_run, tmp_path, drawn, capsys, monkeypatch
):
    out = tmp_path / "picture.png"
    folders = [str(source_run.work_dir), str(uda_run.work_dir)]
    assert compare_runs.main([*folders, "--images", "2", "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    ((images, columns, palette, path, _, names, classes),) = drawn
    dataset = DATASETS.build(source_run.cfg.test_dataloader.dataset)
    assert names == [sample.name for sample in dataset.samples] and path == out
    assert (classes, palette) == (CITYSCAPES_CLASSES, CITYSCAPES_PALETTE)
    for index, sample in enumerate(dataset.samples):
        np.testing.assert_array_equal(images[index], np.array(Image.open(sample.img_path)))
        np.testing.assert_array_equal(columns["truth"][index], dataset[index]["gt_semantic_seg"])
    captions = list(columns)[1:]
    for run, caption in zip((source_run, uda_run), captions, strict=True):
        title, origin = caption.splitlines()
        assert title == run.work_dir.name and origin.startswith("mIoU ")
        assert origin.endswith(f", {run.checkpoint.name}")
        model = init_segmentor(run.cfg, run.checkpoint, device="cpu")
        expected = inference_segmentor(model, [sample.img_path for sample in dataset.samples])
        np.testing.assert_array_equal(np.stack(columns[caption]), np.stack(expected))


def test_stored_predictions_are_shown_unless_the_checkpoint_is_newer(run_dir, tmp_path, drawn):
    data = DATASETS.build(comparison.load_config(next(run_dir.glob("*.py"))).test_dataloader.dataset)
    names = [sample.name for sample in data.samples]
    store(run_dir, names, FIRST, age=1)
    (run_dir / "test").mkdir()
    (run_dir / "test/results.json").write_text('{"mIoU": 45.25}')
    arguments = [str(run_dir), "--out", str(tmp_path / "picture.png")]
    assert compare_runs.main(arguments) == 0
    caption, labels = list(drawn[-1][1].items())[-1]
    assert caption == "mine\nmIoU 45.2, as stored"
    assert len(labels) == len(names) and {int(each.mean()) for each in labels} == {FIRST}

    store(run_dir, names, FIRST, age=-1)
    assert compare_runs.main(arguments) == 0
    assert list(drawn[-1][1])[-1].endswith(", iter_4.pth")

    store(run_dir, names, FIRST, age=1)
    Image.new("RGB", (96, 64)).save(run_dir / "preds" / f"{names[0]}.png")  # colours over the image
    os.utime(run_dir / "preds" / f"{names[0]}.png", (2e9, 2e9))
    assert compare_runs.main(arguments) == 0
    assert list(drawn[-1][1])[-1].endswith(", iter_4.pth")

    for path in run_dir.glob("*.pth"):
        path.unlink()
    store(run_dir, names, SECOND, age=-1)
    assert compare_runs.main(arguments) == 0
    assert drawn[-1][1]["mine\nmIoU 45.2, as stored"][0].mean() == SECOND


def test_images_are_chosen_by_number_or_name(run_dir, tmp_path, drawn):
    data = comparison.tested_data(comparison.load_config(next(run_dir.glob("*.py"))))
    first, second = data.samples
    store(run_dir, [first.name, second.name], FIRST, age=1)
    for words, expected in {
        ("1",): [first],
        ("99",): [first, second],
        (second.name,): [second],
        (Path(second.img_path).name, Path(first.name).name): [second, first],
    }.items():
        arguments = [str(run_dir), "--out", str(tmp_path / "picture.png"), "--images", *words]
        assert compare_runs.main(arguments) == 0
        assert list(drawn[-1][5]) == [sample.name for sample in expected]


def test_a_test_set_without_labels_has_no_truth(run_dir, tmp_path, drawn):
    config = next(run_dir.glob("*.py"))
    cfg = comparison.load_config(config, {"test_dataloader.dataset.load_labels": False})
    cfg.test_dataloader.dataset.pipeline = [
        step for step in cfg.test_dataloader.dataset.pipeline if step["type"] != "LoadLabel"
    ]
    write_config(cfg, config)
    assert compare_runs.main([str(run_dir), "--out", str(tmp_path / "picture.png"), "--images", "1"]) == 0
    assert "truth" not in drawn[-1][1] and len(drawn[-1][1]) == 1


def test_what_cannot_be_compared_is_explained(source_run, toy_data, run_dir, tmp_path, capsys):
    out = ["--out", str(tmp_path / "picture.png")]
    other, untrained = tmp_path / "other", tmp_path / "untrained"
    cfg = toy_config("source_only", toy_data, other)
    cfg.test_dataloader.dataset.classes = [*CITYSCAPES_CLASSES[:-1], "tricycle"]
    write_config(cfg, other / "other.py")
    write_config(toy_config("source_only", toy_data, untrained), untrained / "untrained.py")
    run = str(run_dir)
    for arguments, message in {
        (run, str(tmp_path / "nowhere")): f"error: {tmp_path}/nowhere: no such folder",
        (str(untrained),): f"error: {untrained}: no checkpoint that is whole",
        (run, str(other)): f"error: {other}: its classes are not those of {run}, they differ in bicycle, tri",
        (run, "--images", "frankfurt_0"): "error: --images frankfurt_0: none of the 2 test images in ",
        (run, "--images", "0"): "error: --images 0: expected a number from 1 on",
    }.items():
        assert compare_runs.main([*arguments, *out]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "picture.png").exists()
    assert compare_runs.main([run, "--images", "1", "--out", str(tmp_path / "picture.pdf")]) == 1
    assert "--out" in capsys.readouterr().err


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    runs = [tmp_path / "260101_1200_dacs_s0_01234", tmp_path / "260101_1200_dacs_s1_01234"]
    assert list(comparison.titles_of(runs)) == ["dacs_s0", "dacs_s1"]
    runs = [tmp_path / "a" / "dacs", tmp_path / "b" / "dacs"]
    assert comparison.titles_of(runs) == {str(run): run for run in runs}


def test_the_picture_has_captions_tiles_and_the_classes_that_occur(tmp_path):
    rng = np.random.RandomState(0)
    images = [rng.randint(0, 256, (32, 48, 3), np.uint8) for _ in range(2)]
    palette = [(10 * c, 200, 100) for c in range(5)]
    columns = {"truth": [np.full((32, 48), c, np.uint8) for c in (1, 255)]}
    columns["run\nmIoU 1.0"] = [np.full((32, 48), 4, np.uint8)] * 2
    path = tmp_path / "picture.png"
    draw_comparison(images, columns, palette, path, 300, ["first", "second"], list("abcde"))
    picture = np.array(Image.open(path))
    width, height = 3 * 300 + 2 * GAP, 2 * 200 + 3 * LINE_HEIGHT + GAP
    assert picture.shape == (height + GAP + LINE_HEIGHT, width, 3)
    assert (picture[LINE_HEIGHT * 2 + 100, 300 + GAP + 5] == palette[1]).all()
    assert (picture[LINE_HEIGHT * 2 + 100, -5] == palette[4]).all()
    second_row = LINE_HEIGHT * 3 + 200 + GAP + 5
    assert (picture[second_row, 300 + GAP + 5] == 0).all()
    shown = picture[height:].reshape(-1, 3)
    counts = [(shown == color).all(axis=1).sum() for color in (*palette, (0, 0, 0))]
    area = (LINE_HEIGHT - GAP) ** 2
    assert counts[0] == counts[2] == counts[3] == 0 and counts[1] == counts[4] == area and counts[5] >= area


def test_a_narrow_legend_has_lines():
    entries = {f"class {c}": (200, 10 * c, 0) for c in range(7)}
    legend = draw_legend(entries, 200)
    lines = (legend.shape[0] - GAP) // LINE_HEIGHT
    assert legend.shape[1] == 200 and lines > 1
    for color in entries.values():
        assert (legend == color).all(axis=2).sum() == (LINE_HEIGHT - GAP) ** 2
    assert (legend[0] == BACKGROUND).all()
