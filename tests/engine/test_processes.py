"""Several processes of one run (gloo, CPU) do what one process does with the batches of all."""

import copy
import json
import os
import socket
import subprocess
import sys

import pytest
import torch
import toy_run
from mmengine.config import Config
from rounds_run import LAST, NUMBER, rounds_config
from toy_run import ROOT, log_entries, run_training, toy_config, uda_config, write_config
from translation_run import translation_config

from mmseg.checkpoints.weights import read_checkpoint

# Statistics over a batch would differ between one batch of two and two batches of one image.
WITHOUT_BATCH_STATISTICS = {
    "model.decode_head.norm_cfg": dict(type="GN", num_groups=4),
    "model.decode_head.decoder_params.fusion_cfg.norm_cfg": dict(type="GN", num_groups=4),
    "model.decode_head.dropout_ratio": 0.0,
    "train_cfg.max_iters": 3,
    "train_cfg.val_interval": 3,
    "default_hooks.checkpoint.interval": 3,
    "default_hooks.preemption.interval": 2,
}
MASKING = dict(
    mask_mode="separatetrgaug", mask_alpha=0.5, mask_generator=dict(mask_ratio=0.7, mask_block_size=16)
)
PRIOR = {
    "uda.class_ratio_prior": dict(class_ratio=[1.0] * 19, relaxation=1.0, loss_weight=0.1),
    "uda.most_uncertain": 0.3,
}
UNSHARED = {"uda.weights_shared": False, "uda.discriminate": "features", "uda.accuracy_threshold": 0.0}
WITHOUT_DROPOUT = {"uda.discriminator_dropout": 0.0}
UDA = (
    "advseg",
    "minent",
    "clan",
    "adda",
    "fcns_in_the_wild",
    "road",
    "fcan",
    "adaptsegnet",
    "advent",
    "minent, prior",
    "adda, a copy for the source, features",
    "fda",
)  # of configs/_base_/uda
METHODS = ("source_only", "daformer", "mic", "cyclegan", *UDA)
NETWORKS = ("other_networks.generator", "other_networks.discriminator")
SIZES = dict(lower=[0.01] * 19, mean=[0.05] * 19, upper=[0.1] * 19)
SETTINGS: dict[str, dict] = {
    "clan": {"uda.global_iters": 1, "uda.target_size": None, "model.sum_outputs": True, "load_from": None},
    "adda": WITHOUT_DROPOUT | {"uda.accuracy_threshold": 0.0},
    "adda, a copy for the source, features": WITHOUT_DROPOUT | UNSHARED,
    "fda": {"uda.translator.beta": 0.05},
    "minent, prior": PRIOR,
    "road": WITHOUT_DROPOUT | {"uda.regions": (2, 2)},
    "fcns_in_the_wild": WITHOUT_DROPOUT | {"uda.sizes": SIZES},
}
TRAIN_WITH_FAILURES = """
import sys
import torch
from mmengine.dist import get_rank
from mmseg.apis import train
from mmseg.config.load import load_config
from mmseg.errors import DataError, TrainingError
from mmseg.engine import SafeTrainLoop
from mmseg.models.losses.cross_entropy_loss import CrossEntropyLoss

DATA, GRADIENT = sys.argv[1:]
loss = CrossEntropyLoss.forward

class Failing:
    def __init__(self, batches):
        self.batches, self.given = batches, 0
    def __next__(self):
        self.given += 1
        if get_rank() == 1 and self.given == 3:
            raise DataError("a.png: cannot be read")
        return next(self.batches)
    def skip_iter(self, n):
        self.batches.skip_iter(n)

before = SafeTrainLoop.run
def run(self):
    self.dataloader_iterator = Failing(self.dataloader_iterator)
    return before(self)
SafeTrainLoop.run = run
try:
    train(load_config(DATA))
except (DataError, TrainingError) as error:
    print(f"{get_rank()} data: {error}")
SafeTrainLoop.run = before

calls = []
def spoil(self, *args, **kwargs):
    calls.append(1)
    value = loss(self, *args, **kwargs)
    return value * float("inf") if get_rank() == 1 and len(calls) == 3 else value
CrossEntropyLoss.forward = spoil
try:
    train(load_config(GRADIENT))
except TrainingError as error:
    print(f"{get_rank()} gradient: {error}")
"""
TRAIN_ALL = """
import sys
import torch
from mmengine.dist import get_rank
from mmseg.apis import train
from mmseg.config.load import load_config

for path in sys.argv[1:]:
    cfg = load_config(path)
    torch.save(train(cfg).state_dict(), f"{cfg.work_dir}/rank{get_rank()}.pt")
"""
TRAIN_BETWEEN = f"""
import torch
from mmengine.dist import all_gather, get_rank
from mmseg.models.uda import ADDA

accuracy = ADDA.accuracy

def between(self, scores, label, batch):
    if get_rank() == 1:  # right in every fourth position
        scores = scores.detach().clone()
        scores[::4] = 10 * torch.nn.functional.one_hot(label[::4], 2).to(scores.dtype)
    both = all_gather((scores.argmax(dim=1) == label).float().mean())
    assert both[0] != both[1], both
    self.accuracy_threshold = float(sum(both)) / 2 - 1e-6
    return accuracy(self, scores, label, batch)

ADDA.accuracy = between
{TRAIN_ALL}"""
TRAIN_ROUNDS = f"""
import sys
sys.path.insert(0, "{ROOT / "tests"}")
import rounds_run
{TRAIN_ALL}"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """An odd number of images to test on: one process has one more than the other."""
    before, toy_run.NUM_VAL = toy_run.NUM_VAL, 3
    try:
        return toy_run.write_toy_data(tmp_path_factory.mktemp("odd"))
    finally:
        toy_run.NUM_VAL = before


@pytest.fixture(scope="module")
def start(data, tmp_path_factory):
    """Weights unlike those of the frozen encoder: at distance 0 the gradient of a norm is noise."""
    work_dir = tmp_path_factory.mktemp("start")
    return run_training(toy_config("source_only", data, work_dir, WITHOUT_BATCH_STATISTICS)).checkpoint


def config_of(name, data, work_dir, options, start):
    if name == "source_only":
        return toy_config(name, data, work_dir, options)
    if name == "cyclegan":  # with pools that are full after the first step
        options = {key: value for key, value in options.items() if key.startswith("train_dataloader")}
        sgd = {f"{net}.optim_wrapper.optimizer": dict(_delete_=True, type="SGD", lr=1e-5) for net in NETWORKS}
        length = {"train_cfg.max_iters": 3, "uda.generator.dropout_ratio": 0.0}
        return translation_config(data, work_dir, options | sgd | length)
    options = options | {"uda.pseudo_threshold": 0.06, "load_from": str(start)}
    if name == "mic":
        options["uda.masking"] = MASKING
    cfg = uda_config(data, work_dir, options)
    if name in UDA:
        cfg.pop("uda")
        parts = Config.fromfile(ROOT / "configs" / "_base_" / "uda" / f"{name.partition(',')[0]}.py")
        cfg.merge_from_dict({key: parts[key] for key in parts if key in ("uda", "other_networks")})
        cfg.merge_from_dict(SETTINGS.get(name, {}))
    if name == "clan":  # the weights to start from have one head
        cfg.model.auxiliary_head = copy.deepcopy(cfg.model.decode_head)
    return cfg


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def in_two_processes(program, cfgs, folder):
    """Run a program with the paths of config files as arguments."""
    (folder / "program.py").write_text(program)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
    command += [f"--master_port={free_port()}", str(folder / "program.py")]
    for name, cfg in cfgs.items():
        cfg.launcher = "pytorch"
        command.append(str(write_config(cfg, folder / f"{name}.py")))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def work_dirs(data, start, tmp_path_factory):
    """Number of processes -> folder with the run of each method, trained with two samples per step."""
    folder = tmp_path_factory.mktemp("processes")
    cfgs = {
        processes: [
            config_of(
                name,
                data,
                folder / str(processes) / name,
                WITHOUT_BATCH_STATISTICS | {"train_dataloader.batch_size": 2 // processes},
                start,
            )
            for name in METHODS
        ]
        for processes in (1, 2)
    }
    for cfg in cfgs[1]:
        run_training(cfg)
    done = in_two_processes(TRAIN_ALL, dict(zip(METHODS, cfgs[2], strict=True)), folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return {processes: folder / str(processes) for processes in (1, 2)}


def assert_close(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if value.is_floating_point():
            torch.testing.assert_close(found[name], value, rtol=tolerance, atol=tolerance, msg=name)


def optimizers(checkpoint):
    """The state of each parameter, of all optimizers."""
    found = checkpoint["optimizer"]
    found = {"student": found} if "state" in found else found
    return {(name, number): s for name in found for number, s in found[name]["state"].items()}


@pytest.mark.parametrize("name", METHODS)
def test_two_processes_of_one_sample_equal_one_process_of_two(name, work_dirs):
    """With jitter, blur, ClassMix, masks, confidence weight, feature distance, discriminator, image pools."""
    one, two = (read_checkpoint(work_dirs[number] / name / "iter_3.pth") for number in (1, 2))
    # the gradient of the keys' biases is 0 but for rounding, which Adam magnifies
    assert_close(two["state_dict"], one["state_dict"], 5e-5)
    found = optimizers(two)
    assert found.keys() == optimizers(one).keys()
    for key, state in optimizers(one).items():
        assert_close(found[key], state, 5e-5)
    for found, expected in zip(*(training_lines(work_dirs[n] / name) for n in (2, 1)), strict=True):
        losses = {key: value for key, value in expected.items() if "loss" in key}
        assert losses and {key: found[key] for key in losses} == pytest.approx(losses, rel=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_all_processes_hold_the_same_networks(name, work_dirs):
    """Student, teacher, ImageNet encoder, discriminator: the same bits."""
    first, second = (torch.load(work_dirs[2] / name / f"rank{rank}.pt") for rank in (0, 1))
    networks = {
        "daformer": "ema_model.",
        "mic": "mic.teacher.",
        "minent": "model.",
        "minent, prior": "model.",
        "fda": "model.",
        "cyclegan": "generator.",
    }
    others = "model_D." if name in UDA else "backbone."
    assert any(key.startswith(networks.get(name, others)) for key in first)
    assert first.keys() == second.keys() and not [k for k in first if not torch.equal(first[k], second[k])]


def test_two_processes_agree_whether_a_step_is_taken(data, start, tmp_path):
    """ADDA's threshold lies between the accuracies of both, just below their mean: both step."""
    options = WITHOUT_BATCH_STATISTICS | {"train_dataloader.batch_size": 1}
    cfg = config_of("adda", data, tmp_path / "adda", options, start)
    cfg.uda.window = 1
    done = in_two_processes(TRAIN_BETWEEN, {"adda": cfg}, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / "adda" / f"rank{rank}.pt") for rank in (0, 1))
    assert_close(second, first, 0)
    begin = read_checkpoint(start)["state_dict"]["decode_head.conv_seg.weight"]
    assert not torch.equal(first["model.decode_head.conv_seg.weight"], begin)


def test_evaluation_counts_each_image_once(work_dirs):
    """Three images: two in one process, one in the other. Weights equal but for rounding."""
    scores = [json.loads((work_dirs[n] / "source_only" / "results.json").read_text()) for n in (1, 2)]
    assert scores[0].keys() == scores[1].keys()
    for metric, value in scores[0].items():
        assert scores[1][metric] == (value if value is None else pytest.approx(value, abs=0.05)), metric


def training_lines(work_dir):
    return [line for line in log_entries(work_dir) if "lr" in line or "student.lr" in line]


def test_what_fails_in_one_process_ends_both_and_loses_no_step(data, tmp_path):
    """The second process cannot load its third batch; in another run its third loss is infinite."""
    options = WITHOUT_BATCH_STATISTICS | {"train_cfg.max_iters": 8, "train_cfg.val_interval": 8}
    options |= {"default_hooks.checkpoint.interval": 5, "default_hooks.logger.interval": 50}
    cfgs = {name: toy_config("source_only", data, tmp_path / name, options) for name in ("data", "gradient")}
    cfgs["gradient"].default_hooks.checkpoint.interval = 2
    done = in_two_processes(TRAIN_WITH_FAILURES, cfgs, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "1 data: a.png: cannot be read" in done.stdout
    assert "0 data: another process could not load its data after iteration 2" in done.stdout
    assert [path.name for path in (tmp_path / "data").glob("*.pth")] == ["iter_2.pth"]
    for rank in (0, 1):
        assert f"{rank} gradient: iteration 3: " in done.stdout
    assert [path.name for path in (tmp_path / "gradient").glob("*.pth")] == ["iter_2.pth"]
    state = read_checkpoint(tmp_path / "gradient" / "iter_2.pth")["state_dict"]
    assert all(torch.isfinite(value).all() for value in state.values())


def test_two_processes_share_the_images_of_a_round(toy_data, tmp_path):
    """Each predicts its part of them; labels and weights are those of one process."""
    cfgs = {
        processes: rounds_config(
            toy_data, tmp_path / str(processes), {"train_dataloader.batch_size": 2 // processes}
        )
        for processes in (1, 2)
    }
    run_training(cfgs[1])
    done = in_two_processes(TRAIN_ROUNDS, {"rounds": cfgs[2]}, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (tmp_path / str(processes) for processes in (1, 2))
    first = sorted(path.relative_to(one) for path in (one / "rounds/0").rglob("*.*"))
    assert len(first) > 4 and all((two / path).read_bytes() == (one / path).read_bytes() for path in first)
    for round in range(1, NUMBER):  # weights differ by the order of sums
        found, expected = (
            json.loads((run / f"rounds/{round}/summary.json").read_text()) for run in (two, one)
        )
        assert found["thresholds"] == pytest.approx(expected["thresholds"], abs=2e-5)
        assert found["pixels"] == pytest.approx(expected["pixels"], abs=5)
    ends = [read_checkpoint(run / f"iter_{LAST}.pth")["state_dict"] for run in (two, one)]
    assert_close(*ends, 1e-6)
    ranks = [torch.load(two / f"rank{rank}.pt") for rank in (0, 1)]
    assert_close(*ranks, 0)
