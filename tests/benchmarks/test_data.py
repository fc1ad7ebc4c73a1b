"""The benchmark of the data pipeline at a tiny size."""

import pytest
import torch

from benchmarks import data
from benchmarks.published.data import MEAN, STD


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


@pytest.mark.parametrize(
    ("pair", "options"),
    [
        ("gta", ["--compare-published"]),
        ("cityscapes", ["--published"]),
        ("uda", ["--compare-published", "--prepared"]),
        ("rcs", ["--compare-published"]),
        ("hr", ["--prepared"]),
    ],
)
def test_command(pictures, capsys, pair, options):
    data.main([*f"--pair {pair} --images 2 --repeats 5 --shrink 8 --data {pictures}".split(), *options])
    output = " ".join(capsys.readouterr().out.split())
    assert "gta pictures │ 239x131" in output
    assert ("published" in output) == any("published" in option for option in options)
    assert ("x as fast as published" in output) == ("--compare-published" in options)


def test_samples_that_differ_are_noticed():
    normalised = torch.zeros(3, 4, 4)
    label = torch.full((4, 4), 255)
    ours = {
        "img": torch.from_numpy(MEAN).view(3, 1, 1).expand(3, 4, 4).clone(),
        "gt_semantic_seg": label.to(torch.uint8),
    }
    data.check_same(ours, {"img": normalised, "gt_semantic_seg": label})
    ours["img"][1, 2, 3] += 1e-4 * STD[1]
    with pytest.raises(AssertionError):
        data.check_same(ours, {"img": normalised})
    with pytest.raises(AssertionError):
        data.check_same(ours, {"gt_semantic_seg": label - 1})


@pytest.mark.parametrize(
    "arguments", ["--images 0", "--repeats 0", "--shrink 0", "--compare-published --repeats 4"]
)
def test_what_makes_no_sense_is_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        data.parse_args(arguments.split())
    assert arguments.split()[-2] in capsys.readouterr().err
