"""What the runner does before the first iteration."""

import gc
from importlib.metadata import version

import pytest
from mmengine.config import Config

from mmseg.config.load import RunConfig
from mmseg.engine import SegmentationRunner
from mmseg.engine.environment import environment
from mmseg.errors import ConfigError
from mmseg.garbage import no_garbage_collection

LOADER = dict(batch_size=1, sampler=dict(type="DefaultSampler", shuffle=False))


def test_the_log_names_versions_without_importing_anything():
    report = environment()
    assert report["torch"] == version("torch") and report["torchvision"] == version("torchvision")
    assert "PyTorch built with" in report["torch build"]


class NotToBeCopied(list):
    """Stands for a data set with the names of many files."""

    def __init__(self, length: int) -> None:
        super().__init__(range(length))
        self.collected = gc.isenabled()

    def __deepcopy__(self, memo: dict) -> None:
        pytest.fail("copied")


def test_a_data_set_is_built_once_and_not_copied():
    loader = SegmentationRunner.build_dataloader(dict(LOADER, dataset=dict(type=NotToBeCopied, length=3)), 0)
    assert len(loader.dataset) == 3 and not loader.dataset.collected and gc.isenabled()


def test_a_misspelt_argument_of_a_data_set_is_explained():
    with pytest.raises(ConfigError, match="did you mean 'img_dir'"):
        SegmentationRunner.build_dataloader(dict(LOADER, dataset=dict(type="GTADataset", img_dri="images")))


def test_garbage_collection_is_as_before():
    with pytest.raises(ValueError), no_garbage_collection():
        assert not gc.isenabled()
        raise ValueError
    assert gc.isenabled()


def test_a_config_is_laid_out_again_only_after_a_change(monkeypatch):
    laid_out = []

    def layout(text: str, **_) -> tuple[str, bool]:
        laid_out.append(text)
        return text, False

    monkeypatch.setattr("yapf.yapflib.yapf_api.FormatCode", layout)
    original = Config(dict(a=dict(b=1)))
    cfg = RunConfig.of(original)
    assert cfg.pretty_text == cfg.pretty_text == cfg.dump() and len(laid_out) == 1
    assert cfg.pretty_text == original.pretty_text
    cfg.a.b = 2
    assert "b=2" in cfg.pretty_text and "b=1" in original.pretty_text
