"""Experiment 0: every method in small, from the start weights to the table and the pictures."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from PIL import Image
from toy_run import quickstart_config

import run_experiments
from benchmarks import toy_ladder, toy_report, toy_start
from benchmarks.toy_ladder import ROWS, SEEDS, ToyRun, make_config, runs
from mmseg.apis import init_segmentor, train
from mmseg.checkpoints.weights import read_checkpoint
from mmseg.config.checks import check_config
from mmseg.config.load import load_config
from mmseg.launch import local, run_folders
from mmseg.launch.process import Job, Stop
from mmseg.launch.run_state import RunState, write_state

ROOT = Path(__file__).parents[2]
OUT = Path("work_dirs/local-exp0")
TWO_ITERATIONS = [
    "--cfg-options",
    *("train_cfg.max_iters=2", "train_cfg.val_interval=2", "default_hooks.checkpoint.interval=2"),
    *("train_dataloader.num_workers=0", "val_dataloader.num_workers=0", "test_dataloader.num_workers=0"),
]
SMALL = {128: 32, 256: 64, 512: 96}
"""Sizes in pixels of the configs -> sizes that fit to the images of the tests."""


def small(value):
    """The same config with small crops, windows and images."""
    if isinstance(value, dict):
        return {key: small(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        if len(value) == 2 and all(isinstance(size, int) and size in SMALL for size in value):
            return tuple(SMALL[size] for size in value)
        return [small(part) for part in value]
    return value


def read_once(path: Path, options: dict) -> Config:
    """``load_config`` for the configs of the quickstart, which are looked at a hundred times."""
    cfg = copy.deepcopy(quickstart_config(path.stem))
    cfg.merge_from_dict(options)
    return cfg


@pytest.fixture
def checkout(tmp_path, monkeypatch, toy_data):
    """A folder of its own to write into, with data that are there already."""
    monkeypatch.setattr(run_folders, "ROOT", tmp_path)
    monkeypatch.setattr(toy_start, "write_data", lambda: None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/toy").symlink_to(toy_data)
    return tmp_path


@pytest.fixture
def two_seeds(monkeypatch):
    """As many as it takes to tell them apart."""
    monkeypatch.setattr(toy_ladder, "SEEDS", (0, 1))


class Trainer:
    """Stands for the process of a run: leaves its score, and its initial weights if asked to."""

    def __init__(self, failing: str = "nothing", weights: bool = False) -> None:
        self.failing, self.weights = failing, weights
        self.configs: list[Config] = []

    def __call__(self, job: Job, environment: dict, quiet: bool, stop: Stop) -> str | None:
        with local.PREPARING:  # in place of another process
            cfg = load_config(job.config)
        self.configs.append(cfg)
        write_state(job.work_dir, RunState("ended", job.max_iters, exit_status=75))
        if self.failing in cfg.name:
            return "broken"
        work_dir = Path(cfg.work_dir)
        work_dir.mkdir(parents=True, exist_ok=True)
        checkpoint = work_dir / f"iter_{cfg.train_cfg.max_iters}.pth"
        state = init_segmentor(cfg, device="cpu").state_dict() if self.weights else {"w": torch.zeros(1)}
        torch.save({"state_dict": state}, checkpoint)
        (work_dir / "results.json").write_text(json.dumps({"mIoU": 10.0 + 2 * cfg.randomness.seed}))
        return None

    @property
    def names(self) -> list[str]:
        """What was trained, in the order of its start."""
        return [re.sub(r"^\d{6}_\d{4}_|_[0-9a-f]{5}$", "", cfg.name) for cfg in self.configs]


@pytest.fixture
def no_hrda(monkeypatch):
    """Start weights of HRDA are not put together."""
    monkeypatch.setattr(toy_start, "hrda_start", lambda cfg, trained: dict(trained))


@pytest.fixture
def no_pictures(monkeypatch):
    """Nothing is drawn."""
    monkeypatch.setattr(toy_report, "draw", lambda finished, folder: folder / "comparison.png")


# ------------------------------------------------------------------------------------------------------- runs


def test_methods_train_alike():
    cfgs = {method: make_config(ToyRun(method, 2)) for method in ROWS}
    lengths = {method: cfg.train_cfg.max_iters for method, cfg in cfgs.items()}
    extra = lengths["source-only, longer"]
    assert all(lengths[method] == extra for method, row in ROWS.items() if row.continues)
    assert lengths["oracle"] == lengths["source-only"] + extra
    for method, cfg in cfgs.items():
        check_config(cfg)
        assert cfg.randomness.seed == 2 and cfg.exp == 0 and cfg.name.endswith("_s2")
        assert cfg.model.backbone.type == "mit_b0" and cfg.model.pretrained is None and cfg.load_from is None
        assert bool(cfg.get("uda")) == (ROWS[method].continues and method != "source-only, longer")
        assert bool((cfg.get("uda") or {}).get("masking")) == method.startswith("MIC")
        assert (cfg.model.type == "HRDAEncoderDecoder") == ("HRDA" in method)
    for method in ("HRDA", "MIC(HRDA)"):
        cfg, plain = cfgs[method], cfgs[method.replace("HRDA", "DAFormer")]
        dataset = cfg.train_dataloader.dataset
        steps = [step for part in (dataset.source, dataset.target) for step in part.pipeline]
        assert [step.crop_size for step in steps if step.type == "RandomCrop"] == [(256, 256)] * 2
        assert cfg.model.test_cfg.crop_size == (256, 256)
        # both scales are as large as the crops that the start weights have seen
        assert cfg.model.hr_crop_size == (128, 128) and min(cfg.model.scales) * 256 == 128
        assert cfg.optim_wrapper == plain.optim_wrapper and cfg.param_scheduler == plain.param_scheduler
        assert cfg.model.decode_head.channels == plain.model.decode_head.channels
    masking = [cfgs[f"MIC({host})"].uda.masking for host in ("DAFormer", "HRDA")]
    assert [part.mask_generator.mask_block_size for part in masking] == [16, 32]
    assert {(part.mask_mode, part.mask_generator.mask_ratio) for part in masking} == {("separatetrgaug", 0.7)}


def test_listing_and_dry_run_write_nothing(checkout, capsys):
    assert run_experiments.main(["--list", "--exp", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"0: {toy_ladder.TITLE} ({len(ROWS) * len(SEEDS)} runs, 0 finished)"
    assert lines[1:] == [f"    toy_{row.config}: open s0 s1 s2" for row in ROWS.values()]
    assert run_experiments.main(["--exp", "0", "--dry-run"]) == 0
    shown = [line.split(" -> ")[0] for line in capsys.readouterr().out.splitlines()]
    assert shown == [run.name for run in runs()]
    assert sorted(path.name for path in checkout.iterdir()) == ["data"]


@pytest.mark.parametrize(
    "arguments",
    [["--exp", "0", "--max-parallel", "0"], ["--exp", "7", "--write-page"], ["--list", "--write-page"]],
)
def test_options_that_make_no_sense(arguments, capsys):
    with pytest.raises(SystemExit):
        run_experiments.main(arguments)
    assert "error: --" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", [1, 2])
def test_runs_start_from_the_source_only_weights_of_their_seed(
    jobs, checkout, two_seeds, monkeypatch, no_hrda, no_pictures
):
    trainer = Trainer()
    monkeypatch.setattr(local, "train_in_a_process", trainer)
    assert run_experiments.main(["--exp", "0", "--max-parallel", str(jobs)]) == 0
    assert sorted(trainer.names) == sorted(run.name for run in runs())
    if jobs == 1:
        assert trainer.names == [run.name for run in runs()]
    started = dict(zip(trainer.names, trainer.configs, strict=True))
    for run in runs():
        cfg = started[run.name]
        if not run.row.continues:
            assert cfg.load_from is None and cfg.model.pretrained is None
            continue
        weights = f"{started[f'toy_source_only_s{run.seed}'].work_dir}/iter_1000.pth"
        assert cfg.model.pretrained == (weights if cfg.get("uda") else None)
        assert cfg.load_from == (f"{cfg.work_dir}/start.pth" if "hrda" in run.name else weights)
        assert trainer.names.index(f"toy_source_only_s{run.seed}") < trainer.names.index(run.name)


def test_finished_runs_are_skipped_and_the_table_is_made_again(
    checkout, two_seeds, monkeypatch, no_hrda, no_pictures, capsys
):
    failing = Trainer(failing="toy_mic")
    monkeypatch.setattr(local, "train_in_a_process", failing)
    assert run_experiments.main(["--exp", "0"]) == 1
    assert "| MIC(HRDA) | HRDA and masked image consistency | – |  |" in (OUT / "table.md").read_text()
    errors = capsys.readouterr().err.splitlines()
    assert errors[0] == "4 of 14 runs failed:"
    assert errors[1:] == [f"  {run.name}: broken" for run in runs() if "mic" in run.name]

    second = Trainer()
    monkeypatch.setattr(local, "train_in_a_process", second)
    assert run_experiments.main(["--exp", "0"]) == 0
    assert sorted(second.names) == sorted(run.name for run in runs() if "mic" in run.name)
    first = {cfg.randomness.seed: cfg.work_dir for cfg in failing.configs if "source_only_s" in cfg.name}
    assert all(cfg.model.pretrained.startswith(first[cfg.randomness.seed]) for cfg in second.configs)
    assert len(toy_report.read_costs(OUT)) == 2

    (OUT / "table.md").unlink()
    assert run_experiments.main(["--exp", "0"]) == 0
    assert len(second.configs) == 4 and len(toy_report.read_costs(OUT)) == 2
    assert "| HRDA | DAFormer with large context and detail crops | 11.0 ± 1.4 | 10.0, 12.0 |" in (
        (OUT / "table.md").read_text()
    )


def test_a_failed_start_stops_what_builds_on_it_only(
    checkout, two_seeds, monkeypatch, no_hrda, no_pictures, capsys
):
    trainer = Trainer(failing="toy_source_only_s1")
    monkeypatch.setattr(local, "train_in_a_process", trainer)
    assert run_experiments.main(["--exp", "0", "--max-parallel", "2"]) == 1
    _, *failures = capsys.readouterr().err.splitlines()
    dependent = [run.name for run in runs() if run.seed == 1 and run.row.continues]
    assert failures == ["  toy_source_only_s1: broken"] + [
        f"  {name}: the run whose weights it starts from failed" for name in dependent
    ]
    assert set(trainer.names) == {run.name for run in runs()} - set(dependent)

    (weights,) = OUT.glob("*_toy_source_only_s0_*/iter_1000.pth")
    weights.write_bytes(b"damaged")
    for folder in OUT.glob("*hrda_s0_*"):
        shutil.rmtree(folder)
    monkeypatch.setattr(toy_ladder, "SEEDS", (0,))
    assert run_experiments.main(["--exp", "0"]) == 1
    count, *failures = capsys.readouterr().err.splitlines()
    assert count == "2 of 2 runs failed:"
    assert [line.split(":")[0].strip() for line in failures] == ["toy_hrda_s0", "toy_mic_hrda_s0"]
    assert all("iter_1000.pth: not a readable" in line for line in failures)


@pytest.mark.parametrize(("exp_id", "jobs"), [(7, 3), (0, 2)])
def test_jobs_run_side_by_side(exp_id, jobs, checkout, two_seeds, monkeypatch, no_hrda, no_pictures):
    """The first runs wait for each other, which only succeeds when they are there at the same time."""
    meeting, trainer = threading.Barrier(jobs, timeout=60), Trainer()
    first = {run.name for run in run_experiments.runs_of(exp_id)[:jobs]}

    def train_together(job: Job, environment: dict, quiet: bool, stop: Stop) -> str | None:
        assert quiet
        if job.name in first:
            meeting.wait()
        return trainer(job, environment, quiet, stop)

    monkeypatch.setattr(local, "train_in_a_process", train_together)
    assert run_experiments.main(["--exp", str(exp_id), "--max-parallel", str(jobs)]) == 0
    assert first <= set(trainer.names)


def test_an_interrupt_stops_the_queue_and_keeps_the_cost(checkout, monkeypatch):
    started = []

    def interrupted(job: Job, *arguments) -> str | None:
        started.append(job)
        raise KeyboardInterrupt

    monkeypatch.setattr(local, "train_in_a_process", interrupted)
    assert run_experiments.main(["--exp", "0", "--max-parallel", "1"]) == 130
    assert len(started) <= 2, "the next one may have begun while the interrupt was on its way"
    assert len(toy_report.read_costs(OUT)) == 1


# ---------------------------------------------------------------------------------------------- start weights


def test_hrda_starts_as_the_source_only_network():
    torch.manual_seed(3)
    plain = init_segmentor(make_config(ToyRun("source-only", 0)), device="cpu")
    started = {}
    for seed in (0, 0, 1):
        cfg = make_config(ToyRun("HRDA", seed))
        state = toy_start.hrda_start(cfg, plain.state_dict())
        network = init_segmentor(cfg, device="cpu")
        network.load_state_dict(state)
        img = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            features = network.extract_feat(img, network.detail_windows((256, 256))[:1])
            detail, context = (network.decode_head.head(part) for part in (features.detail, features.context))
            half = torch.nn.functional.interpolate(img, scale_factor=0.5, mode="bilinear")
            for logits, seen in ((detail, img[..., :128, :128]), (context, half)):
                assert torch.allclose(logits, plain.encode_decode(seen, upscale_pred=False), atol=1e-5)
        attention = torch.cat(
            [v.flatten() for k, v in state.items() if "scale_attention" in k and v.ndim > 1]
        )
        assert attention.numel() > 1000
        if seed in started:
            assert torch.equal(started[seed], attention), "a function of the seed"
        started[seed] = attention
    assert not torch.equal(started[0], started[1])


def test_weights_of_another_network_are_refused():
    trained = init_segmentor(make_config(ToyRun("source-only", 0)), device="cpu").state_dict()
    trained["decode_head.unknown"] = torch.zeros(1)
    with pytest.raises(RuntimeError, match=r"decode_head\.head\.unknown"):
        toy_start.hrda_start(make_config(ToyRun("HRDA", 0)), trained)


# -------------------------------------------------------------------------------------- table, page, pictures


def finish(run: ToyRun, score: float) -> Path:
    folder = OUT / run.name
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps({"mIoU": score}))
    return folder


def test_table(checkout):
    finished = {
        ToyRun("source-only", seed): finish(ToyRun("source-only", seed), 20.0 + seed) for seed in SEEDS
    }
    finished[ToyRun("oracle", 1)] = finish(ToyRun("oracle", 1), 31.25)
    table = toy_report.markdown(finished, [dict(wall=600, cpu=1100), dict(wall=60, cpu=100)])
    lines = table.splitlines()
    assert lines[2] == "| source-only | source labels only | 21.0 ± 1.0 | 20.0, 21.0, 22.0 |"
    assert lines[3].endswith("| – |  |")
    assert lines[8] == "| oracle | target labels | 31.2 | 31.2 |"
    assert "20 minutes of CPU time, 11 minutes on the clock" in lines[10]


def test_the_page_changes_only_where_it_is_generated(tmp_path, monkeypatch):
    page, picture = tmp_path / "page.md", tmp_path / "picture.png"
    before = toy_report.PAGE.read_text()
    page.write_text(before)
    picture.write_bytes(b"pixels")
    monkeypatch.setattr(toy_report, "PAGE", page)
    monkeypatch.setattr(toy_report, "PAGE_PICTURE", tmp_path / "copy.png")
    toy_report.write_page("the table\n", picture)
    after = page.read_text()
    head, rest = before.split(toy_report.START)
    assert after == f"{head}{toy_report.START}\nthe table\n{toy_report.END}{rest.split(toy_report.END)[1]}"
    assert (tmp_path / "copy.png").read_bytes() == b"pixels"


def test_cost_counts_processes_also_when_they_are_interrupted(tmp_path):
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    with pytest.raises(ZeroDivisionError), toy_report.cost(tmp_path / "new"):
        subprocess.run([sys.executable, "-c", busy], check=True)
        raise ZeroDivisionError
    with toy_report.cost(tmp_path / "new"):
        pass
    first, second = toy_report.read_costs(tmp_path / "new")
    assert 0.3 <= first["cpu"] < 5 and first["wall"] >= 0.3
    assert second["cpu"] < 0.1


def test_every_method_from_start_to_picture(checkout, monkeypatch, capsys):
    """All rows with one seed, really trained on tiny images; the other seeds stay open."""
    monkeypatch.setattr(toy_ladder, "SEEDS", (0,))

    def train_here(job: Job, *arguments) -> str | None:
        cfg = Config(small(load_config(job.config).to_dict()), filename=job.config)
        cfg.default_hooks.logger.interval = 1
        if cfg.get("uda"):
            cfg.train_dataloader.dataset.rare_class_sampling.min_pixels = 0
        train(cfg)
        return None

    monkeypatch.setattr(local, "train_in_a_process", train_here)
    assert run_experiments.main(["--exp", "0", "--max-parallel", "1", *TWO_ITERATIONS]) == 0
    printed = capsys.readouterr().out
    table = (OUT / "table.md").read_text()
    assert table in printed
    for method, row in ROWS.items():
        (folder,) = [path for path in OUT.iterdir() if re.search(rf"\d_toy_{row.config}_s0_", path.name)]
        score = json.loads((folder / "results.json").read_text())
        assert score["iteration"] == 2 and 0 <= score["mIoU"] <= 100
        assert f"| {method} | {row.meaning} | {score['mIoU']:.1f} | {score['mIoU']:.1f} |" in table
        names = ("image", "truth", "method")
        width, height = Image.open(OUT / f"comparison_{row.config}.png").size
        assert width == len(names) * 384 + (len(names) - 1) * 4 and height > 2 * 256
    assert Image.open(OUT / "comparison.png").size[0] == (2 + len(ROWS)) * 260 - 4

    source_only, hrda, longer = (
        read_checkpoint(next(OUT.glob(f"*_toy_{name}_s0_*/iter_2.pth")))["state_dict"]
        for name in ("source_only", "hrda", "source_only_longer")
    )
    name = "backbone.patch_embed1.proj.weight"
    anchor = hrda[f"imnet_model.{name}"]
    assert torch.equal(anchor, source_only[name]), "the feature distance holds on to the source-only weights"
    for state in (hrda[f"model.{name}"], longer[name]):
        assert 0 < (state - source_only[name]).abs().max() < 0.01, "two steps away from where it started"


@pytest.mark.slow
def test_startup_test_in_processes(tmp_path):
    """The command itself with data that it draws: 800 images, seven processes, two at a time."""
    script = (
        f"import run_experiments as r, pathlib, sys; from mmseg.launch import run_folders; "
        f"run_folders.ROOT = pathlib.Path({str(tmp_path)!r}); "
        "sys.exit(r.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "--exp", "0", "--startup-test"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    names = [run.name for run in runs() if run.seed == 0]
    finished = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("Finished")]
    assert sorted(finished) == sorted(names)
    folders = list((tmp_path / "work_dirs/local-exp0-startup").glob("*_toy_*"))
    assert len(folders) == len(names) and not list((tmp_path / "work_dirs").rglob("results.json"))
    assert not list((tmp_path / "work_dirs").rglob("table.md")), "nothing was evaluated"
