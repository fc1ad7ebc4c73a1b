"""Expected calibration error: by hand, as a stream, in two processes, on a GPU."""

import math
import socket

import mmengine.dist as dist
import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg.errors import ConfigError, DataError
from mmseg.evaluation import CalibrationMetric
from mmseg.evaluation.calibration import count_by_confidence
from mmseg.registry import METRICS


def sample(confidence, pred, gt, name="a.png"):
    return dict(
        confidence=torch.tensor(confidence),
        pred=torch.tensor(pred, dtype=torch.uint8),
        gt=torch.tensor(gt),
        img_path=name,
    )


def random_samples(seed, images=3):
    rng = np.random.RandomState(seed)
    return [
        dict(
            confidence=torch.from_numpy(rng.uniform(0.2, 1, (6, 7)).astype(np.float32)),
            pred=torch.from_numpy(rng.randint(0, 3, (6, 7)).astype(np.uint8)),
            gt=torch.from_numpy(rng.choice([0, 1, 2, 255], (6, 7))),
            img_path=f"{index}.png",
        )
        for index in range(images)
    ]


def by_definition(samples, num_bins):
    """Guo et al., eq. 3, pixel by pixel."""
    rows = [
        (float(c), int(p) == int(g))
        for one in samples
        for c, p, g in zip(*(one[key].flatten() for key in ("confidence", "pred", "gt")), strict=True)
        if g != 255
    ]
    error = 0.0
    for index in range(num_bins):
        inside = [row for row in rows if index / num_bins < row[0] <= (index + 1) / num_bins]
        if inside:
            confidence, accuracy = (sum(values) / len(inside) for values in zip(*inside, strict=True))
            error += len(inside) / len(rows) * abs(accuracy - confidence)
    return error


def evaluated(samples, size=None, **arguments):
    metric = METRICS.build(dict(type="CalibrationMetric", **arguments))
    for one in samples:
        metric.process(None, [one])
    return metric.evaluate(size or len(samples)), metric


def test_two_images_of_four_pixels_by_hand():
    samples = [
        sample([[0.9, 0.9], [0.5, 0.35]], [[0, 1], [2, 0]], [[0, 1], [2, 1]]),
        sample([[0.9, 0.5], [0.5, 0.99]], [[0, 1], [2, 0]], [[1, 0], [2, 255]]),
    ]
    # three of 0.9 in (13/15, 14/15], two right; three of 0.5 in (7/15, 8/15], two right; 0.35, wrong
    result, metric = evaluated(samples)
    assert result == {"ECE": round(100 * (3 * (0.9 - 2 / 3) + 3 * (2 / 3 - 0.5) + 1 * 0.35) / 7, 2)}
    rows = {round(row["lower"] * 0.15): row for row in metric.reliability.rows() if row["pixels"]}
    assert {index: row["pixels"] for index, row in rows.items()} == {13: 3, 7: 3, 5: 1}
    assert rows[13]["confidence"] == pytest.approx(90) and rows[13]["accuracy"] == pytest.approx(200 / 3)
    assert rows[5]["confidence"] == pytest.approx(35) and rows[5]["accuracy"] == 0
    assert (rows[5]["lower"], rows[5]["upper"]) == pytest.approx((100 / 3, 40))
    assert len(metric.reliability.rows()) == 15


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 2, 15, 40]))
def test_error_is_that_of_the_definition(seed, num_bins):
    samples = random_samples(seed)
    _, metric = evaluated(samples, num_bins=num_bins)
    assert metric.reliability.expected_error == pytest.approx(by_definition(samples, num_bins), abs=1e-6)


def test_edges_belong_to_the_lower_bin():
    one = sample([0.0, 0.2, 0.4, 1.0], [0] * 4, [0] * 4)
    counts = count_by_confidence(one["confidence"], one["pred"], one["gt"], num_bins=5)
    assert counts[:, 0].tolist() == [2, 1, 0, 0, 1, 0]


def test_a_network_that_is_as_right_as_it_is_confident_has_no_error():
    gt = torch.arange(100)[None] < 75
    one = dict(confidence=torch.full((1, 100), 0.75), pred=torch.ones(1, 100).byte(), gt=gt.long())
    result, _ = evaluated([one | dict(img_path="a.png")])
    assert result == {"ECE": 0.0}


def test_without_labelled_pixels_there_is_no_error():
    result, _ = evaluated([sample([[0.5]], [[1]], [[255]])])
    assert math.isnan(result["ECE"])


def test_memory_does_not_grow_and_each_evaluation_starts_anew():
    metric, samples = CalibrationMetric(), random_samples(0)
    for _ in range(20):
        metric.process(None, samples)
    assert metric._counts[""].shape == (16, 3) and metric.results == []
    repeated = metric.evaluate(60)
    metric.process(None, samples)
    assert metric.evaluate(3) == repeated
    metric.process(None, samples[:1])
    assert metric.evaluate(1) == evaluated(samples[:1])[0]


def test_wrong_use_is_explained():
    with pytest.raises(ConfigError, match="num_bins=0; expected at least 1"):
        CalibrationMetric(num_bins=0)
    one = random_samples(0)[0]
    with pytest.raises(ConfigError, match=r"set model\.test_cfg\.confidence=True"):
        CalibrationMetric().process(None, [{key: one[key] for key in ("pred", "gt", "img_path")}])
    with pytest.raises(DataError, match=r"0\.png: there is no label to score"):
        CalibrationMetric().process(None, [one | dict(gt=None)])
    with pytest.raises(DataError, match=r"0\.png: prediction of size \(6, 7\), label of size \(5, 7\)"):
        CalibrationMetric().process(None, [one | dict(gt=one["gt"][1:])])


@pytest.mark.gpu
def test_counting_on_the_device_never_waits_for_it():
    one = random_samples(3)[0]
    expected = count_by_confidence(one["confidence"], one["pred"], one["gt"], 15)
    moved = [one[key].cuda() for key in ("confidence", "pred", "gt")]
    count_by_confidence(*moved, 15)
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = count_by_confidence(*moved, 15)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(found.cpu(), expected)


def _evaluate_share(rank, port, images, results):
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
    )
    samples = random_samples(5, images)
    share = [samples[index % images] for index in range(2 * -(-images // 2))][rank::2]
    results.put(evaluated(share, images)[0])
    dist.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("images", [2, 3])
def test_two_processes_give_the_result_of_one(images):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    workers = [
        context.Process(target=_evaluate_share, args=(rank, port, images, results)) for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    found = [results.get() for _ in workers]
    for worker in workers:
        worker.join(30)
    assert found == [evaluated(random_samples(5, images))[0]] * 2
