"""What the runner does before the first iteration."""

from importlib.metadata import version

import pytest
import torch
from toy_run import toy_config

from mmseg import apis
from mmseg.apis.training import build_runner
from mmseg.commands import train
from mmseg.engine import SegmentationRunner
from mmseg.engine.environment import environment
from mmseg.errors import ConfigError

LOADER = dict(batch_size=1, sampler=dict(type="DefaultSampler", shuffle=False))


def test_the_log_names_versions_without_importing_anything():
    report = environment()
    assert report["torch"] == version("torch") and report["torchvision"] == version("torchvision")
    assert "PyTorch built with" in report["torch build"]


class NotToBeCopied(list):
    """Stands for a data set with the names of many files."""

    def __init__(self, length: int) -> None:
        super().__init__(range(length))

    def __deepcopy__(self, memo: dict) -> None:
        pytest.fail("copied")


@pytest.mark.parametrize(
    ("options", "expected"), [(["--tf32"], (True, True)), (["--no-tf32"], (False, False)), ([], None)]
)
def test_tf32_is_what_the_command_says(options, expected, toy_data, tmp_path, monkeypatch):
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    before = tuple(backend.allow_tf32 for backend in backends)
    toy_config("dacs", toy_data, tmp_path).dump(tmp_path / "config.py")
    monkeypatch.setattr(apis, "train", build_runner)
    try:
        assert train.main([str(tmp_path / "config.py"), *options]) == 0
        assert tuple(backend.allow_tf32 for backend in backends) == (expected or before)
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


def test_a_data_set_is_built_once_and_not_copied():
    loader = SegmentationRunner.build_dataloader(dict(LOADER, dataset=dict(type=NotToBeCopied, length=3)), 0)
    assert len(loader.dataset) == 3


def test_a_misspelt_argument_of_a_data_set_is_explained():
    with pytest.raises(ConfigError, match="did you mean 'img_dir'"):
        SegmentationRunner.build_dataloader(dict(LOADER, dataset=dict(type="GTADataset", img_dri="images")))
