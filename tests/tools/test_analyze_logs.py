"""Curves and values of logs."""

import json
import math

import pytest
from matplotlib.figure import Figure
from toy_run import log_entries

from mmseg.errors import DataError
from mmseg.reports.curves import read_training_log
from tools import analyze_logs


def train(step, **values):
    return {"lr": 1e-3 / step, "time": 0.5, **values, "iter": step, "step": step}


def write(run_dir, start, lines):
    """A log as the runner writes it; strings go in as they are."""
    folder = run_dir / start / "vis_data"
    folder.mkdir(parents=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "scalars.json").write_text("\n".join(texts) + "\n")
    (folder / f"{start}.json").write_text("not to be read beside scalars.json")
    return run_dir


@pytest.fixture
def run(tmp_path):
    lines = [
        train(50, **{"decode.loss_seg": 2.0}),
        train(100, **{"decode.loss_seg": 1.0}),
        {"mIoU": 30.0, "aAcc": 80.0, "time": 9.0, "data_time": 8.0, "step": 100},
        {"IoU/road": 60.0, "IoU/train": math.nan, "step": 100},
        train(150, **{"decode.loss_seg": 1.5}),
        {"mIoU": 20.0, "step": 150},
    ]
    return write(tmp_path / "run", "20260101_000000", lines)


def test_values_by_iteration(run):
    log = read_training_log(run)
    assert log.name == "run" and not log.problems
    assert log.curves["decode.loss_seg"] == {50: 2.0, 100: 1.0, 150: 1.5}
    assert log.curves["mIoU"] == {100: 30.0, 150: 20.0} and log.curves["IoU.road"] == {100: 60.0}
    assert log.curves["time"] == {50: 0.5, 100: 0.5, 150: 0.5}, "evaluations have times of their own"
    assert not {"iter", "step", "data_time"} & set(log.curves)


def test_a_resumed_run_goes_on_from_its_checkpoint(run):
    """What followed the checkpoint of iteration 100 in the first part is not part of the run."""
    write(run, "20260102_000000", [train(120, **{"decode.loss_seg": 0.5}), {"mIoU": 50.0, "step": 120}])
    curves = read_training_log(run).curves
    assert curves["decode.loss_seg"] == {50: 2.0, 100: 1.0, 120: 0.5}
    assert curves["mIoU"] == {100: 30.0, 120: 50.0} and list(curves["mIoU"]) == [100, 120]
    write(run, "20260103_000000", [train(50, **{"decode.loss_seg": 3.0})])  # started anew
    assert read_training_log(run).curves["decode.loss_seg"] == {50: 3.0}
    write(run, "20260104_000000", [])  # killed before the first line
    assert read_training_log(run).curves["decode.loss_seg"] == {50: 3.0}


def test_a_half_written_line_costs_that_line(run):
    write(run, "20260102_000000", [train(200, loss=7.0), '{"lr": 0.001, "lo', train(250, loss=6.0)])
    log = read_training_log(run)
    assert log.curves["loss"] == {200: 7.0, 250: 6.0} and log.curves["mIoU"] == {100: 30.0, 150: 20.0}
    assert len(log.problems) == 1 and "20260102_000000" in log.problems[0] and "line 2" in log.problems[0]


def old_log(path, iteration_of_evaluation):
    lines = [
        {"env_info": "Python 3.8", "seed": 0, "exp_name": "x.json"},
        *({"mode": "train", "epoch": 1, "iter": i, "lr": 6e-5, "time": 1.0, "decode.acc_seg": 80 + i / 50}
          for i in (50, 100, 150)),
        {"mode": "val", "iter": iteration_of_evaluation, "lr": 6e-5, "mIoU": 0.5, "IoU.road": 0.9},
        {"mode": "train", "epoch": 1, "iter": 250, "lr": 6e-5, "time": 1.0, "decode.acc_seg": 85.0},
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, lines)))


@pytest.mark.parametrize("iteration_of_evaluation", [200, 500])
def test_logs_of_mmsegmentation_0(tmp_path, iteration_of_evaluation):
    """There, evaluations have the iteration or the number of images, and scores are fractions."""
    path = tmp_path / "old" / "20211108_162200.log.json"
    old_log(path, iteration_of_evaluation)
    for place in (path.parent, path):
        curves = read_training_log(place).curves
        assert curves["mIoU"] == {200: 50.0} and curves["IoU.road"] == {200: 90.0}
        assert curves["decode.acc_seg"] == {50: 81.0, 100: 82.0, 150: 83.0, 250: 85.0}
        assert list(curves["lr"]) == [50, 100, 150, 250]


def test_a_folder_without_log_is_explained(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        read_training_log(tmp_path / "nothing")
    with pytest.raises(DataError, match="no log found"):
        read_training_log(tmp_path)
    with pytest.raises(DataError, match=r"nothing is logged yet.*line 1"):
        read_training_log(write(tmp_path / "run", "20260101_000000", ['{"lr": 1']))


def test_a_real_run(uda_run):
    log = read_training_log(uda_run.work_dir)
    expected = [entry for entry in log_entries(uda_run.work_dir) if "iter" in entry]
    for name in ("lr", "decode.loss_seg", "mix.decode.loss_seg", "src.loss_imnet_feat_dist"):
        assert log.curves[name] == {entry["step"]: entry[name] for entry in expected}
    assert list(log.curves["mIoU"]) == list(log.curves["IoU.road"]) == [2, 4]


# --------------------------------------------------------------------------------------------------- the tool


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved."""
    found, save = [], Figure.savefig

    def recorded(self, path):
        found.append(self)
        save(self, path)

    monkeypatch.setattr(Figure, "savefig", recorded)
    return found


def rows(printed):
    """Cells of the table that is printed."""
    lines = [line for line in printed.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_table_and_picture_of_two_runs(run, tmp_path, figures, capsys):
    other = write(tmp_path / "other", "20260101_000000", [train(60, **{"decode.loss_seg": 0.25})])
    out = tmp_path / "new" / "curves.png"
    assert analyze_logs.main([str(run), str(other), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert rows(printed) == [
        ["run", "decode.loss_seg", "1.5", "150", "1", "100"],
        ["run", "mIoU", "20", "150", "30", "100"],
        ["run", "lr", "6.6667e-06", "150", "-", ""],
        ["other", "decode.loss_seg", "0.25", "60", "0.25", "60"],
        ["other", "lr", "1.6667e-05", "60", "-", ""],
    ]
    assert printed.splitlines()[-1] == str(out)
    assert out.read_bytes().startswith(b"\x89PNG")
    (figure,) = figures
    assert [axes.get_title() for axes in figure.axes] == ["decode.loss_seg", "mIoU", "lr"]
    drawn = [[line.get_xydata().tolist() for line in axes.lines] for axes in figure.axes[:2]]
    assert drawn == [
        [[[50, 2.0], [100, 1.0], [150, 1.5]], [[60, 0.25]]],
        [[[100, 30.0], [150, 20.0]], []],
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["run", "other"]


def test_keys_are_patterns(run, tmp_path, figures, capsys):
    arguments = [str(run), "--out", str(tmp_path / "x.png"), "--keys"]
    assert analyze_logs.main([*arguments, "IoU.*", "aAcc"]) == 0
    assert rows(capsys.readouterr().out) == [
        ["run", "IoU.road", "60", "100", "60", "100"],
        ["run", "IoU.train", "nan", "100", "-", ""],
        ["run", "aAcc", "80", "100", "80", "100"],
    ]
    assert analyze_logs.main([*arguments, "mIoU16"]) == 1
    message = capsys.readouterr().err
    assert "--keys mIoU16" in message and "decode.loss_seg" in message


def test_runs_without_log_do_not_hide_the_others(run, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    write(run, "20260102_000000", ['{"lr'])
    arguments = [str(tmp_path / "nothing"), str(empty), str(run), "--out", str(tmp_path / "x.png")]
    assert analyze_logs.main(arguments) == 0
    printed = capsys.readouterr()
    assert {row[0] for row in rows(printed.out)} == {"run"}
    warnings = printed.err.splitlines()
    assert [line.startswith("warning: ") for line in warnings] == [True] * 3
    assert "nothing: no such folder" in warnings[0] and "no log found" in warnings[1]
    assert "half a line" in warnings[2]
    assert analyze_logs.main(arguments[:2]) == 1
    assert "error: no log can be read" in capsys.readouterr().err


def test_runs_of_one_name_are_told_apart(run, tmp_path, capsys):
    same = write(tmp_path / "elsewhere" / "run", "20260101_000000", [train(60, loss=1.0)])
    assert analyze_logs.main([str(run), str(same), "--keys", "*loss*", "--out", str(tmp_path / "x.png")]) == 0
    assert "".join(row[0] for row in rows(capsys.readouterr().out)) == f"run{same}"
