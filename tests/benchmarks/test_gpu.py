"""The GPU benchmark, tried without a GPU: every part in tiny, resuming, the tables."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu, gpu_report, gpu_train, kernels, step
from benchmarks.gpu_rows import PARTS, Row, Settings, outcomes, rows_of
from benchmarks.kernels import Kernel
from mmseg.config.load import load_config

ROOT = Path(__file__).parents[2]


def run(out: Path, *words: str) -> int:
    return gpu.main(["--device", "cpu", "--tiny", "--out", str(out), *words])


def test_every_part_runs_in_tiny_and_is_not_repeated(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "1")  # compiling for a CPU takes minutes
    assert run(tmp_path) == 0, capsys.readouterr().out
    content = json.loads((tmp_path / "gpu.json").read_text())
    assert {row["part"] for row in content["rows"].values()} == set(PARTS)
    results = {row["part"]: row["result"] for row in content["rows"].values()}
    assert all(row["state"] == "done" for row in content["rows"].values())
    assert results["tests"]["passed"] > 3
    assert results["step"]["profile"]["kernels"] > 1000
    assert results["train"]["iterations"] == 2 and results["train"]["mIoU"] >= 0
    assert results["eval"]["agreement"] > 0.99 and results["eval"]["loader_images_per_second"] > 0
    table = (tmp_path / "gpu.md").read_text()
    for words in ("daformer 64², bf16", "toy scenes, source_only", "daformer, whole, 64x64", "tests"):
        assert words.lower() in table.lower()
    assert table in capsys.readouterr().out

    monkeypatch.setattr(gpu, "run", lambda *_: pytest.fail("all rows are there"))
    assert run(tmp_path) == 0


# ------------------------------------------------------------------------------------------------ going on


def failing(_: float) -> dict[str, Any]:
    raise RuntimeError("out of memory")


def rows(**runs: Any) -> list[Row]:
    return [Row("step", name, 1, run) for name, run in runs.items()]


def test_new_rows_come_first_and_what_failed_is_tried_again(tmp_path, monkeypatch, capsys):
    ran = []

    def passing(_: float) -> dict[str, Any]:
        ran.append("passing")
        return {"unfinished": len(ran) == 1}

    monkeypatch.setattr(gpu, "rows_of", lambda *_: rows(failing=failing, passing=passing))
    assert run(tmp_path) == 1
    said = capsys.readouterr().out
    assert "out of memory" in said and "1 rows are left, call again: passing" in said
    content = json.loads((tmp_path / "gpu.json").read_text())
    states = {name: row["state"] for name, row in content["rows"].items()}
    assert states == {"failing": "failed", "passing": "started"}

    more = rows(failing=lambda _: {}, passing=passing, new=lambda _: ran.append("new") or {})
    monkeypatch.setattr(gpu, "rows_of", lambda *_: more)
    assert run(tmp_path) == 0
    assert ran == ["passing", "new", "passing"]


def test_no_row_begins_that_would_not_end(tmp_path, monkeypatch, capsys):
    long = [Row("step", "long", 1e6, failing), Row("step", "short", 0, lambda _: {})]
    monkeypatch.setattr(gpu, "rows_of", lambda *_: long)
    assert run(tmp_path, "--minutes", "1") == 0
    assert "1 rows are left, call again: long" in capsys.readouterr().out


def test_results_of_another_machine_are_refused(tmp_path):
    (tmp_path / "gpu.json").write_text('{"machine": {"hardware": "NVIDIA H100"}, "rows": {}}')
    with pytest.raises(SystemExit, match=r"results of NVIDIA H100.*choose another folder with --out"):
        run(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--minutes", "0"], "positive number"), (["--train-config", "none.py"], "there is no file none.py")],
)
def test_what_makes_no_sense_is_refused(words, message, capsys):
    with pytest.raises(SystemExit):
        gpu.parse_args(["--device", "cpu", *words])
    assert message in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu.parse_args([])
    assert "--device cpu --tiny" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------- rows


def test_a_gpu_gets_every_method_in_every_variant(tmp_path):
    config = tmp_path / "own.py"
    found = [row.name for row in rows_of(Settings("cuda", False, tmp_path, (config,)), PARTS)]
    assert len(found) == len(set(found))
    for words in (
        "daformer 512², bf16", "hrda 1024², published, TF32", "mic_hrda 1024², bf16, CUDA graphs",
        "mic_hrda 1024², bf16, channels-last", "hrda 1024², bf16, compiled", str(config),
        "toy scenes, mic_hrda",
        "daformer, whole, 1024x2048", "hrda, slide, 1024x2048", "tests",
    ):  # fmt: skip
        assert words in found


def test_outcomes_of_tests(tmp_path):
    report = tmp_path / "tests.xml"
    cases = (
        '<testcase classname="a" name="good"/><testcase classname="a" name="left"><skipped/></testcase>'
        '<testcase classname="b" name="bad"><failure message="1 != 2"/></testcase>'
        '<testcase classname="b" name="broken"><error message="no GPU"/></testcase>'
    )
    report.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    expected = {"passed": 1, "skipped": ["a::left"], "failures": ["b::bad: 1 != 2", "b::broken: no GPU"]}
    assert outcomes(report) == expected
    report.write_text("<testsuites/>")
    assert outcomes(report)["failures"] == ["no test has run"]


def test_scenes_and_crops_of_the_papers():
    cfg = load_config(ROOT / "configs/quickstart/mic_hrda.py")
    gpu_train.enlarge(cfg._cfg_dict, 4)
    pipeline = cfg.train_dataloader.dataset.source.pipeline
    assert next(step for step in pipeline if step.type == "RandomCrop").crop_size == (1024, 1024)
    assert cfg.model.hr_crop_size == (512, 512)
    assert cfg.model.test_cfg.crop_size == (1024, 1024) and cfg.model.test_cfg.stride == (512, 512)
    assert cfg.uda.masking.mask_generator.mask_block_size == 128
    assert cfg.train_dataloader.dataset.rare_class_sampling.min_pixels == 16 * 200
    assert next(step for step in cfg.val_dataloader.dataset.pipeline if step.type == "Resize").scale == (
        2048,
        1024,
    )


def test_time_in_which_any_kernel_runs():
    found = kernels.summary(
        [
            Kernel("long", 0.0, 4.0),
            Kernel("inside", 1.0, 2.0),
            Kernel("inside", 3.0, 5.0),
            Kernel("last", 8.0, 9.0),
        ],
        runs=2,
    )
    assert found["kernels"] == 2
    assert found["busy_seconds"] == pytest.approx(3)  # 0 to 5 and 8 to 9, in two runs
    assert found["longest"][0] == ("long", pytest.approx(0.5), 0)
    assert found["longest"][1] == ("inside", pytest.approx(3 / 8), 1)


# -------------------------------------------------------------------------------------------------- tables


def step_result(method: str, seconds: float, published: bool = False) -> dict[str, Any]:
    case = dict(method=method, backbone="mit_b5", crop=512, batch=2, device="cuda", published=published)
    return dict(
        case=case, wall_seconds=seconds, operations=dict(flops=4e12), matrix_seconds=dict(bfloat16=1.4e-3),
        profile=dict(kernels=9000, busy_seconds=0.9 * seconds), load=None, process_memory=12e9,
        start=dict(seconds=3.0, graphs=32, graph_breaks=0),
    )  # fmt: skip


def test_a_profiler_that_does_not_work_costs_its_numbers_alone():
    class Refused:
        def ask(self, *_: Any) -> None:
            raise RuntimeError("CUPTI is not allowed")

    found = step_result("daformer", 0.04)
    found["profile"] = step.looked_into(Refused())
    assert found["profile"] == {"error": "RuntimeError: CUPTI is not allowed"}
    shown = content() | {"rows": {"ours": dict(part="step", state="done", result=found)}}
    assert "| 25.00 (20) | – | 12.0 GB | not measured | not measured |" in gpu_report.markdown(shown)


def content() -> dict[str, Any]:
    entries = {
        "ours": dict(part="step", state="done", result=step_result("daformer", 0.04)),
        "theirs": dict(part="step", state="done", result=step_result("daformer", 0.1, published=True)),
        "broken": dict(part="compile", state="failed", error="Traceback"),
        "run": dict(part="train", state="started", result=dict(iterations=0)),
    }
    return {"machine": {"hardware": "H200", "torch": "2.11"}, "rows": entries}


def test_steps_are_compared_with_the_published_one_and_with_the_goals():
    lines = gpu_report.markdown(content()).splitlines()
    assert lines[0] == "Measured on one H200 (torch 2.11)."
    (ours,) = (line for line in lines if line.startswith("| ours"))
    assert "| 25.00 (20) | 0.40 (0.4) | 12.0 GB | 9,000 | 90% | not measured | 100 | 13% |" in ours
    assert "3.0 s, 32 graphs, 0 breaks" in ours
    (theirs,) = (line for line in lines if line.startswith("| theirs"))
    assert "| 10.00 | 1.00 |" in theirs
    assert any(line.startswith("| broken | failed |") for line in lines)
    assert any(line.startswith("| run | not finished |") for line in lines)


def test_the_table_goes_into_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs/performance.md").read_text())
    for _ in range(2):
        gpu_report.write_page(page, content())
    text = page.read_text()
    assert text.count("Measured on one H200") == 1
    assert (
        text.split(gpu_report.START)[0]
        == (ROOT / "docs/performance.md").read_text().split(gpu_report.START)[0]
    )
