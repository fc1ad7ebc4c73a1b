"""Whole runs on a GPU: deterministic, resumed elsewhere, in a group of one process, from pinned memory."""

import os
import subprocess
import sys

import pytest
import torch
from toy_run import ROOT, log_entries, run_training, toy_config, uda_config, weights, write_config

from mmseg.checkpoints.weights import read_checkpoint
from mmseg.engine.runner import SegmentationRunner
from mmseg.models.data_preprocessor import SegDataPreprocessor

pytestmark = pytest.mark.gpu
WITHOUT_GPU = {"CUDA_VISIBLE_DEVICES": ""}
PLAIN = {"model.decode_head.dropout_ratio": 0.0}  # generators of CPU and GPU draw differently
LONGER = PLAIN | {"train_cfg.max_iters": 6}


def train(config, *words, environment=None, launcher=()):
    """The command, in a process of its own."""
    command = [sys.executable, *launcher, str(ROOT / "tools/train.py"), str(config), *words]
    variables = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
        **(environment or {}),
    }
    done = subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


def test_a_deterministic_run_repeats_bit_by_bit(toy_data, tmp_path):
    runs = [
        write_config(uda_config(toy_data, tmp_path / name), tmp_path / name / "c.py")
        for name in ("one", "two")
    ]
    for config in runs:
        train(config, "--deterministic")
    first, second = (weights(tmp_path / name / "iter_4.pth") for name in ("one", "two"))
    assert not [name for name in first if not torch.equal(first[name], second[name])]


@pytest.mark.parametrize("first", ["gpu", "cpu"])
def test_a_checkpoint_of_one_device_goes_on_on_the_other(first, toy_data, tmp_path):
    """Weights, moments of the optimizer, schedule and iteration; as a run that stays where it is."""
    places = [{}, WITHOUT_GPU] if first == "gpu" else [WITHOUT_GPU, {}]
    config = write_config(uda_config(toy_data, tmp_path / "run", PLAIN), tmp_path / "c.py")
    longer = write_config(uda_config(toy_data, tmp_path / "run", LONGER), tmp_path / "d.py")
    train(config, environment=places[0])
    before = read_checkpoint(tmp_path / "run" / "iter_4.pth")
    train(longer, "--resume", environment=places[1])
    after = read_checkpoint(tmp_path / "run" / "iter_6.pth")
    moments = [checkpoint["optimizer"]["state"] for checkpoint in (before, after)]
    assert moments[0].keys() == moments[1].keys()
    assert {int(state["step"]) for state in moments[1].values()} == {6}
    assert all(
        torch.isfinite(value).all() for value in after["state_dict"].values() if value.is_floating_point()
    )
    stayed = write_config(uda_config(toy_data, tmp_path / "stayed", LONGER), tmp_path / "e.py")
    train(stayed, environment=WITHOUT_GPU)
    found, expected = (log_entries(tmp_path / name) for name in ("run", "stayed"))
    last = [[line for line in lines if "decode.loss_seg" in line][-1] for lines in (found, expected)]
    assert last[0]["decode.loss_seg"] == pytest.approx(last[1]["decode.loss_seg"], rel=0.1)


def test_a_group_of_one_process_trains_as_no_group(toy_data, tmp_path):
    """NCCL is started and left; nothing is exchanged, and the numbers are the same."""
    for name in ("alone", "group"):
        write_config(toy_config("source_only", toy_data, tmp_path / name), tmp_path / f"{name}.py")
    train(tmp_path / "alone.py")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1")
    train(tmp_path / "group.py", "--launcher", "pytorch", launcher=launcher)
    lines = [
        [x for x in log_entries(tmp_path / name) if "decode.loss_seg" in x] for name in ("alone", "group")
    ]
    for found, expected in zip(*lines, strict=True):
        assert found["decode.loss_seg"] == pytest.approx(expected["decode.loss_seg"], rel=1e-3)


def test_nccl_averages_over_its_group(tmp_path):
    """What steps exchange: gradients of all sizes in one reduction, flags, sums without gradients."""
    import torch.distributed as dist
    from mmengine.dist.dist import _all_reduce_coalesced

    dist.init_process_group("nccl", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        tensors = [torch.ones(3, device="cuda"), torch.ones(2, 2, device="cuda")]
        dist.all_reduce(tensors[0])
        _all_reduce_coalesced(tensors, op="sum")
        assert all(torch.equal(tensor, torch.ones_like(tensor)) for tensor in tensors)
    finally:
        dist.destroy_process_group()


def test_images_travel_as_bytes_from_pinned_memory(toy_data, tmp_path):
    loader = dict(uda_config(toy_data, tmp_path).train_dataloader, pin_memory=True)
    batch = next(iter(SegmentationRunner.build_dataloader(loader)))
    assert batch["img"].dtype == torch.uint8 and batch["img"].is_pinned() and batch["target_img"].is_pinned()
    preprocessor = SegDataPreprocessor().cuda()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        moved = preprocessor(batch, training=True)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert moved["img"].is_cuda and moved["img"].dtype == torch.float32
    expected = SegDataPreprocessor()(batch, training=True)
    torch.testing.assert_close(moved["img"].cpu(), expected["img"])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_run_in_half_precision_ends_with_scores(precision, toy_data, tmp_path):
    cfg = uda_config(toy_data, tmp_path, {"optim_wrapper.precision": precision})
    run = run_training(cfg)
    assert next(run.model.parameters()).is_cuda and next(run.model.parameters()).dtype == torch.float32
    if precision == "fp16":
        assert read_checkpoint(run.checkpoint)["optimizer"]["loss_scaler"]["scale"] > 0
    assert (tmp_path / "results.json").is_file()
