"""Several processes of one run (gloo, CPU) do what one process does with the batches of all."""

import json
import socket
import subprocess
import sys

import pytest
import torch
from toy_run import ROOT, log_entries, run_training, toy_config, uda_config, write_config

from mmseg.models.pretrained import read_checkpoint

# Statistics over a batch would differ between one batch of two and two batches of one image.
WITHOUT_BATCH_STATISTICS = {
    "model.decode_head.norm_cfg": dict(type="GN", num_groups=4),
    "model.decode_head.decoder_params.fusion_cfg.norm_cfg": dict(type="GN", num_groups=4),
    "model.decode_head.dropout_ratio": 0.0,
    "train_cfg.max_iters": 3,
    "train_cfg.val_interval": 3,
    "default_hooks.checkpoint.interval": 3,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def train(config, processes=1, *options):
    """Train from the command line; several processes as torchrun starts them."""
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", f"--nproc_per_node={processes}"]
        command += [f"--master_port={free_port()}"]
    command += ["tools/train.py", str(config), *options]
    if processes > 1:
        command += ["--launcher", "pytorch"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def assert_close(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if value.is_floating_point():
            torch.testing.assert_close(found[name], value, rtol=tolerance, atol=tolerance, msg=name)


MASKING = dict(
    mask_mode="separatetrgaug", mask_alpha=0.5, mask_generator=dict(mask_ratio=0.7, mask_block_size=16)
)


@pytest.fixture(scope="module")
def start(toy_data, tmp_path_factory):
    """Weights unlike those of the frozen encoder: at distance 0 the gradient of a norm is noise."""
    work_dir = tmp_path_factory.mktemp("start")
    return run_training(toy_config("source_only", toy_data, work_dir, WITHOUT_BATCH_STATISTICS)).checkpoint


def config_of(name, data, work_dir, options, start):
    if name == "source_only":
        return toy_config(name, data, work_dir, options)
    options = options | {"uda.pseudo_threshold": 0.06, "load_from": str(start)}
    if name == "mic":
        options["uda.masking"] = MASKING
    return uda_config(data, work_dir, options)


@pytest.mark.parametrize("name", ["source_only", "daformer", "mic"])
def test_two_processes_of_one_sample_equal_one_process_of_two(name, start, toy_data, tmp_path):
    """DAFormer and MIC with jitter, blur, ClassMix, confidence weight and feature distance."""
    runs = []
    for processes in (1, 2):
        options = WITHOUT_BATCH_STATISTICS | {"train_dataloader.batch_size": 2 // processes}
        work_dir = tmp_path / str(processes)
        cfg = config_of(name, toy_data, work_dir, options, start)
        train(write_config(cfg, tmp_path / f"config{processes}" / "config.py"), processes)
        runs.append(work_dir)
    one, two = (read_checkpoint(work_dir / "iter_3.pth") for work_dir in runs)
    # the gradient of the keys' biases is 0 but for rounding, which Adam magnifies
    assert_close(two["state_dict"], one["state_dict"], 5e-5)
    for number, state in one["optimizer"]["state"].items():
        assert_close(two["optimizer"]["state"][number], state, 5e-5)
    for found, expected in zip(*(training_lines(work_dir) for work_dir in reversed(runs)), strict=True):
        losses = {key: value for key, value in expected.items() if "loss" in key}
        assert {key: found[key] for key in losses} == pytest.approx(losses, rel=1e-4)
    scores = [json.loads((work_dir / "results.json").read_text()) for work_dir in runs]
    assert scores[0].keys() == scores[1].keys()
    for metric, value in scores[0].items():
        assert scores[1][metric] == (value if value is None else pytest.approx(value, abs=0.05)), metric


def training_lines(work_dir):
    return [line for line in log_entries(work_dir) if "lr" in line]
