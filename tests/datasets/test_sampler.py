"""Positions of each process, and the data loader that the runner builds with them."""

from itertools import chain, islice

import mmengine
import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator

from mmseg.datasets import PositionSampler, seg_collate
from mmseg.datasets.sampling import position_sampler as sampler
from mmseg.registry import DATASETS


@DATASETS.register_module()
class PositionDataset(torch.utils.data.Dataset):
    """Sample i is the number i."""

    def __len__(self):
        return 5

    def __getitem__(self, position):
        return {"position": torch.tensor(position), "img_metas": {"position": position}}


def sampler_of_rank(monkeypatch, rank, world_size):
    monkeypatch.setattr(sampler, "get_dist_info", lambda: (rank, world_size))
    return PositionSampler(PositionDataset(), seed=1)


def test_positions_of_processes_are_disjoint_and_complete(monkeypatch):
    positions = [list(islice(sampler_of_rank(monkeypatch, rank, 3), 10)) for rank in range(3)]
    assert positions[1][:3] == [1, 4, 7]
    assert sorted(chain.from_iterable(positions)) == list(range(30))


def test_skip_continues_where_the_run_stopped(monkeypatch):
    resumed = sampler_of_rank(monkeypatch, 1, 2)
    resumed.skip(40000)
    assert list(islice(resumed, 2)) == [80001, 80003]
    with pytest.raises(ValueError, match="-1"):
        resumed.skip(-1)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_runner_builds_and_resumes_the_loader(num_workers):
    cfg = dict(
        dataset=dict(type="PositionDataset"),
        sampler=dict(type="PositionSampler"),
        collate_fn=dict(type="seg_collate"),
        batch_size=2,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
    )
    with DefaultScope.overwrite_default_scope("mmseg"):
        loader = Runner.build_dataloader(cfg, seed=0)
    iterator = _InfiniteDataloaderIterator(loader)
    assert [next(iterator)["position"].tolist() for _ in range(4)] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    iterator = _InfiniteDataloaderIterator(loader)
    iterator.skip_iter(100)
    batch = next(iterator)
    assert batch["position"].tolist() == [200, 201]
    assert batch["img_metas"] == [{"position": 200}, {"position": 201}]


def test_collate_is_found_by_name():
    assert mmengine.registry.FUNCTIONS.get("seg_collate") is seg_collate
