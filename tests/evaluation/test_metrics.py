"""Confusion matrix, scores, the metric of the loops (one and several processes) and the report."""

import csv
import io
import json
import socket
from pathlib import Path

import mmengine.dist as dist
import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing
from golden_data import load
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colormaps
from PIL import Image

from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.errors import ConfigError, DataError
from mmseg.evaluation import IoUMetric
from mmseg.evaluation.confusion_matrix import count_confusion
from mmseg.evaluation.metrics import segmentation_scores
from mmseg.evaluation.report import (
    format_scores,
    log_scores,
    write_confusion_matrix,
    write_json,
    write_results,
)
from mmseg.registry import METRICS
from mmseg.visualization.confusion_matrix import draw_confusion_matrix, row_percentages

META = {"classes": CITYSCAPES_CLASSES}


@pytest.fixture(scope="module")
def golden():
    """Published scores, but that classes that are never predicted count in F-score and precision, too."""
    found = dict(load("metrics"))
    never = np.isnan(found["m_Fscore_f64"]) & ~np.isnan(found["m_Dice_f64"])
    assert never.sum() == 1
    for score in ("Fscore", "Precision"):
        found[f"m_{score}_f64"] = np.where(never, 0.0, found[f"m_{score}_f64"])
    return found


def golden_samples(golden):
    return [
        {"pred": torch.tensor(pred).long(), "gt": torch.tensor(gt), "img_path": f"{index}.png"}
        for index, (pred, gt) in enumerate(zip(golden["pred"], golden["gt"], strict=True))
    ]


def make_metric(**arguments):
    metric = METRICS.build({"type": "IoUMetric", **arguments})
    metric.dataset_meta = META
    return metric


def test_scores_of_the_published_implementation(golden):
    counts = sum(count_confusion(sample["pred"], sample["gt"], 19) for sample in golden_samples(golden))
    scores = segmentation_scores(counts[:19], CITYSCAPES_CLASSES)
    assert scores.accuracy == pytest.approx(float(golden["m_aAcc_f64"]), rel=1e-12)
    for name, values in scores.per_class.items():
        assert values.dtype == torch.float64
        np.testing.assert_allclose(values.numpy(), golden[f"m_{name}_f64"], rtol=1e-12, err_msg=name)
    assert scores.mean("IoU") == pytest.approx(np.nanmean(golden["m_IoU_f64"]), rel=1e-12)
    assert set(scores.per_class) == {"IoU", "Acc", "Dice", "Fscore", "Precision", "Recall"}


def test_metric_reports_percent_rounded_to_two_decimals(golden):
    metric = make_metric()
    for sample in golden_samples(golden):
        metric.process(None, [sample])
    result = metric.evaluate(3)
    expected = {
        "aAcc": golden["m_aAcc_f64"],
        "mIoU": np.nanmean(golden["m_IoU_f64"]),
        "mAcc": np.nanmean(golden["m_Acc_f64"]),
        **{f"IoU.{name}": golden["m_IoU_f64"][i] for i, name in enumerate(CITYSCAPES_CLASSES)},
        **{f"Acc.{name}": golden["m_Acc_f64"][i] for i, name in enumerate(CITYSCAPES_CLASSES)},
    }
    assert list(result) == list(expected)
    rounded = [float(np.round(value * 100, 2)) for value in expected.values()]
    np.testing.assert_array_equal(list(result.values()), rounded)
    assert np.isnan(result["IoU.motorcycle"])


@pytest.mark.parametrize(
    ("metrics", "reported"),
    [
        (("mDice",), ("Dice", "Acc")),
        (("mFscore",), ("Fscore", "Precision", "Recall")),
        (("mFscore", "mIoU", "mDice"), ("IoU", "Acc", "Dice", "Fscore", "Precision", "Recall")),
    ],
)
def test_what_is_reported_can_be_chosen(golden, metrics, reported):
    metric = make_metric(metrics=metrics)
    metric.process(None, golden_samples(golden))
    result = metric.evaluate(3)
    expected = {"aAcc": golden["m_aAcc_f64"]}
    expected |= {f"m{score}": np.nanmean(golden[f"m_{score}_f64"]) for score in reported}
    for score in reported:
        expected |= {
            f"{score}.{name}": golden[f"m_{score}_f64"][i] for i, name in enumerate(CITYSCAPES_CLASSES)
        }
    assert list(result) == list(expected)
    np.testing.assert_array_equal(
        list(result.values()), [np.round(100 * value, 2) for value in expected.values()]
    )
    assert (
        format_scores(result, CITYSCAPES_CLASSES).splitlines()[0].split()
        == f"| Class | {' | '.join(reported)} |".split()
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 8), st.sampled_from([torch.uint8, torch.int32, torch.int64]))
def test_confusion_matrix_counts_every_pixel_once(seed, classes, dtype):
    rng = np.random.RandomState(seed)
    gt = rng.choice([*range(classes + 2), 255], (7, 9))
    pred = rng.randint(0, classes + 1, (7, 9))
    counts = count_confusion(torch.from_numpy(pred).to(dtype), torch.from_numpy(gt).to(dtype), classes)
    expected = np.zeros((classes + 2, classes + 1), int)
    for label, prediction in zip(gt.ravel(), pred.ravel(), strict=True):
        row = label if label < classes else (classes if label == 255 else classes + 1)
        expected[row, prediction] += 1
    assert counts.tolist() == expected.tolist()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_scores_do_not_depend_on_how_images_are_split(seed, parts):
    rng = np.random.RandomState(seed)
    pred = torch.from_numpy(rng.randint(0, 5, (20, 6)))
    gt = torch.from_numpy(rng.choice([0, 1, 2, 3, 4, 255], (20, 6)))
    split = sum(count_confusion(*part, 5) for part in zip(pred.chunk(parts), gt.chunk(parts), strict=True))
    assert torch.equal(count_confusion(pred, gt, 5), split)


def test_ignored_pixels_and_unknown_predictions():
    gt = torch.tensor([[0, 0, 1, 255, 255]])
    pred = torch.tensor([[0, 255, 1, 0, 1]])  # 255 is no class: wrong for its label, predicted for none
    scores = segmentation_scores(count_confusion(pred, gt, 3)[:3], ("a", "b", "c"))
    assert scores.per_class["IoU"][:2].tolist() == [0.5, 1.0]
    assert scores.per_class["Precision"][:2].tolist() == [1.0, 1.0]
    assert scores.per_class["IoU"][2].isnan()
    assert scores.accuracy == pytest.approx(2 / 3)
    assert scores.mean("IoU") == 0.75


def test_a_class_counts_in_all_means_or_in_none():
    """Of four classes one is right, one never predicted, one only predicted, one absent."""
    gt, pred = torch.tensor([[0, 1, 1]]), torch.tensor([[0, 2, 2]])
    scores = segmentation_scores(count_confusion(pred, gt, 4)[:4], tuple("abcd")).per_class
    nan = float("nan")
    for score, expected in {
        "IoU": [1, 0, 0, nan],
        "Dice": [1, 0, 0, nan],
        "Fscore": [1, 0, 0, nan],
        "Precision": [1, 0, 0, nan],
        "Acc": [1, 0, nan, nan],
        "Recall": [1, 0, nan, nan],
    }.items():
        np.testing.assert_array_equal(scores[score].numpy(), expected, err_msg=score)


def test_synthia_subsets_leave_classes_out():
    gt = torch.arange(19).repeat(4, 1)
    pred = gt.clone()
    for name in ("terrain", "truck", "train"):  # never predicted by a network that never saw them
        pred[gt == CITYSCAPES_CLASSES.index(name)] = 0
    for name in ("wall", "fence", "pole"):
        pred[:2][gt[:2] == CITYSCAPES_CLASSES.index(name)] = 10
    metric = make_metric(class_subsets=("16", "13"))
    metric.process(None, [{"pred": pred, "gt": gt, "img_path": "x.png"}])
    result = metric.evaluate(1)
    road, sky = 4 / 16, 4 / 10
    assert result["mIoU13"] == round(100 * (11 + road + sky) / 13, 2)
    assert result["mIoU16"] == round(100 * (11 + road + sky + 3 * 0.5) / 16, 2)
    assert result["mIoU"] == round(100 * (11 + road + sky + 3 * 0.5) / 19, 2)
    assert list(result)[:5] == ["aAcc", "mIoU", "mAcc", "mIoU16", "mIoU13"]


def test_synthia_mean_is_the_published_hand_calculation_when_three_classes_score_zero(golden):
    metric = make_metric(class_subsets=("16",))
    for sample in golden_samples(golden):
        sample["pred"][(sample["pred"] == 9) | (sample["pred"] == 14) | (sample["pred"] == 16)] = 0
        sample["gt"][0, 0], sample["pred"][0, 0] = 17, 17  # so that all classes occur
        metric.process(None, [sample])
    metric.evaluate(3)
    assert metric.scores.mean("IoU", "16") == pytest.approx(metric.scores.mean("IoU") * 19 / 16, rel=1e-12)


def test_subsets_do_not_apply_to_other_classes():
    metric = make_metric(class_subsets=("16", "13"))
    metric.dataset_meta = {"classes": ("road", "sky")}
    metric.process(None, [{"pred": torch.tensor([[0, 1]]), "gt": torch.tensor([[0, 0]]), "img_path": "x"}])
    assert metric.evaluate(1) == {
        "aAcc": 50.0,
        "mIoU": 25.0,
        "mAcc": 50.0,
        "IoU.road": 50.0,
        "IoU.sky": 0.0,
        "Acc.road": 50.0,
        "Acc.sky": pytest.approx(float("nan"), nan_ok=True),
    }


def test_unknown_subset_and_missing_classes_are_explained():
    with pytest.raises(ConfigError, match=r"unknown class_subsets \['17'\]; known are \['16', '13'\]"):
        IoUMetric(class_subsets=("17",))
    with pytest.raises(
        ConfigError, match=r"unknown metrics \['IoU'\]; known are \['mIoU', 'mDice', 'mFscore'\]"
    ):
        IoUMetric(metrics=("IoU",))
    with pytest.raises(ConfigError, match="names no classes"):
        IoUMetric().evaluate(0)


def test_label_values_outside_the_classes_name_the_images(golden):
    metric = make_metric()
    samples = golden_samples(golden)
    samples[1]["gt"][3, 4:6] = torch.tensor([19, 254], dtype=torch.uint8)
    metric.process(None, samples)
    with pytest.raises(DataError) as error:
        metric.evaluate(3)
    message = str(error.value)
    assert "1.png: 2 pixels" in message and "expected 0 to 18 or 255" in message
    assert "0.png" not in message and "2.png" not in message


def test_sizes_that_differ_name_the_image(golden):
    sample = golden_samples(golden)[0]
    sample["gt"] = sample["gt"][:-1]
    with pytest.raises(DataError, match=r"0.png: prediction of size \(40, 60\), label of size \(39, 60\)"):
        make_metric().process(None, [sample])


def test_metric_starts_anew_after_each_evaluation(golden):
    metric = make_metric()
    samples = golden_samples(golden)
    metric.process(None, samples)
    whole = metric.evaluate(3)
    metric.process(None, samples[:1])
    assert metric.evaluate(1)["mIoU"] != whole["mIoU"]
    metric.process(None, samples)
    np.testing.assert_array_equal(list(metric.evaluate(3).values()), list(whole.values()))


def test_memory_does_not_grow_with_images(golden):
    metric = make_metric()
    sample = golden_samples(golden)[0]
    for _ in range(50):
        metric.process(None, [sample])
    kept = [*metric._counts.values(), metric._last[1], *vars(metric).values()]
    tensors = [value for value in kept if isinstance(value, torch.Tensor)]
    assert sum(tensor.numel() for tensor in tensors) <= 2 * 21 * 20  # the sum and the last image
    assert metric.results == []
    assert {pixels.untyped_storage().nbytes() for pixels in metric._invalid_pixels} == {8}


@pytest.mark.gpu
def test_counting_on_the_device_never_waits_for_it(golden):
    sample = golden_samples(golden)[0]
    expected = count_confusion(sample["pred"], sample["gt"], 19)
    on_device = {"pred": sample["pred"].cuda(), "gt": sample["gt"].cuda(), "img_path": "x.png"}
    metric = make_metric()
    metric.process(None, [on_device])
    torch.cuda.set_sync_debug_mode("error")
    try:
        metric.process(None, [on_device])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    metric.evaluate(2)
    assert torch.equal(metric.confusion, 2 * expected[:19])


def golden_domains(golden, images):
    """A metric of two domains and images of them, all but the second of the first domain."""
    metric = make_metric()
    metric.dataset_meta = {**META, "domains": ("fog", "night")}
    samples = golden_samples(golden)[:images]
    return metric, [dict(each, domain="night" if n == 1 else "fog") for n, each in enumerate(samples)]


def _evaluate_share(rank, processes, port, golden_arrays, images, broken, results):
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=processes
    )
    metric, samples = golden_domains(golden_arrays, images)
    if broken:
        samples[2]["gt"][0, 0] = 77
    total = -(-images // processes) * processes
    share = [samples[index % images] for index in range(total)][rank::processes]  # repeats as samplers do
    for sample in share:
        metric.process(None, [sample])
    try:
        results.put((rank, metric.evaluate(images)))
    except DataError as error:
        results.put((rank, str(error)))
    dist.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(("images", "broken"), [(3, False), (2, False), (1, False), (3, True)])
def test_two_processes_give_the_result_of_one(golden, images, broken):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    workers = [
        context.Process(target=_evaluate_share, args=(rank, 2, port, golden, images, broken, results))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    found = dict(results.get() for _ in workers)
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0]
    if broken:
        assert found[0] == found[1]
        assert found[0].count("2.png: 1 pixels") == 1
        return
    single, samples = golden_domains(golden, images)
    single.process(None, samples)
    expected = single.evaluate(images)
    for result in found.values():
        assert list(result) == list(expected)
        np.testing.assert_array_equal(list(result.values()), list(expected.values()))


def test_domains_are_counted_apart(golden, tmp_path):
    metric, samples = golden_domains(golden, 3)
    metric.process(None, samples)
    scores = metric.evaluate(3)
    alone = make_metric()
    for domain, part in dict(fog=samples[::2], night=samples[1:2]).items():
        alone.process(None, part)
        expected = {f"{domain}/{name}": value for name, value in alone.evaluate(len(part)).items()}
        found = {name: scores[name] for name in expected}
        np.testing.assert_array_equal(list(found.values()), list(expected.values()))
    assert scores["mIoU"] == pytest.approx((scores["fog/mIoU"] + scores["night/mIoU"]) / 2)
    everything = make_metric()
    everything.process(None, samples)
    everything.evaluate(3)
    assert torch.equal(metric.confusion, everything.confusion), "one matrix of all images"
    write_results(tmp_path, 1, scores, [metric])
    results = json.loads((tmp_path / "results.json").read_text())
    exact = 100 * metric.of_domains["night"].scores.mean("IoU")
    assert results["night/mIoU"] == exact and results["night/mIoU"] != scores["night/mIoU"]
    assert results["mDice"] == pytest.approx((results["fog/mDice"] + results["night/mDice"]) / 2)
    assert len(results) == 1 + 3 * (len(results) // 3), "means, fog and night"


def golden_metric(golden):
    """The metric after an evaluation, and what that returned."""
    metric = make_metric(class_subsets=("16", "13"))
    metric.process(None, golden_samples(golden))
    return metric, metric.evaluate(3)


def test_table_has_every_class_and_the_means(golden):
    metric, scores = golden_metric(golden)
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in format_scores(scores, CITYSCAPES_CLASSES).splitlines()
        if line.strip()
    ]
    values = {row[0]: row[1:] for row in rows}
    for index, name in enumerate(CITYSCAPES_CLASSES):
        iou, accuracy = (100 * golden[f"m_{score}_f64"][index] for score in ("IoU", "Acc"))
        assert values[name] == (["-", "-"] if name == "motorcycle" else [f"{iou:.2f}", f"{accuracy:.2f}"])
    assert rows[0] == ["Class", "IoU", "Acc"]
    assert ["aAcc", "mIoU", "mAcc", "mIoU16", "mIoU13"] in rows
    assert rows[-1] == [f"{100 * value:.2f}" for _, value in metric.scores.summary()]


def test_table_is_logged(golden, monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr("mmseg.evaluation.report.print_log", lambda message, logger: text.write(message))
    _, scores = golden_metric(golden)
    log_scores(scores, CITYSCAPES_CLASSES)
    assert text.getvalue().strip() == format_scores(scores, CITYSCAPES_CLASSES).strip()


def test_json_has_full_precision_and_null_for_absent_classes(golden, tmp_path):
    metric, scores = golden_metric(golden)
    write_results(tmp_path, 4000, scores, [metric])
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["iteration"] == 4000
    assert content["mIoU"] == pytest.approx(100 * np.nanmean(golden["m_IoU_f64"]), rel=1e-12)
    for score in ("IoU", "Acc", "Dice", "Fscore", "Precision", "Recall"):
        assert content[f"{score}.motorcycle"] is None
        assert content[f"{score}.road"] == pytest.approx(100 * golden[f"m_{score}_f64"][0], rel=1e-12)
    assert {"aAcc", "mAcc", "mIoU16", "mIoU13"} < set(content)
    assert content["mPrecision"] == pytest.approx(100 * np.nanmean(golden["m_Precision_f64"]), rel=1e-12)


def test_json_knows_no_nan(tmp_path):
    nan = float("nan")
    write_json(tmp_path / "x.json", dict(a=nan, bins=[dict(b=nan, c=1.5), dict(b=2)]))
    assert json.loads((tmp_path / "x.json").read_text()) == dict(
        a=None, bins=[dict(b=None, c=1.5), dict(b=2)]
    )


def test_scores_of_an_interrupted_write_are_the_earlier_ones(tmp_path, monkeypatch):
    def break_off(path, text, **_):
        path.write_bytes(text[: len(text) // 2].encode())
        raise OSError("no space left on device")

    write_json(tmp_path / "results.json", dict(mIoU=50.0))
    monkeypatch.setattr(Path, "write_text", break_off)
    with pytest.raises(OSError, match="no space"):
        write_json(tmp_path / "results.json", dict(mIoU=60.0))
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text()) == dict(mIoU=50.0)


# ------------------------------------------------------------------------------------------ confusion matrix


def test_confusion_matrix_as_csv(golden, tmp_path):
    metric = make_metric()
    metric.process(None, golden_samples(golden))
    metric.evaluate(3)
    write_confusion_matrix(tmp_path / "m.csv", metric.confusion, CITYSCAPES_CLASSES)
    with (tmp_path / "m.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["label \\ prediction", *CITYSCAPES_CLASSES] and [row[0] for row in rows] == header[1:]
    counts = np.array([row[1:] for row in rows], int)
    known = golden["gt"] != 255
    for label in range(19):
        predicted = golden["pred"][known & (golden["gt"] == label)]
        np.testing.assert_array_equal(counts[label], np.bincount(predicted, minlength=19))


def test_predictions_of_no_class_have_a_column_of_their_own(tmp_path):
    write_confusion_matrix(tmp_path / "m.csv", torch.tensor([[1, 2, 4], [0, 3, 0]]), ("a", "b, c"))
    with (tmp_path / "m.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[1:] == ["a", "b, c", "other"]
    assert rows == [["a", "1", "2", "4"], ["b, c", "0", "3", "0"]]


def test_confusion_matrix_as_picture(tmp_path):
    counts = np.array([[3, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(row_percentages(counts), [[75, 25, 0], [np.nan] * 3])
    draw_confusion_matrix(counts, ("road", "sky"), tmp_path / "m.png")
    picture = np.asarray(Image.open(tmp_path / "m.png").convert("RGB")).reshape(-1, 3).tolist()
    colours = [
        tuple(round(255 * value) for value in colormaps["viridis"](share)[:3]) for share in (0.75, 0.25)
    ]
    shown = {tuple(pixel) for pixel in picture}
    for colour in colours:
        assert any(max(abs(a - b) for a, b in zip(colour, pixel, strict=True)) <= 1 for pixel in shown)
