"""What the runner does before the first iteration."""

from importlib.metadata import version

import pytest

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


def test_a_data_set_is_built_once_and_not_copied():
    loader = SegmentationRunner.build_dataloader(dict(LOADER, dataset=dict(type=NotToBeCopied, length=3)), 0)
    assert len(loader.dataset) == 3


def test_a_misspelt_argument_of_a_data_set_is_explained():
    with pytest.raises(ConfigError, match="did you mean 'img_dir'"):
        SegmentationRunner.build_dataloader(dict(LOADER, dataset=dict(type="GTADataset", img_dri="images")))
