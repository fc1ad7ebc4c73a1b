"""Files that cannot be written: the rest goes on where it can, and a message names the file."""

import errno
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from toy_run import toy_config

from mmseg.apis.training import build_runner
from mmseg.checkpoints.atomic import write_text
from mmseg.cli import command
from mmseg.engine.hooks import predictions, results
from mmseg.errors import ConfigError, DataError


def refuse(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def runner():
    """What the hooks ask of one."""
    dataset = SimpleNamespace(img_dir=Path("images"))
    metric = SimpleNamespace(confusion=torch.zeros(2, 3, dtype=torch.int64))
    evaluator = SimpleNamespace(metrics=[metric], dataset_meta=dict(classes=("a", "b")))
    return SimpleNamespace(test_dataloader=SimpleNamespace(dataset=dataset), test_evaluator=evaluator)


def outputs(name):
    return [dict(img_path=f"images/{name}.png", pred=torch.zeros(4, 4, dtype=torch.long))]


def test_archive_of_predictions_on_a_full_disk(runner, tmp_path, monkeypatch):
    hook = predictions.PredictionArchiveHook(str(tmp_path / "x.npz"))
    hook.before_test(runner)
    hook.after_test_iter(runner, 0, outputs=outputs("a"))
    monkeypatch.setattr(predictions.np.lib.format, "write_array", refuse)
    for name in ("b", "c"):
        hook.after_test_iter(runner, 1, outputs=outputs(name))  # the scores are still computed
    with pytest.raises(DataError, match=r"--out .*x\.npz: cannot be written .No space left on device"):
        hook.after_test(runner)
    assert not list(tmp_path.iterdir())


def test_archive_in_a_folder_that_is_a_file(runner, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"--out .*file/x\.npz: cannot be written"):
        predictions.PredictionArchiveHook(str(tmp_path / "file" / "x.npz")).before_test(runner)


def test_confusion_matrix_on_a_full_disk(runner, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "draw_confusion_matrix", refuse)
    with pytest.raises(DataError, match=r"--confusion-matrix .*: cannot be written .No space"):
        results.ConfusionMatrixHook(str(tmp_path)).after_test_epoch(runner)


def test_folder_of_a_run_that_is_a_file(toy_data, tmp_path):
    (tmp_path / "file").touch()
    for work_dir in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(ConfigError, match=r"the folder of the run cannot be written to .* --work-dir"):
            build_runner(toy_config("source_only", toy_data, work_dir))


def test_commands_name_the_file(tmp_path, monkeypatch, capsys):
    path = tmp_path / "x.json"
    monkeypatch.setattr(Path, "write_text", refuse)
    assert command(lambda: write_text(path, "{}"))() == 1
    assert capsys.readouterr().err == (
        f"error: {path}: cannot be written (No space left on device); make room, or name another folder\n"
    )


def test_commands_keep_other_errors():
    def main():
        raise FileNotFoundError(errno.ENOENT, "No such file", "x")

    with pytest.raises(FileNotFoundError):
        command(main)()
