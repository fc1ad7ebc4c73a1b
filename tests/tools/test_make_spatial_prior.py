"""The command that counts where classes lie."""

import cv2
import numpy as np
import pytest
import toy_run

from mmseg.commands.make_spatial_prior import main
from mmseg.labelling import ClassBalanced
from mmseg.labelling.spatial_prior import SpatialPrior


@pytest.fixture
def config(toy_data, tmp_path):
    cfg = toy_run.uda_config(toy_data, tmp_path / "run")
    return str(toy_run.write_config(cfg, tmp_path / "daformer.py"))


def test_prior_is_that_of_the_source_labels_and_is_made_once(config, toy_data, tmp_path, capsys):
    out = tmp_path / "priors" / "gta.npz"
    arguments = [config, str(out), "--size", "32", "48", "--window", "5", "--sigma", "1.5"]
    assert main(arguments) == 0
    assert "prior of 19 classes from 4 labels" in capsys.readouterr().out
    files = sorted((toy_data / "gta").rglob("*_labelTrainIds.png"))
    labels = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]
    assert len(labels) == 4
    expected = SpatialPrior.of_labels(labels, 19, (32, 48), 5, 1.5)
    prior = SpatialPrior.read(out)
    assert np.array_equal(prior.values, expected.values)
    assert ClassBalanced(prior=str(out))._prior.largest == expected.largest > 1.5
    written = out.stat().st_mtime_ns
    assert main(arguments) == 0
    assert "is there already" in capsys.readouterr().out and out.stat().st_mtime_ns == written
    assert main([*arguments[:-1], "2"]) == 1
    assert "{'sigma': (1.5, 2.0)}; name another file" in capsys.readouterr().err
    assert main([*arguments[:-1], "2", "--overwrite"]) == 0
    assert not np.array_equal(SpatialPrior.read(out).values, prior.values)


def test_wrong_priors_are_not_made(config, tmp_path, capsys):
    for options, message in (
        (["prior.mat"], "prior.mat: expected a file name that ends with .npz"),
        (["prior.npz", "--window", "70"], "an odd width of the window"),
        (
            ["prior.npz", "--cfg-options", "train_dataloader.dataset.source.load_labels=False"],
            "names no source data with labels",
        ),
    ):
        assert main([config, *options]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "prior.npz").exists()
