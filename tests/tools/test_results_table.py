"""Scores over seeds."""

import csv
import io
import json

import pytest
from mmengine.config import Config
from toy_run import ROOT

import experiments
from mmseg.errors import DataError
from mmseg.experiments.paper_results import DAFORMER as DAFORMER_PAPER
from mmseg.experiments.paper_results import HRDA, MIC, PAPER_RESULTS, paper_results
from mmseg.reports.collect import collect_results, read_result
from mmseg.reports.table import Group, group_by_name, summarize, table_rows, to_latex, to_markdown
from tools import results_table

DAFORMER = "gta2cs_dacs_a999_fdthings_rcs001_cpl_daformer_sepaspp_mitb5_poly10warm"
MIOUS = (68.0, 68.5, 69.1)
MEAN, STD = 68.533333, 0.550757  # by hand: deviations -8/15, -1/30, 17/30; squares 91/150; halved 91/300


def write_run(run_dir, scores, iteration=40000, config=True, seed=0, name=None):
    """The folder of a run: config and scores."""
    run_dir.mkdir(parents=True)
    if config:
        lines = [f"train_cfg = dict(max_iters=40000)\nrandomness = dict(seed={seed})\n"]
        lines += [f"name = {name!r}\n"] if name else []
        (run_dir / "config.py").write_text("".join(lines))
    text = scores if isinstance(scores, str) else json.dumps({"iteration": iteration, **scores})
    (run_dir / "results.json").write_text(text)
    return run_dir


def unique(name, seed, minute=0, number="0a1b2"):
    return f"260101_12{minute:02d}_{name}_s{seed}_{number}"


def seeds(folder, values=MIOUS, name=DAFORMER, **more):
    """Runs of one name, a seed for each value."""
    return [
        write_run(folder / unique(name, seed), {"mIoU": value, **more}, seed=seed, name=unique(name, seed))
        for seed, value in enumerate(values)
    ]


def tables(capsys):
    """Cells of the table that is printed."""
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


# ----------------------------------------------------------------------------------------- mean and deviation


def test_mean_and_sample_deviation(tmp_path):
    results, problems = collect_results(seeds(tmp_path))
    (group,), left_out = group_by_name(results)
    assert not problems and not left_out
    assert group.name == DAFORMER and [run.seed for run in group.runs] == [0, 1, 2]
    summary = summarize(group, "mIoU")
    assert summary.mean == pytest.approx(MEAN, abs=1e-6) and summary.std == pytest.approx(STD, abs=1e-6)
    assert (summary.n, summary.text(3)) == (3, "68.53 ± 0.55")


def test_a_single_run_has_no_deviation(tmp_path):
    (group,), _ = group_by_name(collect_results(seeds(tmp_path, [68.0]))[0])
    summary = summarize(group, "mIoU")
    assert (summary.mean, summary.std, summary.text(1)) == (68.0, None, "68.00")
    assert summarize(group, "mIoU16") is None and summarize(Group("nothing"), "mIoU") is None


def test_a_class_that_some_seeds_do_not_have(tmp_path):
    for seed, train in enumerate((40.0, None, 50.0)):
        scores = {"mIoU": 60.0, "IoU.road": 90.0 + seed, "IoU.train": train, "Acc.road": 1.0}
        write_run(tmp_path / unique("a", seed), scores, seed=seed)
    groups, _ = group_by_name(collect_results(sorted(tmp_path.iterdir()))[0])
    header, row = table_rows(groups, per_class=True)
    assert header == ["run", "n", "mIoU", "road", "train"], "no paper reports it"
    assert row == ["a", "3", "60.00 ± 0.00", "91.00 ± 1.00", "45.00 ± 7.07 (n=2)"]
    assert to_markdown([header]).splitlines()[1] == "| --- | ---: | ---: | ---: | ---: |"


# -------------------------------------------------------------------------------------------- names and seeds


@pytest.mark.parametrize(
    ("folder", "name", "seed", "expected"),
    [
        (unique("a_b", 2), unique("a_b", 2), 2, ("a_b", 2)),
        ("mine", "gtaHR2csHR_hrda_s1", 5, ("gtaHR2csHR_hrda", 5)),  # started with --seed 5
        ("toy_s7", None, 7, ("toy", 7)),
        ("toy", None, 3, ("toy", 3)),
    ],
)
def test_names_and_seeds(folder, name, seed, expected, tmp_path):
    result = read_result(write_run(tmp_path / folder, {"mIoU": 1.0}, seed=seed, name=name))
    assert (result.name, result.seed) == expected


def test_scores_without_config_are_named_by_their_folder(tmp_path):
    result = read_result(write_run(tmp_path / unique("a", 4), {"mIoU": 1.0}, config=False))
    assert (result.name, result.seed) == ("a", 4)


def test_a_real_run(source_run):
    result = read_result(source_run.work_dir)
    assert result.seed == 0 and result.name == source_run.work_dir.name
    written = json.loads((source_run.work_dir / "results.json").read_text())
    assert result.scores["mIoU"] == written["mIoU"] and len(result.classes) == 19


def test_of_a_repeated_run_the_last_counts(tmp_path):
    old = write_run(tmp_path / unique("a", 0, minute=1), {"mIoU": 10.0})
    new = write_run(tmp_path / unique("a", 0, minute=2), {"mIoU": 20.0})
    for order in ([old, new], [new, old]):
        (group,), (message,) = group_by_name(collect_results(order)[0])
        assert [run.run_dir for run in group.runs] == [new]
        assert message == f"{old}: left out, {new} has the same name and seed"


# ------------------------------------------------------------------------------------------- damaged and open


@pytest.mark.parametrize(
    ("scores", "iteration", "message"),
    [
        ({"mIoU": 1.0}, 36000, "not finished, its last evaluation is at 36000 of 40000"),
        ('{"iteration": 40000, "mI', None, "expected scores as JSON"),
        ("[]", None, "expected scores as JSON"),
        ({}, 40000, "expected scores by name, found none"),
    ],
)
def test_what_is_no_result_is_explained(scores, iteration, message, tmp_path):
    run_dir = write_run(tmp_path / "run", scores, iteration)
    with pytest.raises(DataError, match="run") as error:
        read_result(run_dir)
    assert message in str(error.value)


def test_a_metric_of_the_users_own_alone(tmp_path):
    for seed in range(2):
        write_run(tmp_path / unique("a", seed), {"own/labelled": 90.0 + seed}, seed=seed)
    groups, _ = group_by_name(collect_results(sorted(tmp_path.iterdir()))[0])
    header, row = table_rows(groups)
    assert header == ["run", "n", "own/labelled"]
    assert row == ["a", "2", "90.50 ± 0.71"]


def test_scores_of_a_test_have_no_iteration(tmp_path):
    assert read_result(write_run(tmp_path / "run", {"mIoU": 5.0}, iteration=None)).scores["mIoU"] == 5.0


def test_other_runs_are_still_shown(tmp_path, capsys):
    good = seeds(tmp_path / "good")
    other = write_run(tmp_path / unique(DAFORMER, 3), {"mIoU": 1.0, "IoU.lane": 2.0}, seed=3)
    empty = tmp_path / "empty"
    empty.mkdir()
    damaged = write_run(tmp_path / "damaged", "{")
    arguments = [str(path) for path in (tmp_path / "nothing", empty, damaged, *good, other)]
    assert results_table.main([*arguments, "--format", "markdown"]) == 0
    printed = capsys.readouterr()
    assert "| 3 | 68.53 ± 0.55 | 68.3 |" in printed.out
    warnings = printed.err.splitlines()
    assert [line.startswith("warning: ") for line in warnings] == [True] * 4
    assert "no such folder" in warnings[0] and "results.json is missing" in warnings[1]
    assert "expected scores as JSON" in warnings[2]
    assert str(other) in warnings[3] and "['lane']" in warnings[3]
    assert results_table.main(arguments[:3]) == 1
    assert "error: none of " in capsys.readouterr().err


def test_runs_of_different_classes_side_by_side(tmp_path, capsys):
    write_run(tmp_path / "a", {"mIoU": 1.0, "IoU.road": 2.0, "IoU.car": 3.0})
    write_run(tmp_path / "b", {"mIoU": 4.0, "IoU.lane": 5.0, "IoU.road": 6.0})
    arguments = [str(tmp_path / "a"), str(tmp_path / "b"), "--per-class"]
    assert results_table.main([*arguments, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    columns = ("mIoU", "IoU.road", "IoU.car", "IoU.lane")
    assert [[row[name] for name in columns] for row in rows] == [
        ["1.0", "2.0", "3.0", ""],
        ["4.0", "6.0", "", "5.0"],
    ]
    assert results_table.main(arguments) == 0
    assert tables(capsys) == [  # in the terminal a run is a column
        ["n", "1", "1"],
        ["mIoU", "1.00", "4.00"],
        ["road", "2.00", "6.00"],
        ["car", "3.00", "-"],
        ["lane", "-", "5.00"],
    ]


# ------------------------------------------------------------------------------------------------- the papers


def test_every_score_of_a_paper_belongs_to_a_run():
    known = {run.row.name for exp_id in experiments.EXPERIMENTS for run in experiments.runs(exp_id)}
    for folder in ("daformer", "hrda", "mic"):
        for path in (ROOT / "configs" / folder).glob("*.py"):
            known.add(Config.fromfile(path).get("name", "").rsplit("_s", 1)[0])
    names = [(name, result.score) for result in PAPER_RESULTS for name in result.runs]
    assert {name for name, _ in names} <= known and len(set(names)) == len(names)
    assert sum(result.paper in (DAFORMER_PAPER, HRDA, MIC) for result in PAPER_RESULTS) == 10


def test_scores_of_the_papers_stand_at_the_right_pair():
    expected = {
        6: {68.3}, 7: {60.9}, 40: {73.8, 65.8}, 49: {68.0, 55.9}, 80: {75.9, 67.3, 70.4, 60.2},
    }  # fmt: skip
    for exp_id, values in expected.items():
        rows = {run.row.name: run.row for run in experiments.runs(exp_id)}
        found = {name: result for name in rows for result in paper_results(name)}
        assert {result.value for result in found.values()} == values
        for name, result in found.items():
            synthia = rows[name].source.startswith("synthia")
            assert result.score == ("mIoU16" if synthia else "mIoU")
            is_test = rows[name].target in ("acdcHR", "darkzurichHR")
            assert result.evaluated_on.endswith("test" if is_test else "validation")
    page = (ROOT / "docs" / "tools.md").read_text()
    for method in ("DAFormer", "HRDA", "MIC"):
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {method}") and "ID" in line]
        shown = [float(cell) for cell in row.strip("| ").split("|")[1:] if cell.strip()]
        assert shown == [result.value for result in PAPER_RESULTS if result.paper.startswith(method)]
    oracle = DAFORMER.replace("dacs_a999_fdthings_rcs001_cpl", "target-only")
    assert paper_results(oracle) == []


def test_a_run_may_have_several_scores_of_papers(tmp_path, capsys):
    run_dirs = [str(path) for path in seeds(tmp_path, [38.0, 39.0], "syn2cs_advent_dlv2_r101", mIoU13=45.0)]
    assert results_table.main([*run_dirs, "--format", "markdown"]) == 0
    assert "| 40.8 (mIoU16), 47.6 (mIoU13) | ADVENT (Vu et al., CVPR 2019); Citys" in capsys.readouterr().out
    assert results_table.main([*run_dirs, "--format", "csv"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["paper"], row["paper_score"]) == ("40.8 47.6", "mIoU16 mIoU13")
    assert row["paper_source"].count("ADVENT") == 1


# ---------------------------------------------------------------------------------------------------- formats


def test_csv_has_full_precision(tmp_path, capsys):
    run_dirs = seeds(tmp_path)
    out = tmp_path / "table.csv"
    assert results_table.main([*map(str, run_dirs), "--format", "csv", "--out", str(out)]) == 0
    assert capsys.readouterr().out == ""
    (row,) = csv.DictReader(io.StringIO(out.read_text()))
    assert (row["run"], row["n"], row["seeds"], row["mIoU_n"]) == (DAFORMER, "3", "0 1 2", "3")
    assert float(row["mIoU"]) == sum(MIOUS) / 3 and float(row["mIoU_std"]) == pytest.approx(STD, abs=1e-6)
    assert (row["paper"], row["paper_score"]) == ("68.3", "mIoU") and "CVPR 2022" in row["paper_source"]
    assert row["run_dirs"].split() == [str(path) for path in run_dirs]


def test_markdown_and_latex(tmp_path, capsys):
    synthia = DAFORMER.replace("gta", "syn")
    run_dirs = [str(path) for path in seeds(tmp_path, [50.0, 52.0], synthia, mIoU16=60.0)]
    assert results_table.main([*run_dirs, "--format", "markdown"]) == 0
    source = "DAFormer (Hoyer et al., CVPR 2022); Cityscapes validation"
    assert capsys.readouterr().out == (
        "| run | n | mIoU | mIoU16 | paper | paper's source |\n"
        "| --- | ---: | ---: | ---: | ---: | --- |\n"
        f"| {synthia} | 2 | 51.00 ± 1.41 | 60.00 ± 0.00 | 60.9 (mIoU16) | {source} |\n"
    )
    assert results_table.main([*run_dirs, "--format", "latex"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[-1]) == (r"\begin{tabular}{lrrrrl}", r"\end{tabular}")
    assert lines[4] == " & ".join([
        synthia.replace("_", r"\_"), "2", r"51.00 $\pm$ 1.41", r"60.00 $\pm$ 0.00", "60.9 (mIoU16)", source,
    ]) + r" \\"  # fmt: skip
    assert r"a\&b \textbackslash{}x \{\}" in to_latex([["run", "n", "s"], [r"a&b \x {}", "1", ""]])


def test_all_runs_of_an_experiment(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = list(dict.fromkeys(run.row.name for run in experiments.runs(40)))
    seeds(tmp_path / "work_dirs" / "local-exp40", [70.0, 72.0], rows[1])
    monkeypatch.setenv("COLUMNS", "300")
    assert results_table.main(["--exp", "40"]) == 0
    first, second = tables(capsys)
    assert first[:4] == [rows[0], "0", "-", "73.8"]
    assert second[:4] == [rows[1], "2", "71.00 ± 1.41", "65.8 (mIoU16)"]
    assert results_table.main(["--exp", "9"]) == 1
    assert "--exp 9" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["a", "--exp", "40"]])
def test_either_folders_or_experiments(arguments, capsys):
    with pytest.raises(SystemExit):
        results_table.main(arguments)
    assert "--exp ID" in capsys.readouterr().err
