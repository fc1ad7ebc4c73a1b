"""The benchmark of a training step: ours and the published one compute the same; operations; commands."""

import json
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import machine, step
from benchmarks.operations import Operations, counted
from benchmarks.step_case import METHODS, StepCase, batch_of, config_of
from benchmarks.step_process import StepRun
from benchmarks.step_program import build_program

CASES = {
    "daformer": StepCase("daformer", "mit_b0", crop=64),
    "mic_hrda": StepCase("mic_hrda", "mit_b0", crop=128),
}
TOLERANCES = [(1e-5, 1e-2), (5e-4, 5e-2)]
"""Of losses and of whole gradients, for both steps (relative)."""
TINY = ["--backbone", "mit_b0", "--crop", "64", "--batch", "2", "--threads", "1"]


@dataclass
class Made:
    """What a step left behind."""

    losses: dict[str, float]
    operations: Operations
    gradients: dict[str, Tensor]
    state: dict[str, Tensor]


@cache
def two_steps(case: StepCase) -> list[Made]:
    """Two steps without dropout from the same weights."""
    program, steps = build_program(case), []
    program.drop_rates.switch(on=False)
    student = program.method.model
    for _ in range(2):
        with counted(program.method, program.optimizer) as operations:
            log = program.step()
        gradients = {name: p.grad.clone() for name, p in student.named_parameters() if p.grad is not None}
        state = {name: value.clone() for name, value in program.method.state_dict().items()}
        steps.append(Made({name: float(v) for name, v in log.items()}, operations, gradients, state))
    return steps


def both(name: str) -> tuple[list[Made], list[Made]]:
    """Steps of ours and of the published organisation."""
    case = CASES[name]
    return two_steps(case), two_steps(replace(case, published=True))


# ------------------------------------------------------------------------------------------------ equality


@pytest.mark.parametrize("name", CASES)
def test_both_organisations_compute_the_same(name):
    for ours, published, (loss_rtol, grad_rtol) in zip(*both(name), TOLERANCES, strict=True):
        assert ours.losses.keys() - {"trusted"} == published.losses.keys()
        for key, value in published.losses.items():
            if "loss" in key:
                assert value > 1e-3  # a loss of 0 would prove nothing
                assert ours.losses[key] == pytest.approx(value, rel=loss_rtol), key
            else:
                assert ours.losses[key] == pytest.approx(value, abs=0.05), key
        check_close(ours.gradients, published.gradients, grad_rtol)
        check_close(ours.state, published.state, 5e-3)


def check_close(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], rtol: float) -> None:
    """Compare tensors by the norm of their difference; gradients that are 0 but for rounding do not count."""
    assert found.keys() == expected.keys()
    largest = max(value.double().norm() for value in expected.values())
    for name, value in expected.items():
        difference = (found[name].double() - value.double()).norm()
        assert difference <= rtol * value.double().norm() + 1e-6 * largest, name


# ------------------------------------------------------------------------------------------------ operations

# host reads on a CPU: two offsets of each detail crop, which the host draws for itself
OURS = {
    "daformer": dict(backward_passes=2, encoder_passes=4, encoded_images=8, host_reads=0),
    "mic_hrda": dict(backward_passes=3, encoder_passes=6, encoded_images=34, host_reads=6),
}
PUBLISHED = {
    "daformer": dict(backward_passes=3, encoder_passes=4, encoded_images=8, optimizer_groups=630),
    "mic_hrda": dict(backward_passes=4, encoder_passes=9, encoded_images=34, optimizer_groups=669),
}
KERNELS = {
    "daformer": 0.5,
    "mic_hrda": 0.5,
}  # on a CPU, the norm of the gradients takes one for each parameter
"""At most so many operations of ours for one of the published step."""


@pytest.mark.parametrize("name", CASES)
def test_operations_of_a_step(name):
    for ours, published in zip(*both(name), strict=True):
        found = ours.operations
        for key, limit in OURS[name].items():
            assert getattr(found, key) <= limit, key
        assert found.host_copies == 0
        assert found.optimizer_groups == 3
        assert found.optimizer_tensors == len(ours.gradients)
        assert found.kernels <= KERNELS[name] * published.operations.kernels
        assert found.flops <= published.operations.flops


@pytest.mark.parametrize("name", CASES)
def test_operations_of_the_published_step(name):
    for made in both(name)[1]:
        for key, value in PUBLISHED[name].items():
            assert getattr(made.operations, key) == value, key
        assert made.operations.host_reads >= len(made.losses)
        assert made.operations.host_copies == 1
        assert made.operations.optimizer_tensors == made.operations.optimizer_groups


class TwoNetworks(nn.Module):
    """A module with the names that are looked for."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        for name in ("model", "ema_model", "imnet_model"):
            backbone = nn.ModuleDict({"patch_embed1": nn.ModuleDict({"proj": nn.Identity()})})
            self.add_module(name, nn.ModuleDict({"backbone": backbone}))
        self.layer = layer


def count(layer: nn.Module, run) -> Operations:
    """Operations of ``run``."""
    with counted(TwoNetworks(layer), torch.optim.SGD(layer.parameters(), lr=0.1)) as operations:
        run()
    return operations


@pytest.mark.parametrize("groups", [1, 8])
def test_flops_of_a_convolution_and_its_gradients(groups):
    layer, image = nn.Conv2d(8, 16, 3, padding=1, groups=groups), torch.randn(2, 8, 5, 7, requires_grad=True)
    forward = 2 * (2 * 16 * 5 * 7) * (8 // groups) * 9
    assert count(layer, lambda: layer(image)).flops == forward
    operations = count(layer, lambda: layer(image).sum().backward())
    assert operations.flops == 3 * forward
    assert operations.backward_passes == 1


def test_flops_of_fused_attention_are_those_of_its_products():
    query, key, value = (torch.randn(2, 4, length, 8, requires_grad=True) for length in (6, 5, 5))
    fused = count(nn.Linear(1, 1), lambda: F.scaled_dot_product_attention(query, key, value))
    explicit = count(nn.Linear(1, 1), lambda: (query @ key.transpose(2, 3)).softmax(3) @ value)
    assert fused.flops == explicit.flops == 2 * 2 * (2 * 4 * 6 * 5 * 8)


def test_views_are_no_kernels_and_reads_are_counted():
    tensor = torch.ones(4, 4)
    operations = count(nn.Linear(1, 1), lambda: tensor.view(2, 8).transpose(0, 1).add(1).sum().item())
    assert operations.kernels == 3  # add, sum, the read
    assert operations.host_reads == 1


# ------------------------------------------------------------------------------------------------- measuring


@pytest.mark.skipif(not machine.STATUS.is_file(), reason="needs /proc")
def test_peak_memory_is_that_since_the_reset():
    before = machine.memory("cpu")["now"]
    with mmap.mmap(-1, 120_000_000) as pages:  # given back, other than the memory of tensors
        pages.write(bytes(120_000_000))
    assert machine.memory("cpu")["peak"] > before + 100e6
    machine.reset_peak_memory("cpu")
    assert machine.memory("cpu")["peak"] < before + 60e6


def test_pages_of_files_are_no_memory_of_a_step(monkeypatch):
    taken = iter([{"now": 30, "peak": 30, "files": 10}, {"now": 60, "peak": 100, "files": 15}])
    monkeypatch.setattr(machine, "memory", lambda device: next(taken))
    case = StepCase(backbone="mit_b0", crop=64, batch=1, threads=torch.get_num_threads())
    steps = StepRun(case).steps(1)
    assert (steps.peak_memory, steps.process_memory) == (65, 100)


@pytest.mark.parametrize("method", METHODS)
def test_configs_are_those_of_the_papers_with_other_sizes(method):
    cfg = config_of(StepCase(method, "mit_b2", crop=256, amp="bf16"))
    assert cfg.model.backbone.type == "mit_b2"
    assert cfg.optim_wrapper.precision == "bf16"
    assert cfg.uda.imnet_feature_dist_lambda == 0.005
    assert ("masking" in cfg.uda) == method.startswith("mic")
    if method.endswith("hrda"):
        assert tuple(cfg.model.hr_crop_size) == (128, 128)
    else:
        assert cfg.uda.pseudo_weight_ignore_bottom == 60
    if method.startswith("mic"):
        assert cfg.uda.masking.mask_generator.mask_block_size == 16
    data = batch_of(StepCase(method, crop=128))
    assert data["img"].shape == (2, 3, 128, 128) and data["img"].dtype == torch.uint8
    assert 15 <= len(data["gt_semantic_seg"].unique()) <= 20


# -------------------------------------------------------------------------------------------------- commands


def test_command_writes_every_number(tmp_path, capsys):
    out, environment = tmp_path / "step.json", dict(os.environ)
    assert step.main([*TINY, "--steps", "2", "--warmup", "0", "--amp", "bf16", "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    assert dict(os.environ) == environment  # that of the measured process is its own
    assert result["case"]["amp"] == "bf16"
    assert result["matrix_seconds"].keys() == {"float32", "bfloat16"}
    assert result["start"]["seconds"] > 0 and result["profile"] == {}
    assert result["machine"].keys() == {"hardware", "threads", "Python", "torch"}
    assert len(result["seconds"]) == 2
    assert result["cpu_seconds"] > 0
    assert result["operations"]["flops"] > 1e9
    assert result["process_memory"] > result["peak_memory"] > 50e6
    check_phases(result, backward={"source", "mixed"})
    printed = capsys.readouterr().out
    for word in ("feature distance", "it/s", "GFLOP/s", "of that rate", "peak memory"):
        assert word in printed


def check_phases(result: dict, backward: set[str]) -> None:
    """Every phase takes its time, together that of a step."""
    phases = result["phases"]
    assert phases.keys() == {
        "EMA", "source", "feature distance", "teacher", "mixing, augmentation", "mixed", "optimiser", "rest",
    }  # fmt: skip
    assert all(each["forward"] > 0 for each in phases.values())
    assert {name for name, each in phases.items() if each["backward"] > 0} == backward
    total = sum(sum(each.values()) for each in phases.values())
    assert total == pytest.approx(result["step_seconds"], rel=0.5)


def test_command_compares_with_the_published_step(tmp_path, capsys):
    out = tmp_path / "both.json"
    assert step.main([*TINY, "--compare-published", "--warmup", "0", "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    assert len(result["time_ratios"]) == step.MIN_PAIRS
    assert min(result["time_ratios"]) <= result["time_ratio"] <= max(result["time_ratios"])
    assert result["cpu_time_ratio"] > 0
    assert result["largest_loss_difference"] < 1e-5
    assert result["peak_memory_ratio"] == result["ours"]["peak_memory"] / result["published"]["peak_memory"]
    check_phases(result["ours"], backward={"source", "mixed"})
    check_phases(result["published"], backward={"source", "feature distance", "mixed"})
    assert "ours / published" in capsys.readouterr().out


def test_different_losses_are_refused():
    losses = {"decode.loss_seg": 1.0, "mix.loss_seg": 0.0, "decode.acc_seg": 3.0}
    assert step.check_losses(losses, losses | {"decode.acc_seg": 4.0}, StepCase()) == 0
    for other in (losses | {"decode.loss_seg": 1.001}, losses | {"decode.loss_seg": float("nan")}):
        with pytest.raises(SystemExit, match=r"the steps differ: decode.loss_seg is 1.0 in ours"):
            step.check_losses(losses, other, StepCase())
    with pytest.raises(SystemExit, match=r"mix.loss_seg is nan in ours"):  # behind a loss that is the same
        step.check_losses(losses | {"mix.loss_seg": float("nan")}, losses, StepCase())
    with pytest.raises(SystemExit, match="the published one"):
        step.check_losses(losses, {"decode.loss_seg": 1.0}, StepCase())


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--crop", "100"], "multiple of 64"),
        (["--method", "hrda", "--crop", "64"], "at least 128"),
        (["--compare-published", "--steps", "3"], "at least 5 pairs"),
        (["--published", "--compile"], "neither compiled nor changed"),
        (["--amp", "fp16"], "need --device cuda"),
        (["--graphs"], "need --device cuda"),
        (["--json", "no_folder/step.json"], "there is no folder no_folder"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        step.parse_args(arguments)
    assert message in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        step.parse_args(["--device", "cuda"])
    assert "there is no GPU" in capsys.readouterr().err
