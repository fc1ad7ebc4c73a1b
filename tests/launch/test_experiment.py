"""How the runs of an experiment ID are started, skipped, shown and reported."""

import os
import re
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from toy_run import log_entries

import run_experiments
from experiments import EXPERIMENTS, runs
from mmseg import apis
from mmseg.checkpoints.atomic import replacing
from mmseg.checkpoints.weights import read_checkpoint
from mmseg.config.checks import check_config
from mmseg.config.load import load_config
from mmseg.config.work_dir import unique_name
from mmseg.datasets.conversion.cityscapes import convert_cityscapes
from mmseg.datasets.conversion.gta import GTA
from mmseg.datasets.conversion.runner import convert_dataset
from mmseg.datasets.conversion.synthia import SYNTHIA
from mmseg.datasets.domains import domains_of
from mmseg.evaluation.report import write_json
from mmseg.experiments.names import Axes
from mmseg.launch import local, process, slurm
from mmseg.launch.process import Job
from mmseg.launch.run_state import RunState, birth_of, read_state, this_host, write_state
from mmseg.toy import SETS, make_toy_dataset

ROOT = Path(__file__).parents[2]
SMALL_NETWORK = [
    "model.pretrained=None",
    "model.backbone.type=mit_b0",
    "model.decode_head.in_channels=[32,64,160,256]",
]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder of its own to write into."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trained(checkout, monkeypatch):
    """Configs that would have been trained; runs with Synthia fail."""
    configs = []

    def train(job: Job, *arguments) -> str | None:
        cfg = load_config(job.config)
        configs.append(cfg)
        write_state(job.work_dir, RunState("ended", job.max_iters, exit_status=75))
        return "data/synthia: missing" if "syn" in cfg.name else None

    monkeypatch.setattr(local, "train_in_a_process", train)
    return configs


def finish(name: str, exp: str, iterations: int = 40000, scores: bool = True) -> Path:
    work_dir = Path("work_dirs") / exp / unique_name(name)
    work_dir.mkdir(parents=True)
    (work_dir / f"iter_{iterations}.pth").touch()
    if scores:
        write_json(work_dir / "results.json", {"iteration": iterations, "mIoU": 50.0})
    return work_dir


def files() -> list[Path]:
    """All but locks."""
    return [path for path in Path(".").rglob("[!.]*") if path.is_file()]


def test_all_runs_are_started_and_failures_reported(trained, capsys):
    assert run_experiments.main(["--exp", "40"]) == 1
    printed, errors = capsys.readouterr()
    names = [run.name for run in runs(40)]
    assert [line for line in printed.splitlines() if line] == [f"Run job {name}" for name in names]
    assert errors.splitlines() == ["3 of 6 runs failed:"] + [
        f"  {name}: data/synthia: missing" for name in names[3:]
    ]
    assert [re.sub(r"^\d{6}_\d{4}_|_[0-9a-f]{5}$", "", cfg.name) for cfg in trained] == names
    for cfg in trained:
        assert cfg.work_dir == f"work_dirs/local-exp40/{cfg.name}"
        assert Path("configs/generated/local-exp40", f"{cfg.name}.py").is_file()
        assert cfg.train_cfg.max_iters == 40000


def test_finished_runs_are_skipped(trained, capsys):
    first, second, third = (run.name for run in runs(7))
    finished = finish(first, "local-exp7")
    finish(second, "local-exp7", iterations=36000)
    finish(third, "local-exp7", scores=False)
    finish(second, "local-exp8")
    assert run_experiments.main(["--exp", "7"]) == 1
    assert f"Skip {first}: finished in {finished}\n" in capsys.readouterr().out
    assert [cfg.randomness.seed for cfg in trained] == [1, 2]
    trained.clear()
    run_experiments.main(["--exp", "7", "--rerun"])
    assert [cfg.randomness.seed for cfg in trained] == [0, 1, 2]
    trained.clear()
    run_experiments.main(["--exp", "7", "--cfg-options", "train_cfg.max_iters=36000"])
    assert [cfg.randomness.seed for cfg in trained] == [0, 2]


def test_runs_of_another_launcher_are_not_trained_twice(checkout, monkeypatch, capsys):
    """Started after this one had looked what is open, and faster."""
    first, second, third = (run.name for run in runs(7))
    trained = []

    def train(job: Job, *arguments) -> None:
        trained.append(job.name)
        write_state(job.work_dir, RunState("ended", job.max_iters, exit_status=0))
        finish(second, "local-exp7")
        process = dict(host=this_host(), pid=os.getpid(), pid_birth=birth_of(os.getpid()))
        folder = Path("work_dirs", "local-exp7", unique_name(third))
        write_state(folder, RunState("running", 40000, **process))

    monkeypatch.setattr(local, "train_in_a_process", train)
    assert run_experiments.main(["--exp", "7"]) == 0
    assert trained == [first]
    printed = capsys.readouterr().out
    assert f"Skip {second}: finished in " in printed and f"Skip {third}: running in " in printed


def test_startup_test_shortens_the_runs_of_the_first_seed(trained):
    assert run_experiments.main(["--exp", "83", "--startup-test", "--debug"]) == 0
    assert [cfg.randomness.seed for cfg in trained] == [0] * 4
    for cfg in trained:
        assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval, cfg.train_cfg.val_begin) == (2, 100, 100)
        assert cfg.log_level == "ERROR" and not cfg.default_hooks.checkpoint.save_last
        assert cfg.work_dir == f"work_dirs/local-exp83-startup/{cfg.name}"
        check_config(cfg)


def test_debugging_and_options(trained):
    options = ["uda.masking.alpha=0.5", "train_cfg.val_interval=7", *SMALL_NETWORK]
    assert run_experiments.main(["--exp", "85", "--debug", "--cfg-options", *options]) == 0
    for cfg in trained:
        intervals = {hook.type: hook.get("interval") for hook in cfg.custom_hooks}
        assert intervals["DebugPicturesHook"] == cfg.default_hooks.logger.interval == 10
        assert cfg.train_cfg.val_interval == 7, "options of the command line win"
        assert (
            cfg.uda.masking.alpha == 0.5
            and cfg.model.backbone.type == "mit_b0"
            and cfg.model.pretrained is None
        )
        check_config(cfg)
    trained.clear()
    assert run_experiments.main(["--exp", "85", "--debug"]) == 0
    assert trained[0].train_cfg.val_interval == 200


def test_an_option_that_does_not_fit_stops_before_the_first_run(trained, capsys):
    assert run_experiments.main(["--exp", "85", "--cfg-options", "modle.pretrained=None"]) == 1
    assert "there is no 'modle'" in capsys.readouterr().err
    assert not trained and not files()


def test_listing(checkout, capsys):
    assert run_experiments.main(["--list"]) == 0
    printed = capsys.readouterr().out
    for exp_id, experiment in EXPERIMENTS.items():
        assert f"\n{exp_id}: {experiment.title} ({len(runs(exp_id))} runs, 0 finished)\n" in f"\n{printed}"
        for run in runs(exp_id):
            assert f"    {run.row.name}: " in printed

    finish(runs(7)[1].name, "local-exp7")
    before = files()
    assert run_experiments.main(["--list", "--exp", "7"]) == 0
    assert capsys.readouterr().out == (
        f"7: {EXPERIMENTS[7].title} (3 runs, 1 finished)\n"
        f"    {runs(7)[0].row.name}: open s0 s2, finished s1\n"
    )
    assert files() == before


def test_dry_run_writes_nothing(trained, capsys):
    finish(runs(7)[1].name, "local-exp7")
    before = files()
    assert run_experiments.main(["--exp", "7", "--dry-run"]) == 0
    printed = capsys.readouterr().out.splitlines()
    for line, run in zip(printed, runs(7), strict=True):
        if run.seed == 1:
            assert line.startswith(f"Skip {run.name}: finished in work_dirs/local-exp7/")
        else:
            assert line == f"{run.name} -> work_dirs/local-exp7/<date>_<time>_{run.name}_<id>"
    assert not trained and files() == before

    config = ROOT / "configs" / "hrda" / "gtaHR2csHR_hrda.py"
    assert run_experiments.main(["--config", str(config), "--dry-run"]) == 0
    assert capsys.readouterr().out == (
        "gtaHR2csHR_hrda_s1 -> work_dirs/local-basic/<date>_<time>_gtaHR2csHR_hrda_s1_<id>\n"
    )
    assert files() == before


def test_patterns_choose_runs_and_those_they_start_from(checkout, capsys):
    def chosen(*options: str) -> list[str]:
        assert run_experiments.main([*options, "--dry-run"]) == 0
        return [line.split()[0] for line in capsys.readouterr().out.splitlines()]

    assert chosen("--exp", "7", "--runs", "*_s[02]") == [runs(7)[0].name, runs(7)[2].name]
    photos = chosen("--exp", "10", "--runs", "day2dusk_dacs_s*", "*oracle_s1")
    assert photos == ["day2dusk_dacs_s0", "day2dusk_dacs_s1", "day2dusk_oracle_s1", "day2dusk_dacs_s2"]
    assert chosen("--exp", "0", "--runs", "toy_daformer_s1") == ["toy_source_only_s1", "toy_daformer_s1"]
    assert run_experiments.main(["--exp", "7", "--runs", "*_s0", "*dcs*", "--dry-run"]) == 1
    assert "--runs '*dcs*': fits none of the 3 runs, as " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run_experiments.main(["--list", "--runs", "*"])


@pytest.mark.parametrize(
    "arguments", [[], ["--exp", "7", "--config", "a.py"], ["--list", "--config", "a.py"]]
)
def test_one_of_exp_and_config(arguments, capsys):
    with pytest.raises(SystemExit):
        run_experiments.main(arguments)
    assert "--config" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("print('fine')", None),
        ("import mmseg, sys; sys.exit(0)", None),
        ("import sys; sys.stderr.write('error: data: broken\\nnoise'); sys.exit(1)", "data: broken"),
        ("raise ZeroDivisionError('why')", "ZeroDivisionError: why"),
        ("raise SystemExit(3)", "no message"),
        ("import os; os.kill(os.getpid(), 9)", "no message (killed by signal 9)"),
    ],
)  # fmt: skip
def test_what_a_process_reports(program, error, tmp_path, monkeypatch, capfd):
    """The repository's package is found wherever the program is started."""
    path = tmp_path / "repository" / "tools" / "train.py"
    path.parent.mkdir(parents=True)
    (tmp_path / "repository" / "mmseg.py").touch()
    path.write_text(program)
    monkeypatch.setattr(process, "TRAIN", (str(path),))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    work_dir = tmp_path / "run"
    assert process.train_in_a_process(Job("run", tmp_path / "config.py", work_dir, 2)) == error
    state = read_state(work_dir)
    assert state is not None and state.error == (error or "") and (state.exit_status == 0) == (error is None)
    shown = capfd.readouterr()
    assert error is None or "no message" in error or error in shown.err, "messages are shown as they come"


def test_a_run_without_data_fails_as_explained(tmp_path):
    """The whole way once: the program, its process for the run, the tool."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = ["--exp", "85", "--startup-test", "--cfg-options", *SMALL_NETWORK]
    words = [sys.executable, str(ROOT / "run_experiments.py"), *arguments]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == f"Run job {runs(85)[0].name}\n"
    *_, count, reason = done.stderr.splitlines()
    assert count == "1 of 1 runs failed:" and "Traceback" not in done.stderr
    assert reason.startswith(f"  {runs(85)[0].name}: ") and "data" in reason


# ---------------------------------------------------------------------------------- continuing, status, Slurm


def interrupt(cfg: Config, iteration: int) -> Path:
    """Leave a run as a stopped trainer does."""
    work_dir = Path(cfg.work_dir)
    with replacing(make_folder(work_dir) / f"iter_{iteration}.pth") as temporary:
        torch.save({"weights": torch.zeros(1)}, temporary)
    write_state(work_dir, RunState("ended", 40000, exit_status=75, error="SIGTERM: stopped"))
    return work_dir


def make_folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def test_an_interrupted_run_is_continued(trained, capsys):
    run_experiments.main(["--exp", "7", "--cfg-options", "uda.alpha=0.5"])
    names = [cfg.name for cfg in trained]
    work_dir = interrupt(trained[1], 1200)
    make_folder(Path(trained[2].work_dir))  # no checkpoint: nothing to continue
    trained.clear()
    capsys.readouterr()
    run_experiments.main(["--exp", "7", "--cfg-options", "uda.alpha=0.5", "--dry-run"])
    assert f"{runs(7)[1].name} -> {work_dir}\n" in capsys.readouterr().out
    run_experiments.main(["--exp", "7", "--cfg-options", "uda.alpha=0.5"])
    assert f"Continue {runs(7)[1].name} in {work_dir}\n" in capsys.readouterr().out
    assert [cfg.name == name for cfg, name in zip(trained, names, strict=True)] == [False, True, False]
    assert trained[1].work_dir == str(work_dir) and trained[1].uda.alpha == 0.5

    trained.clear()
    run_experiments.main(["--exp", "7"])
    assert f"{runs(7)[1].name}: {work_dir} is not continued, it has other settings (uda)" in (
        capsys.readouterr().out
    )
    assert not {cfg.name for cfg in trained} & set(names)
    trained.clear()
    run_experiments.main(["--exp", "7", "--cfg-options", "uda.alpha=0.5", "--rerun"])
    assert not {cfg.name for cfg in trained} & set(names)


def test_status_and_what_is_on_its_way(trained, capsys):
    run_experiments.main(["--exp", "7"])
    first, second, third = trained
    interrupt(first, 1200)
    state = RunState("running", 40000, host=this_host(), pid=os.getpid(), pid_birth=birth_of(os.getpid()))
    write_state(Path(second.work_dir), state)
    write_state(Path(third.work_dir), RunState("ended", 40000, exit_status=1, error="data: missing"))
    capsys.readouterr()
    names = [run.name for run in runs(7)]
    title = f"7: {EXPERIMENTS[7].title} (1 running, 1 interrupted, 1 failed)\n"
    lines = title + (
        f"    interrupted {names[0]}: iteration 1200 of 40000, checkpoint of iteration 1200\n"
        f"    running     {names[1]}: no iteration logged yet on {this_host()}\n"
        f"    failed      {names[2]}: data: missing\n"
    )
    for arguments in (["--status", "--exp", "7"], ["--status"]):
        assert run_experiments.main(arguments) == 0
        assert capsys.readouterr().out == lines
    trained.clear()
    run_experiments.main(["--exp", "7", "--rerun"])
    assert f"Skip {names[1]}: running in {second.work_dir}" in capsys.readouterr().out
    assert [cfg.randomness.seed for cfg in trained] == [0, 2], "no run is trained twice at a time"
    run_experiments.main(["--status", "--exp", "8"])
    assert f"8: {EXPERIMENTS[8].title} (6 waiting)\n" in capsys.readouterr().out


def test_slurm_gets_the_open_runs(trained, monkeypatch, capsys):
    submitted = {}

    def submit(jobs, executor):
        settings, exp, max_parallel = executor
        submitted.update(jobs=jobs, exp=exp, settings=settings, max_parallel=max_parallel)
        return [f"5_{index}" for index in range(len(jobs))]

    monkeypatch.setattr(slurm, "submit", submit)
    monkeypatch.setattr(slurm, "executor_for", lambda *arguments: arguments)
    names = [run.name for run in runs(7)]
    finish(names[1], "local-exp7")
    words = ["--exp", "7", "--launcher", "slurm", "--max-parallel", "2", "--gpus", "2", "--time", "8:00:00"]
    assert run_experiments.main([*words, "--slurm", "constraint=a100"]) == 0
    assert [job.name for job in submitted["jobs"]] == [names[0], names[2]] and not trained
    for job in submitted["jobs"]:
        cfg = load_config(job.config)
        assert cfg.work_dir == str(job.work_dir) and (job.processes, job.max_iters) == (2, 40000)
    settings = submitted["settings"]
    assert (settings["gpus"], settings["time"], settings["extra"]) == (2, 480, {"constraint": "a100"})
    assert (submitted["exp"], submitted["max_parallel"]) == ("local-exp7", 2)
    assert f"Submitted {names[2]} as 5_1\n" in capsys.readouterr().out
    assert run_experiments.main(["--exp", "0", "--launcher", "slurm"]) == 1
    assert "--launcher local" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------- real training


@pytest.fixture
def small_images(checkout, monkeypatch):
    """Toy scenes laid out as the real data sets; images and crops are small, all else is as published."""
    data = checkout / "data"
    make_toy_dataset(data, list(SETS), (96, 64), 2, 2)
    for name, convert in (
        ("gta", partial(convert_dataset, GTA)),
        ("synthia", partial(convert_dataset, SYNTHIA)),
        ("cityscapes", convert_cityscapes),
    ):
        convert(str(data / name), nproc=1)

    published = Axes.config

    def small_config(axes: Axes) -> Config:
        cfg = published(axes)
        cfg.train_dataloader.num_workers = 0
        train_set, edge = cfg.train_dataloader.dataset, (128, 128)
        for dataset in [each.dataset for each in domains_of(train_set)] or [train_set]:
            for transform in dataset["pipeline"]:
                sizes = dict(
                    Resize=dict(scale=(192, 128)), RandomCrop=dict(crop_size=edge), Pad=dict(size=edge)
                )
                transform.update(sizes.get(transform["type"], {}))
        if train_set.get("rare_class_sampling"):
            train_set.rare_class_sampling.min_pixels = 0
        return cfg

    monkeypatch.setattr(Axes, "config", small_config)
    return data


def start(exp_id: int, *options: str) -> tuple[int, list[Path]]:
    """Exit status and work dirs of the runs of an ID."""
    status = run_experiments.main(["--exp", str(exp_id), *options])
    (folder,) = Path("work_dirs").iterdir()
    return status, sorted(folder.glob("[!.]*"))  # all but the lock


@pytest.mark.slow
def test_startup_test_of_mic_on_all_pairs_of_domains(small_images, capfd):
    windows = ["model.test_cfg.crop_size=(128,128)", "model.test_cfg.stride=(64,64)"]
    options = [*SMALL_NETWORK, "model.hr_crop_size=(64,64)", *windows]
    status, work_dirs = start(80, "--startup-test", "--cfg-options", *options)
    printed, errors = capfd.readouterr()
    assert status == 0, errors[-3000:]
    assert printed.count("Run job ") == len(work_dirs) == 4
    for work_dir in work_dirs:
        assert not list(work_dir.glob("*.pth")) and not (work_dir / "results.json").exists()
        assert list((work_dir / "debug").glob("000001_*.png"))
        written = Config.fromfile(work_dir / f"{work_dir.name}.py")
        assert written.train_cfg.max_iters == 2 and written.uda.masking.mask_generator.mask_block_size == 64


SURVEY_IDS = (201, 202, 203, 204, 223)


@pytest.mark.parametrize("exp_id", SURVEY_IDS)
def test_startup_tests_of_the_survey_see_small_images(trained, exp_id):
    run_experiments.main(["--exp", str(exp_id), "--startup-test"])
    assert len(trained) == sum(run.seed == 0 and not run.start for run in runs(exp_id))
    for cfg in trained:
        check_config(cfg)
        assert cfg.model.pretrained is None and cfg.train_cfg.max_iters == 2
        train_set = cfg.train_dataloader.dataset
        steps = [step for each in domains_of(train_set) for step in each.dataset["pipeline"]]
        edges = [
            edge for step in steps for key, size in step.items() if "s" in key for edge in sizes_in(size)
        ]
        assert edges and min(edges) >= 64 and max(edges) <= 256
        assert list(cfg.uda.get("target_size", (64, 128))) == [64, 128]


def sizes_in(value: object) -> list[int]:
    return list(value) if isinstance(value, list | tuple) and all(type(x) is int for x in value) else []


@pytest.mark.parametrize(
    ("exp_id", "name"),
    [
        (201, "gta2cs_adaptsegnet-single_dlv2_vgg16"),
        (202, "syn2cs_advent-cp_dlv2_vgg16"),
        (203, "gta2cs_clan_dlv2_r101"),
        (204, "gta2cs_road_dlv2_vgg16"),
        (224, "gta2cs_fda-05_dlv2_r101"),
    ],
)
def test_a_startup_test_of_the_survey(small_images, monkeypatch, exp_id, name):
    def train(job: Job, *arguments) -> None:
        cfg = load_config(job.config)
        cfg.train_dataloader.num_workers, cfg.default_hooks.logger.interval = 0, 1
        apis.train(cfg)
        losses.update(log_entries(job.work_dir)[-1])
        write_state(job.work_dir, RunState("ended", job.max_iters, exit_status=0))

    losses: dict[str, float] = {}
    monkeypatch.setattr(local, "train_in_a_process", train)
    assert run_experiments.main(["--exp", str(exp_id), "--startup-test", "--runs", f"{name}_s0"]) == 0
    assert losses["step"] == 2 and losses["decode.loss_seg"] > 0


def test_stages_of_cycada_follow_each_other(small_images, monkeypatch):
    """Generators, a network on images that they draw, its scores aligned on such images."""

    def train(job: Job, *arguments) -> None:
        cfg = load_config(job.config)
        cfg.train_dataloader.num_workers, cfg.default_hooks.logger.interval = 0, 1
        stages[job.name] = cfg
        apis.train(cfg)
        write_state(job.work_dir, RunState("ended", job.max_iters, exit_status=0))

    stages: dict[str, Config] = {}
    monkeypatch.setattr(local, "train_in_a_process", train)
    command = ["--exp", "221", "--startup-test", "--runs", "gta2cs_cycada_drn26_s0"]
    assert run_experiments.main(command) == 0
    names = ["gta2cs_cyclegan_s0", "gta2cs_cycada-pixel_drn26_s0", "gta2cs_cycada_drn26_s0"]
    assert list(stages) == names
    first, pixel, both = (stages[name] for name in names)
    assert pixel.uda.translator.checkpoint == str(Path(first.work_dir) / "iter_2.pth")
    assert not pixel.load_from, "the student begins with its own weights"
    assert both.uda.translator.checkpoint == both.load_from == str(Path(pixel.work_dir) / "iter_2.pth")
    generators = [read_checkpoint(Path(cfg.work_dir) / "iter_2.pth")["state_dict"] for cfg in (first, pixel)]
    drawn = {name for name in generators[0] if name.startswith("generator.to_target.")}
    for name in drawn:
        handed_on = name.replace("generator.to_target.", "translator.network.")
        assert torch.equal(generators[1][handed_on], generators[0][name])
    folders = [Path(cfg.work_dir) for cfg in stages.values()]
    assert len(set(folders)) == 3 and not list(folders[2].glob("*.pth"))


@pytest.mark.slow
@pytest.mark.parametrize("exp_id", SURVEY_IDS)
def test_startup_tests_of_all_rows_of_the_survey(small_images, capfd, exp_id):
    status, work_dirs = start(exp_id, "--startup-test", "--cfg-options", "train_dataloader.num_workers=0")
    printed, errors = capfd.readouterr()
    assert status == 0, errors[-3000:]
    names = [run.name for run in runs(exp_id) if run.seed == 0]
    assert re.findall(r"Run job (\S+)", printed) == names and len(work_dirs) == len(names)


@pytest.mark.slow
def test_start_of_all_networks(small_images, capfd):
    """With all their layers; only the checkpoints, some gigabytes in all, are left out."""
    options = ["model.pretrained=None", "default_hooks.checkpoint.save_last=False"]
    status, work_dirs = start(100, "--cfg-options", *options)
    printed, errors = capfd.readouterr()
    assert status == 0, errors[-3000:]
    assert re.findall(r"Run job (\S+)", printed) == [run.name for run in runs(100)]
    written = [Config.fromfile(work_dir / f"{work_dir.name}.py") for work_dir in work_dirs]
    assert Counter(cfg.name_architecture for cfg in written) == Counter(run.row.network for run in runs(100))
    assert {cfg.log_level for cfg in written} == {"ERROR"} and " - INFO - " not in errors + printed


@pytest.mark.slow
def test_start_of_all_methods(small_images, capfd):
    status, work_dirs = start(101, "--cfg-options", *SMALL_NETWORK)
    printed, errors = capfd.readouterr()
    assert status == 0, errors[-3000:]
    assert re.findall(r"Run job (\S+)", printed) == [run.name for run in runs(101)]
    assert len(work_dirs) == 9
    for work_dir in work_dirs:
        assert (work_dir / "iter_2.pth").is_file() and not (work_dir / "results.json").exists()


def test_a_finished_run_of_other_settings_is_named(trained, capsys):
    run_experiments.main(["--exp", "7", "--cfg-options", "uda.alpha=0.5"])
    for cfg in trained:
        work_dir = make_folder(Path(cfg.work_dir))
        (work_dir / "iter_40000.pth").touch()
        (work_dir / "results.json").write_text('{"iteration": 40000, "mIoU": 1.0}')
    trained.clear()
    capsys.readouterr()
    run_experiments.main(["--exp", "7"])
    shown = capsys.readouterr().out
    assert not trained and shown.count("with other settings (uda); --rerun trains it") == 3
    run_experiments.main(["--exp", "7", "--cfg-options", "uda.alpha=0.5"])
    assert "other settings" not in capsys.readouterr().out and not trained
