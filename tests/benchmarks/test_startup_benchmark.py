"""Starting a run: what is not imported, and the benchmark that measures it."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

import experiments
from benchmarks import startup
from mmseg.datasets import GTADataset, RareClassSampling

SLOW = ["matplotlib", "tensorboard", "timm", "wandb"]


def imported_by(code: str, *names: str, cwd: Path = startup.ROOT) -> list[str]:
    """Which of some packages are imported after a line of Python."""
    shown = f"import sys; {code}; print([name for name in {names} if name in sys.modules], file=sys.stderr)"
    environment = dict(os.environ, PYTHONPATH=str(startup.ROOT))
    done = subprocess.run(
        [sys.executable, "-c", shown], cwd=cwd, env=environment, capture_output=True, text=True, check=True
    )
    return ast.literal_eval(done.stderr.splitlines()[-1])


def test_a_trainer_does_not_import_what_it_rarely_needs():
    assert imported_by("import tools.train", "torch", *SLOW) == [], "OpenMP is set up before torch is loaded"
    assert imported_by("import mmseg.apis.training", "torch", *SLOW) == ["torch"]


def test_a_launcher_leaves_torch_to_the_trainers(tmp_path):
    """Also when it finds a run that is finished and one that was interrupted."""
    names = [run.name for run in experiments.runs(80)[:2]]
    finished, interrupted = (tmp_path / f"work_dirs/local-exp80/250101_0000_{name}_00000" for name in names)
    for folder in (finished, interrupted):
        (folder / "1/vis_data").mkdir(parents=True)
        (folder / "1/vis_data/scalars.json").write_text('{"iter": 50, "step": 50, "time": 1.0}')
    (finished / "iter_40000.pth").touch()
    (finished / "results.json").write_text('{"mIoU": 75.0, "iteration": 40000}')
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/train.py").write_text("import sys; open('trained', 'w').write(sys.argv[1])")
    code = (
        "import run_experiments; from pathlib import Path; "
        "from mmseg.experiments.experiment import Experiment; "
        "from mmseg.launch import process; process.TRAIN = ('tools/train.py',); runs = Experiment.runs; "
        "Experiment.runs = lambda self, exp_id: runs(self, exp_id)[:2]; "
        "assert run_experiments.main(['--exp', '80']) == run_experiments.main(['--status']) == 0"
    )
    assert imported_by(code, "torch", *SLOW, cwd=tmp_path) == []
    assert names[1] in (tmp_path / "trained").read_text()


def test_prepared_data_is_as_large_as_asked_and_readable(tmp_path):
    cfg = Config.fromfile(startup.ROOT / "configs/quickstart/daformer.py")
    cfg.train_dataloader.dataset.source.data_root = "data/gta"
    cfg.train_dataloader.dataset.target.data_root = "data/cityscapes"
    cfg.val_dataloader.dataset.data_root = "data/cityscapes"
    startup.prepare(tmp_path, cfg, (128, 64), images=7)
    source = GTADataset(str(tmp_path / "data/gta"))
    assert len(source) == 7 and len({sample.name for sample in source.samples}) == 7
    rcs = RareClassSampling(source, min_pixels=0)
    assert {index for found in rcs.candidates.values() for index in found} == set(range(7))


def test_times_the_start_of_a_run(tmp_path, capsys):
    config = str(startup.ROOT / "configs/quickstart/daformer.py")
    settings = ["train_dataloader.num_workers=0", "train_dataloader.dataset.rare_class_sampling.min_pixels=0"]
    options = ["--size", "256x128", "--images", "4", "--folder", str(tmp_path), "--cfg-options", *settings]
    generated = startup.ROOT / "configs/generated/local-basic-startup"
    generated.mkdir(parents=True, exist_ok=True)
    before = set(generated.glob("*.py"))
    assert startup.main(["--config", config, *options]) == 0
    assert set(generated.glob("*.py")) <= before and not (tmp_path / "work_dirs").exists()
    shown = capsys.readouterr().out
    assert all(part in shown for part in ("imports", "networks: build", "until the first iteration"))


@pytest.mark.parametrize(
    "files", [["work_dirs/run/log"], [startup.MARKER, "work_dirs/run/log"], ["data/gta/a"]]
)
def test_what_others_left_in_a_folder_is_kept(tmp_path, files, capsys):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(SystemExit):
        startup.main(["--folder", str(tmp_path)])
    assert "--folder" in capsys.readouterr().err
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == sorted(files)


def test_only_configs_of_runs_in_the_folder_are_removed(tmp_path, monkeypatch):
    configs = {name: tmp_path / f"{name}.py" for name in ("mine", "other")}
    for path in configs.values():
        path.touch()
    (tmp_path / "work_dirs/exp/mine").mkdir(parents=True)
    monkeypatch.setattr(startup, "generated_config", lambda name, exp: configs[name])
    startup.remove_runs(tmp_path)
    assert not configs["mine"].exists() and configs["other"].exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--size 64", "WIDTHxHEIGHT"),
        ("--exp 9999", "--exp 9999"),
        ("--config nothing.py", "nothing.py"),
        ("--repeat 0", "1 or more"),
        ("--images 0", "1 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        startup.parse_args(arguments.split())
    assert message in capsys.readouterr().err
