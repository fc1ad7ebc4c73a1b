"""Printing configs."""

import json

import pytest
from mmengine.config import Config
from toy_run import ROOT

import experiments
from mmseg.config.load import load_config
from tools import print_config

MIC = ROOT / "configs" / "mic" / "gtaHR2csHR_mic_hrda.py"


def as_json(value):
    return json.loads(json.dumps(value))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_text_is_the_config(capsys, elsewhere):
    assert print_config.main([str(MIC), "--cfg-options", "uda.alpha=0.5", "train_cfg.max_iters=7"]) == 0
    text = capsys.readouterr().out
    assert not list(elsewhere.iterdir()), "nothing is written"
    path = elsewhere / "printed.py"
    path.write_text(text)
    printed, expected = Config.fromfile(path), load_config(MIC)
    assert printed.uda.pop("alpha") == 0.5 and printed.train_cfg.pop("max_iters") == 7
    del expected.uda["alpha"], expected.train_cfg["max_iters"]
    assert printed.to_dict() == expected.to_dict()
    assert "_base_" not in printed


def test_json(capsys):
    assert print_config.main([str(MIC), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == as_json(load_config(MIC).to_dict())


def test_out_is_the_only_thing_written(capsys, elsewhere):
    assert print_config.main([str(MIC), "--out", "mic.py"]) == 0
    assert capsys.readouterr().out == "" and [path.name for path in elsewhere.iterdir()] == ["mic.py"]
    assert load_config("mic.py").to_dict() == load_config(MIC).to_dict()
    assert print_config.main([str(MIC), "--out", "missing/mic.py"]) == 1
    assert "missing/mic.py: cannot be written" in capsys.readouterr().err


def test_runs_of_an_experiment(capsys, elsewhere):
    first, *_, last = experiments.runs(80)
    for arguments, run in (([], first), (["--run", last.name], last)):
        assert print_config.main(["--exp", "80", "--format", "json", *arguments]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed == as_json(experiments.make_config(run).to_dict())
        assert printed["name"] == run.name
    options = ["--cfg-options", "uda.masking.mask_generator.mask_ratio=0.25"]
    assert print_config.main(["--exp", "80", "--format", "json", *options]) == 0
    assert json.loads(capsys.readouterr().out)["uda"]["masking"]["mask_generator"]["mask_ratio"] == 0.25
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.py"], "nothing.py: no such config file"),
        (["--exp", "9"], "--exp 9"),
        (["--exp", "80", "--run", "gtaHR"], "has no run 'gtaHR'"),
        ([str(MIC), "--cfg-options", "modle.pretrained=None"], "did you mean 'model'?"),
        (["--exp", "80", "--cfg-options", "modle.pretrained=None"], "did you mean 'model'?"),
    ],
)
def test_mistakes_are_explained(arguments, message, capsys):
    assert print_config.main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and message in printed.err and "Traceback" not in printed.err


@pytest.mark.parametrize("arguments", [[], [str(MIC), "--exp", "80"], [str(MIC), "--run", "a"]])
def test_either_config_or_experiment(arguments, capsys):
    with pytest.raises(SystemExit):
        print_config.main(arguments)
    assert "--exp ID" in capsys.readouterr().err
