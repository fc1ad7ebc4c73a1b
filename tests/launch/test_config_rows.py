"""IDs whose rows are config files: start weights, order, report; the toy benchmark is one of them."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from toy_run import CHANNELS, toy_config, write_config

import experiments
import run_experiments
from mmseg.apis import init_segmentor
from mmseg.checkpoints.weights import read_checkpoint
from mmseg.config.checks import check_config
from mmseg.errors import DataError
from mmseg.experiments.experiment import ConfigRow, Experiment, Run
from mmseg.experiments.names import Axes
from mmseg.experiments.toy import EARLIER, MAIN, ROUNDS, TOY
from mmseg.launch.main import launch
from mmseg.launch.start_weights import START, start_from
from mmseg.registry import MODELS
from mmseg.reports import benchmark_page
from mmseg.visualization.grid import GAP, LINE_HEIGHT, MAX_COLUMNS, draw_comparison

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/toy_benchmark.md"
ROWS = {row.title: row for row in TOY.rows}
OUT = Path("work_dirs/local-exp5")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of its own to write into."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ------------------------------------------------------------------------------------------ the toy ladder


def test_methods_train_alike():
    cfgs = {method: Run(0, row, 2).config() for method, row in ROWS.items()}
    lengths = {method: cfg.train_cfg.max_iters for method, cfg in cfgs.items()}
    extra = lengths["source-only, longer"]
    assert all(lengths[method] == extra for method, row in ROWS.items() if row.start)
    assert lengths["oracle"] == lengths["source-only"] + extra
    for method, cfg in cfgs.items():
        check_config(cfg)
        assert cfg.randomness.seed == 2 and cfg.exp == 0 and cfg.name.endswith("_s2")
        assert cfg.model.backbone.type == "mit_b0" and cfg.model.pretrained is None and cfg.load_from is None
        assert bool(cfg.get("uda")) == (bool(ROWS[method].start) and method != "source-only, longer")
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
    adapted = [method for method, row in ROWS.items() if row.start]
    assert all(cfgs[method].optim_wrapper == cfgs["source-only, longer"].optim_wrapper for method in adapted)
    masking = [cfgs[f"MIC({host})"].uda.masking for host in ("DAFormer", "HRDA")]
    assert [part.mask_generator.mask_block_size for part in masking] == [16, 32]
    assert {(part.mask_mode, part.mask_generator.mask_ratio) for part in masking} == {("separatetrgaug", 0.7)}


def test_methods_of_the_survey_share_images_and_follow_the_student():
    """As published, with the rate of a discriminator in its published relation to that of the student."""
    types = {
        "fcns_in_the_wild": "FCNsInTheWild", "adda": "ADDA", "adaptsegnet": "AdvSeg", "fcan": "FCAN",
        "road": "ROAD", "min_ent": "MinEnt", "advent": "AdvEnt", "clan": "CLAN", "dacs": "DACS",
    }  # fmt: skip
    cfgs = {Path(row.path).stem: Run(0, row, 0).config() for row in EARLIER}
    assert {name: cfg.uda.type for name, cfg in cfgs.items()} == types
    assert all(row.title in PAGE.read_text() for row in TOY.rows)
    for cfg in cfgs.values():
        assert cfg.train_dataloader == cfgs["dacs"].train_dataloader
        assert cfg.param_scheduler == cfgs["dacs"].param_scheduler
        MODELS.build({**cfg.uda, "model": cfg.model})
    networks = {name: cfg.other_networks for name, cfg in cfgs.items() if cfg.get("other_networks")}
    rates = {name: x.discriminator.optim_wrapper.optimizer.lr for name, x in networks.items()}
    student = cfgs["dacs"].optim_wrapper.optimizer.lr
    ratios = {name: rate / student for name, rate in rates.items()}
    published = dict.fromkeys(("adaptsegnet", "advent", "clan"), 1e-4 / 6e-5)
    assert ratios == pytest.approx({**published, "adda": 1, "fcns_in_the_wild": 10})
    for other in networks.values():
        assert other.discriminator.param_scheduler == cfgs["dacs"].param_scheduler
    assert cfgs["clan"].uda.global_iters / 600 == 5000 / 100_000
    assert cfgs["fcns_in_the_wild"].uda.ramp_iters / 600 == 1200 / 10_000


def test_listing_and_dry_run_write_nothing(folder, capsys):
    assert run_experiments.main(["--list", "--exp", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"0: {experiments.EXPERIMENTS[0].title} (33 runs, 0 finished)"
    main, earlier = ([row.name for row in rows] for rows in (MAIN, [*EARLIER, *ROUNDS]))
    seeds = [(name, "s0 s1 s2") for name in main] + [(name, "s0") for name in earlier]
    assert lines[1:] == [f"    {name}: open {found}" for name, found in seeds]
    assert run_experiments.main(["--exp", "0", "--dry-run"]) == 0
    shown = [line.split(" -> ")[0] for line in capsys.readouterr().out.splitlines()]
    others = [f"{name}_s{seed}" for name in main for seed in (1, 2)]
    assert shown == [f"{name}_s0" for name in main + earlier] + others
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [["--exp", "0", "--max-parallel", "0"], ["--exp", "7", "--write-page"], ["--list", "--write-page"]],
)
def test_options_that_make_no_sense(arguments, capsys):
    with pytest.raises(SystemExit):
        run_experiments.main(arguments)
    assert "error: --" in capsys.readouterr().err


@pytest.mark.slow
def test_startup_test_in_processes(tmp_path):
    """The command itself with data that it draws: 800 images, a process per row, two at a time."""
    command = [sys.executable, str(ROOT / "run_experiments.py"), "--exp", "0", "--startup-test"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    names = [run.name for run in experiments.runs(0) if run.seed == 0]
    finished = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("Finished")]
    assert sorted(finished) == sorted(names)
    folders = list((tmp_path / "work_dirs/local-exp0-startup").glob("*_toy_*"))
    assert len(folders) == len(names) and not list((tmp_path / "work_dirs").rglob("results.json"))
    assert not list((tmp_path / "work_dirs").rglob("table.md")), "nothing was evaluated"


# ------------------------------------------------------------------------------------------- a real launch


def test_runs_wait_for_their_start_and_end_in_a_report(folder, toy_data, capfd):
    """Two at a time, in processes of their own; one row starts from another, one waits for one that fails."""
    sets = {f"{split}_dataloader.dataset.data_root": "nowhere" for split in ("train", "val")}
    names = {"first": ("source_only", {}), "adapted": ("daformer", {}), "broken": ("oracle", sets)}
    for name, (config, changes) in names.items():
        cfg = toy_config(config, toy_data, folder, {"train_cfg.max_iters": 2, **changes})
        cfg.work_dir = cfg.experiment_name = None
        write_config(cfg, folder / f"{name}.py")
    write_config(Config.fromfile("first.py"), folder / "waiting.py")
    page = folder / "page.md"
    page.write_text(f"before\n{benchmark_page.START}\nold\n{benchmark_page.END}\nafter\n")
    (folder / "images").mkdir()
    target_images = str(toy_data / "cityscapes/leftImg8bit/train/*/*.png")
    rows = [
        ConfigRow("first.py", "first method", "as it comes", norm_images=target_images),
        ConfigRow("adapted.py", "second method", "adapted", start="first", settings={"uda.alpha": 0.5}),
        ConfigRow("broken.py", "broken method"),
        ConfigRow("waiting.py", "waiting method", start="broken"),
    ]
    table = {5: Experiment("a few", rows, seeds=(1,), parallel=2, page=page)}

    assert launch(table, ["--exp", "5"]) == 1
    printed, errors = capfd.readouterr()
    assert "Finished first_s1" in printed and "Finished adapted_s1" in printed
    assert "2 of 4 runs failed:" in errors and "  broken_s1: 2 problems with the data" in errors
    assert "  waiting_s1: the run whose weights it starts from failed" in errors
    assert not list(OUT.glob("*waiting*"))
    (first,), (adapted,) = (list(OUT.glob(f"*_{name}_s1_*")) for name in ("first", "adapted"))
    cfg = Config.fromfile(adapted / f"{adapted.name}.py")
    assert cfg.load_from == cfg.model.pretrained == str(first / "iter_2.pth") and cfg.uda.alpha == 0.5
    assert (cfg.exp, cfg.randomness.seed, cfg.name) == (5, 1, adapted.name)
    before, after = (read_checkpoint(run / "iter_2.pth")["state_dict"] for run in (first, adapted))
    name = "backbone.patch_embed1.proj.weight"
    assert torch.equal(after[f"imnet_model.{name}"], before[name]), "the feature distance holds on to them"
    assert 0 < (after[f"model.{name}"] - before[name]).abs().max() < 0.01, "two steps away from its start"

    scores = [json.loads((run / "results.json").read_text())["mIoU"] for run in (first, adapted)]
    report = (OUT / "table.md").read_text()
    assert report in printed
    again = json.loads((OUT / "results/first_s1.json").read_text())["scores_with_target_norms"]["mIoU"]
    shown = f"| first method | as it comes | {scores[0]:.1f} | {scores[0]:.1f} | {again:.1f} | "
    assert again != scores[0] and shown in report
    assert f"| second method | adapted | {scores[1]:.1f} | {scores[1]:.1f} | not run yet | " in report
    assert "| broken method |  | not run yet |  |  |  |" in report
    record = json.loads((OUT / "results/adapted_s1.json").read_text())
    assert record["scores"]["mIoU"] == scores[1] and record["seconds"]["processor"] > 0
    assert record["settings"]["uda"]["alpha"] == 0.5 and record["versions"]["torch"] == torch.__version__
    assert list(record["trusted"]["trusted"]) == ["1", "2"]
    for picture, columns in (("comparison_adapted", 3), ("comparison", 4)):
        width, height = Image.open(OUT / f"{picture}.png").size
        assert (
            width > height and abs(width / columns - (Image.open(OUT / "comparison.png").size[0] / 4)) < 200
        )

    assert launch(table, ["--exp", "5", "--dry-run"]) == 0
    shown = capfd.readouterr().out
    assert (
        f"Skip first_s1: finished in {first}\n" in shown
        and f"Skip adapted_s1: finished in {adapted}\n" in shown
    )
    assert "other settings" not in shown, "start weights are none of them"
    assert re.search(r"^waiting_s1 -> work_dirs/local-exp5/<date>", shown, re.MULTILINE)

    table[5] = Experiment("a few", rows[:2], seeds=(1,), page=page)
    assert launch(table, ["--exp", "5", "--write-page"]) == 0
    written = page.read_text()
    assert written.startswith(f"before\n{benchmark_page.START}\n| method |") and written.endswith("\nafter\n")
    assert (folder / "images/page.png").read_bytes() == (OUT / "comparison.png").read_bytes()

    # elsewhere, with nothing but the page and the records beside it: nothing is trained again
    shutil.rmtree("work_dirs")
    capfd.readouterr()
    assert launch(table, ["--exp", "5", "--write-page"]) == 0
    assert "Skip adapted_s1: its results are in " in capfd.readouterr().out
    assert page.read_text() == written and not list(OUT.glob("*_s1_*"))
    (folder / "page/adapted_s1.json").unlink()
    assert launch(table, ["--exp", "5", "--write-page", "--dry-run"]) == 0
    shown = capfd.readouterr().out
    assert "first_s1 -> " in shown and "adapted_s1 -> " in shown, (
        "weights to start from are no part of a record"
    )


def test_the_rows_that_the_page_shows():
    text = (ROOT / "docs/experiments.md").read_text()
    (shown,) = re.findall(r"```python\n# experiments.py\n(.*?)```", text, re.DOTALL)
    known = {**vars(experiments), "EXPERIMENTS": dict(experiments.EXPERIMENTS)}
    exec(shown, known)
    runs = known["EXPERIMENTS"][200].runs(200)
    assert [run.name for run in runs] == ["source_only_s0", "source_only_s1", "daformer_s0", "daformer_s1"]
    assert [run.start for run in runs] == [None, None, "source_only_s0", "source_only_s1"]
    cfg = runs[3].config()
    assert (cfg.uda.alpha, cfg.randomness.seed, cfg.exp) == (0.99, 1, 200)
    check_config(cfg)


# ---------------------------------------------------------------------------------------------- start weights


def small(method: str, folder: Path, seed: int = 0) -> Config:
    """A toy method with a narrow head."""
    cfg = Run(0, ROWS[method], seed).config()
    head = dict(channels=CHANNELS, decoder_params=dict(embed_dims=CHANNELS))
    cfg.merge_from_dict({"work_dir": str(folder), "model.decode_head": head})
    return cfg


def write_start(folder: Path, state: dict) -> Path:
    folder.mkdir()
    torch.save({"state_dict": state}, folder / "iter_2.pth")
    return folder


def test_hrda_starts_as_the_source_only_network(tmp_path):
    torch.manual_seed(3)
    plain = init_segmentor(small("source-only", tmp_path), device="cpu")
    source = write_start(tmp_path / "source", plain.state_dict())
    started = {}
    for number, seed in enumerate((0, 0, 1)):
        config = write_config(small("HRDA", tmp_path / f"hrda{number}", seed), tmp_path / f"hrda{number}.py")
        start_from(config, source)
        cfg = Config.fromfile(config)
        assert cfg.load_from == str(tmp_path / f"hrda{number}" / START)
        assert cfg.model.pretrained == str(source / "iter_2.pth")
        network = init_segmentor(cfg, cfg.load_from, device="cpu")
        img = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            features = network.extract_feat(img, network.detail_windows((256, 256))[:1])
            detail, context = (network.decode_head.head(part) for part in (features.detail, features.context))
            half = torch.nn.functional.interpolate(img, scale_factor=0.5, mode="bilinear")
            for logits, seen in ((detail, img[..., :128, :128]), (context, half)):
                assert torch.allclose(logits, plain.encode_decode(seen, upscale_pred=False), atol=1e-5)
        weights = network.decode_head.scale_attention.state_dict().values()
        attention = torch.cat([value.flatten() for value in weights if value.ndim > 1])
        assert attention.numel() > 200
        if seed in started:
            assert torch.equal(started[seed], attention), "a function of the seed"
        started[seed] = attention
    assert not torch.equal(started[0], started[1])


def test_a_second_classifier_is_new_at_the_start(tmp_path):
    torch.manual_seed(3)
    plain = init_segmentor(small("source-only", tmp_path), device="cpu").state_dict()
    source = write_start(tmp_path / "source", plain)
    heads = []
    for number, seed in enumerate((0, 0, 1)):
        cfg = small("CLAN", tmp_path / f"clan{number}", seed)
        cfg.model.auxiliary_head = cfg.model.decode_head
        config = write_config(cfg, tmp_path / f"clan{number}.py")
        start_from(config, source)
        cfg = Config.fromfile(config)
        network = init_segmentor(cfg, cfg.load_from, device="cpu")
        state = network.state_dict()
        assert all(torch.equal(state[name], value) for name, value in plain.items())
        heads.append(state["auxiliary_head.conv_seg.weight"])
        assert not torch.equal(heads[-1], plain["decode_head.conv_seg.weight"])
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2]), "a function of the seed"


def test_hrda_starts_from_hrda_as_it_is(tmp_path):
    state = {f"model.{name}": value for name, value in
             init_segmentor(small("HRDA", tmp_path), device="cpu").state_dict().items()}  # fmt: skip
    source = write_start(tmp_path / "source", state)
    config = write_config(small("MIC(HRDA)", tmp_path / "mic"), tmp_path / "mic.py")
    start_from(config, source)
    assert Config.fromfile(config).load_from == str(source / "iter_2.pth") and not (tmp_path / "mic").exists()


def test_weights_of_another_network_are_refused(tmp_path):
    state = init_segmentor(small("source-only", tmp_path), device="cpu").state_dict()
    source = write_start(tmp_path / "source", {**state, "decode_head.unknown": torch.zeros(1)})
    config = write_config(small("HRDA", tmp_path / "hrda"), tmp_path / "hrda.py")
    with pytest.raises(RuntimeError, match=r"decode_head\.head\.unknown"):
        start_from(config, source)


# --------------------------------------------------------------------------------------------- the report


def record(score: float, **changes) -> dict:
    scores = {"mIoU": score, "IoU.road": score + 10, "IoU.sky": None}
    parts = dict(seconds=dict(clock=80, processor=90), versions=dict(torch="2.0"), trusted={}, settings={})
    return dict(scores=scores, **(parts | changes))


def test_table():
    records = {Run(0, ROWS["source-only"], seed): record(20.0 + seed) for seed in range(3)}
    records[Run(0, ROWS["oracle"], 1)] = record(31.25)
    lines = benchmark_page.markdown(ROWS.values(), records).splitlines()
    assert lines[2] == "| source-only | source labels only | 21.0 ± 1.0 | 20.0, 21.0, 22.0 | 2 |"
    assert lines[3].endswith("| not run yet |  |  |")
    assert lines[1 + len(ROWS)] == "| oracle | target labels | 31.2 | 31.2 | 2 |"
    assert lines[-1].startswith("Mean ± standard deviation over seeds; the score of the last iteration")
    assert lines[-1].endswith("Measured with torch 2.0; 4 runs, 6 minutes of processor time.")


def test_a_table_for_each_group_with_its_classes_and_pseudo_labels():
    one, two = (replace(ROWS["DAFormer"], group=group) for group in ("by day", "by night"))
    trusted = {"trusted": {"100": 0.25, "200": 0.5}}
    records = {Run(5, one, 0): record(20.0, trusted=trusted), Run(5, one, 1): record(30.0)}
    text = benchmark_page.markdown([one, two], records)
    day, night = text.split("### by night")
    assert day.startswith("### by day\n\n| method |") and "| 25.0 ± 7.1 | 20.0, 30.0 |" in day
    assert "| method | road | sky |" in day and "| DAFormer | 35.0 | – |" in day
    assert "| method | until 100 | until 200 |" in day and "| DAFormer | 0.25 | 0.50 |" in day
    assert "not run yet" in night and "road" not in night and "until" not in night


def test_a_second_score_with_the_statistics_of_the_target():
    one, two = (replace(ROWS[name], group="by day", norm_images="*.png") for name in ("DAFormer", "oracle"))
    again = dict(scores_with_target_norms={"mIoU": 40.25, "IoU.road": 60.0})
    text = benchmark_page.markdown([one, two], {Run(5, one, 0): record(20.0, **again)})
    assert "| method |  | mIoU | per seed | target's norms | minutes |" in text
    assert (
        "| 20.0 | 20.0 | 40.2 | 2 |" in text and "| oracle | target labels | not run yet |  |  |  |" in text
    )
    assert "| DAFormer | 30.0 | – |" in text and "| DAFormer | 60.0 |" in text


def test_many_methods_stand_below_each_other(tmp_path):
    """An image and 9 label maps: 9 columns, then 1 of the same two images below."""
    labels = {f"method {n}": [np.full((2, 4), n, np.uint8)] * 2 for n in range(MAX_COLUMNS)}
    colors = [(10 * n, 0, 0) for n in range(MAX_COLUMNS)]
    draw_comparison([np.zeros((2, 4, 3), np.uint8)] * 2, labels, colors, tmp_path / "all.png", width=240)
    drawn = np.array(Image.open(tmp_path / "all.png"))
    pitch, half = 240 + GAP, 2 * LINE_HEIGHT + 4 * 120 + 4 * GAP
    assert drawn.shape == (half - GAP, MAX_COLUMNS * pitch - GAP, 3)
    first, last = LINE_HEIGHT + 60, drawn.shape[0] - 60
    assert [drawn[first, n * pitch + 120, 0] for n in (1, 2, 8)] == [0, 10, 70] and drawn[last, 120, 0] == 80


def test_rows_of_any_kind_are_in_the_table():
    axes, other = (Run(5, row, 0) for row in (Axes(), ConfigRow("configs/other.py")))
    rows = benchmark_page.rows_of(Experiment("a few", [axes.row, other.row]), [axes, other])
    lines = benchmark_page.markdown(rows, {axes: record(50.0)}).splitlines()
    assert lines[2:4] == [f"| {axes.row.name} |  | 50.0 | 50.0 | 2 |", "| other |  | not run yet |  |  |"]


def test_a_damaged_record_is_named(tmp_path):
    run = Run(5, ROWS["oracle"], 0)
    (tmp_path / f"{run.name}.json").write_text('{"scores": {}}')
    with pytest.raises(DataError, match=r"toy_oracle_s0.json: not the record of a run .* delete it"):
        benchmark_page.recorded([run], tmp_path)
