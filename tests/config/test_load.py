"""From a file to a config."""

from mmengine.config import Config
from toy_run import QUICKSTART

from mmseg.config.load import load_config


def test_a_config_is_written_as_python_without_being_laid_out(monkeypatch):
    """Which takes some tenths of a second, several times a run."""
    monkeypatch.setattr("yapf.yapflib.yapf_api.FormatCode", None)
    cfg = load_config(QUICKSTART / "daformer.py")
    written = Config.fromstring(cfg.pretty_text, ".py")
    assert written.to_dict() == cfg.to_dict() and written.uda.type == "DACS"
