"""The evaluation benchmark at a tiny size: it finds both ways of evaluating to agree."""

import pytest
import torch

from benchmarks import evaluation
from mmseg.evaluation import IoUMetric


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--method", "daformer", "--size", "64x64"], {"encoder", "head", "metric", "decode"}),
        (["--method", "hrda", "--size", "128x192", "--crop", "128"], {"encoder", "head"}),
    ],
)
def test_compares_with_the_published_organisation(arguments, parts, capsys):
    assert evaluation.main([*arguments, "--images", "1", "--compare-published"]) == 0
    shown = capsys.readouterr().out
    assert "predictions agree on" in shown and "ratio of 5 pairs" in shown
    assert all(part in shown for part in parts)


def test_measures_one_way_with_its_memory(capsys):
    assert evaluation.main(["--size", "64x64", "--images", "1", "--pairs", "2", "--published"]) == 0
    assert "kept with every image" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--compare-published --pairs 3", "at least 5"),
        ("--pairs 0", "1 or more"),
        ("--images 0", "1 or more"),
        ("--size 64", "HEIGHTxWIDTH"),
        ("--size 0x64", "HEIGHTxWIDTH"),
        ("--size 16x64", "at least 32"),
        ("--mode slide --crop 1", "at least 32"),
        ("--method hrda --crop 100", "multiple of 64"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        evaluation.parse_args(arguments.split())
    assert message in capsys.readouterr().err


def elements(value: object) -> int:
    """Tensor elements in nested lists and objects."""
    if isinstance(value, torch.Tensor):
        return value.untyped_storage().nbytes()
    if isinstance(value, list | tuple):
        return sum(map(elements, value))
    return sum(map(elements, vars(value).values())) if hasattr(value, "__dict__") else 0


def test_metric_keeps_no_image():
    """What the metric holds grows by one number per image, whatever the size of the images."""
    metric = IoUMetric()
    metric.dataset_meta = dict(classes=("road", "car"))
    held = []
    for _ in range(4):
        pred = torch.randint(2, (64, 64))
        metric.process(None, [dict(pred=pred.byte(), gt=pred, img_path="a.png")])
        held.append(elements(metric))
    assert held[-1] - held[0] == 3 * 8
