"""Each fault that can meet a run has a defined outcome, and no finished step is lost."""

import errno
import os
import signal
import time
from multiprocessing import get_context

import pytest
import torch
from mmengine.hooks import Hook
from toy_run import copy_data, log_entries, run_training, toy_config, uda_config, weights, write_config

from mmseg.checkpoints.atomic import claim
from mmseg.checkpoints.files import is_intact
from mmseg.checkpoints.weights import read_checkpoint
from mmseg.engine.runner import SegmentationRunner
from mmseg.engine.train_loop import explaining_dead_workers
from mmseg.errors import CheckpointError, ConfigError, DataError, Preempted, TrainingError
from mmseg.registry import HOOKS
from tools import train as train_tool

WITHOUT_VALIDATION = {"val_dataloader": None, "val_cfg": None, "val_evaluator": None}


@HOOKS.register_module()
class SignalHook(Hook):
    """Sends a signal to the own process in the middle of a step."""

    def __init__(self, iteration, number=signal.SIGTERM, during_validation=False, workers=False, times=1):
        self.iteration, self.number, self.during_validation = iteration, number, during_validation
        self.workers, self.times = workers, times

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.during_validation or runner.iter + 1 != self.iteration:
            return
        if self.workers:
            for worker in runner.train_loop.dataloader_iterator._iterator._workers:
                os.kill(worker.pid, self.number)
            time.sleep(0.5)  # one that dies is noticed now
        for _ in range(self.times):
            os.kill(os.getpid(), self.number)

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if self.during_validation and runner.iter == self.iteration:
            os.kill(os.getpid(), self.number)


@HOOKS.register_module()
class SpoilWeightsHook(Hook):
    """Makes the classifier's weights infinite before an iteration."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.iteration:
            runner.model.decode_head.conv_seg.weight.data.fill_(float("nan"))


def assert_same_end(work_dir, expected_dir, iterations):
    """Weights, optimizer and iteration of two runs are bit-identical."""
    found, expected = (read_checkpoint(d / f"iter_{iterations}.pth") for d in (work_dir, expected_dir))
    different = [n for n, v in expected["state_dict"].items() if not torch.equal(found["state_dict"][n], v)]
    assert not different and found["state_dict"].keys() == expected["state_dict"].keys()
    for number, state in expected["optimizer"]["state"].items():
        assert all(torch.equal(found["optimizer"]["state"][number][n], v) for n, v in state.items())
    assert found["meta"]["iter"] == expected["meta"]["iter"] == iterations


@pytest.mark.parametrize("iteration", [1, 2, 3])
def test_stopped_at_any_iteration_and_resumed(iteration, uda_run, toy_data, tmp_path):
    work_dir = tmp_path / "run"
    hooks = [*uda_config(toy_data, work_dir).custom_hooks, dict(type="SignalHook", iteration=iteration)]
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Preempted, match=f"SIGTERM: stopped after iteration {iteration}; .*--resume"):
        run_training(uda_config(toy_data, work_dir, {"custom_hooks": hooks}))
    assert signal.getsignal(signal.SIGTERM) is before
    config = write_config(uda_config(toy_data, work_dir), tmp_path / "config.py")
    assert train_tool.main([str(config), "--resume"]) == 0
    assert_same_end(work_dir, uda_run.work_dir, 4)


def test_signal_during_evaluation_and_the_evaluation_is_made_up_for(source_run, toy_data, tmp_path):
    options = {"custom_hooks": [dict(type="SignalHook", iteration=4, during_validation=True)]}
    config = write_config(toy_config("source_only", toy_data, tmp_path, options), tmp_path / "c" / "c.py")
    assert train_tool.main([str(config)]) == 75
    assert len([line for line in log_entries(tmp_path) if "mIoU" in line]) == 1
    resumed = write_config(toy_config("source_only", toy_data, tmp_path), tmp_path / "c" / "c.py")
    assert train_tool.main([str(resumed), "--resume"]) == 0
    assert_same_end(tmp_path, source_run.work_dir, 4)
    same = [(d / "results.json").read_text() for d in (tmp_path, source_run.work_dir)]
    assert same[0] == same[1]


def test_usr1_gives_the_exit_status_for_another_try(toy_data, tmp_path, capsys):
    hooks = [dict(type="SignalHook", iteration=1, number=int(signal.SIGUSR1))]
    options = {"custom_hooks": hooks, **WITHOUT_VALIDATION}
    config = write_config(toy_config("source_only", toy_data, tmp_path, options), tmp_path / "c" / "c.py")
    assert train_tool.main([str(config)]) == 75
    assert "SIGUSR1: stopped after iteration 1; continue with --resume" in capsys.readouterr().err
    assert is_intact(tmp_path / "iter_1.pth")


@pytest.fixture
def interruptible():
    """A process started in the background of a shell ignores interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)]
)
def test_signal_to_the_whole_process_group(
    number, status, source_run, toy_data, tmp_path, capsys, interruptible
):
    """As Ctrl-C, Slurm and torchrun send it: also to the processes that load data."""
    parts = {**WITHOUT_VALIDATION, "train_dataloader.num_workers": 2}
    hooks = [dict(type="SignalHook", iteration=3, number=int(number), workers=True)]
    cfg = toy_config("source_only", toy_data, tmp_path, parts | {"custom_hooks": hooks})
    assert train_tool.main([str(write_config(cfg, tmp_path / "c" / "c.py"))]) == status
    assert "worker" not in capsys.readouterr().err
    assert (tmp_path / "last_checkpoint").read_text().endswith("iter_3.pth")
    config = write_config(toy_config("source_only", toy_data, tmp_path, parts), tmp_path / "c" / "c.py")
    assert train_tool.main([str(config), "--resume"]) == 0
    assert_same_end(tmp_path, source_run.work_dir, 4)


def test_a_second_interrupt_ends_the_run_at_once(toy_data, tmp_path, interruptible):
    hooks = [dict(type="SignalHook", iteration=2, number=int(signal.SIGINT), times=2)]
    with pytest.raises(KeyboardInterrupt):
        run_training(toy_config("source_only", toy_data, tmp_path, {"custom_hooks": hooks}))
    assert not list(tmp_path.glob("iter_*.pth")), "the second step was not finished"


def test_resume_with_another_seed_is_refused(source_run, toy_data, tmp_path, capsys):
    config = write_config(toy_config("source_only", toy_data, tmp_path), tmp_path / "c" / "c.py")
    checkpoint = str(source_run.work_dir / "iter_2.pth")
    assert train_tool.main([str(config), "--resume-from", checkpoint, "--seed", "3"]) == 1
    assert "the run has seed 0, the config asks for 3; continue with --seed 0" in capsys.readouterr().err


def test_cost_of_resuming_does_not_depend_on_the_iteration(source_run, toy_data, tmp_path):
    """A replay of a billion iterations, even without loading anything, would not end."""
    done = 10**9
    state = torch.load(source_run.checkpoint, weights_only=False)
    state["meta"]["iter"] = done
    torch.save(state, tmp_path / f"iter_{done}.pth")
    (tmp_path / "last_checkpoint").write_text(f"iter_{done}.pth")
    options = {**WITHOUT_VALIDATION, "train_cfg.max_iters": done + 1, "train_dataloader.num_workers": 1}
    begin = time.monotonic()
    run_training(toy_config("source_only", toy_data, tmp_path, options | {"resume": True}))
    assert time.monotonic() - begin < 60
    assert is_intact(tmp_path / f"iter_{done + 1}.pth")


def hold(path, ready, release):
    with claim(path):
        ready.set()
        release.wait(60)


def test_two_runs_in_one_folder_are_refused(toy_data, tmp_path):
    context = get_context("fork")
    ready, release = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path / ".training", ready, release))
    other.start()
    assert ready.wait(30)
    with pytest.raises(CheckpointError, match="another process is training in this folder"):
        run_training(toy_config("source_only", toy_data, tmp_path, WITHOUT_VALIDATION))
    release.set()
    other.join(30)
    (tmp_path / ".iter_3.pth.tmp").write_text("left by a killed process")
    run_training(toy_config("source_only", toy_data, tmp_path, WITHOUT_VALIDATION))
    assert not list(tmp_path.glob(".*.tmp"))


def test_damaged_newest_checkpoint_is_noticed_and_the_one_before_is_used(
    source_run, toy_data, tmp_path, capsys
):
    options = {"train_cfg.max_iters": 4, "default_hooks.checkpoint.interval": 1}
    run_training(toy_config("source_only", toy_data, tmp_path, options))
    newest = tmp_path / "iter_4.pth"
    newest.write_bytes(newest.read_bytes()[:-1000])
    config = write_config(toy_config("source_only", toy_data, tmp_path), tmp_path / "c" / "c.py")
    assert train_tool.main([str(config), "--resume"]) == 0
    assert f"warning: {newest} is damaged and not used" in capsys.readouterr().err
    assert_same_end(tmp_path, source_run.work_dir, 4)


def test_full_disk_costs_a_checkpoint_but_not_the_run(toy_data, tmp_path, monkeypatch):
    write = SegmentationRunner.save_checkpoint

    def fill_disk(iterations):
        def save(self, out_dir, filename, *args, **kwargs):
            write(self, out_dir, filename, *args, **kwargs)
            if any(f"iter_{n}." in filename for n in iterations):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(SegmentationRunner, "save_checkpoint", save)

    options = {"default_hooks.checkpoint.interval": 1, **WITHOUT_VALIDATION}
    fill_disk({2, 3})
    run_training(toy_config("source_only", toy_data, tmp_path / "goes_on", options))
    assert {path.name for path in (tmp_path / "goes_on").glob("*.pth*")} == {"iter_1.pth", "iter_4.pth"}
    assert not list((tmp_path / "goes_on").glob(".*.tmp"))

    fill_disk({4})
    with pytest.raises(CheckpointError, match=r"iter_4.pth: .*No space left.*free some space"):
        run_training(toy_config("source_only", toy_data, tmp_path / "ends", options))
    assert is_intact(tmp_path / "ends" / "iter_3.pth")
    assert (tmp_path / "ends" / "last_checkpoint").read_text().endswith("iter_3.pth")


def test_logs_pictures_and_scores_that_cannot_be_written(uda_run, toy_data, tmp_path, monkeypatch, capfd):
    def full_disk(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("mmengine.visualization.vis_backend.LocalVisBackend._dump", full_disk)
    monkeypatch.setattr("mmseg.engine.hooks.debug_pictures.draw_step", full_disk)
    monkeypatch.setattr("mmseg.engine.hooks.results.write_results", full_disk)
    run_training(uda_config(toy_data, tmp_path))
    assert_same_end(tmp_path, uda_run.work_dir, 4)
    printed = "".join(capfd.readouterr())
    for hook in ("LoggerHook", "DebugPicturesHook", "ResultsHook"):
        assert f"{hook} cannot write ([Errno 28] No space left on device); training goes on" in printed


def test_unreadable_image_in_the_middle_saves_the_steps_before(toy_data, tmp_path):
    data = copy_data(toy_data, tmp_path / "data")
    images = sorted((data / "cityscapes/leftImg8bit/train").rglob("*.png"))
    options = {
        "train_cfg.max_iters": 200,
        "train_dataloader.num_workers": 1,
        "train_dataloader.batch_size": 1,
        "default_hooks.checkpoint.interval": 1000,
        **WITHOUT_VALIDATION,
    }
    cfg = toy_config("oracle", data, tmp_path / "run", options)

    @HOOKS.register_module(force=True)
    class DamageImageHook(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if batch_idx == 1:
                for image in images:
                    image.write_bytes(image.read_bytes()[:100])

    cfg.custom_hooks = [dict(type="DamageImageHook")]
    with pytest.raises(DataError, match=r"leftImg8bit/train"):
        run_training(cfg)
    (kept,) = (tmp_path / "run").glob("iter_*.pth")
    assert is_intact(kept) and 2 <= read_checkpoint(kept)["meta"]["iter"] < 200


def test_killed_data_worker_is_explained(toy_data, tmp_path):
    @HOOKS.register_module(force=True)
    class KillWorkerHook(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if batch_idx == 2:
                for worker in runner.train_loop.dataloader_iterator._iterator._workers:
                    os.kill(worker.pid, signal.SIGKILL)

    options = {
        "train_cfg.max_iters": 200,
        "train_dataloader.num_workers": 1,
        "custom_hooks": [dict(type="KillWorkerHook")],
        **WITHOUT_VALIDATION,
    }
    with pytest.raises(TrainingError, match=r"data worker died: DataLoader worker.*num_workers.*--resume"):
        run_training(toy_config("oracle", toy_data, tmp_path, options))
    assert is_intact(tmp_path / "iter_2.pth")


@pytest.mark.parametrize("file, explained", [("torch/utils/data/dataloader.py", True), ("tracker.py", False)])
def test_a_worker_that_dies_while_it_sends_a_batch_is_explained(file, explained):
    broken = compile("raise ConnectionResetError(104, 'Connection reset by peer')", file, "exec")
    error, message = (TrainingError, "a data worker died: DataLoader worker is gone.*num_workers.*--resume")
    with (
        pytest.raises(error if explained else ConnectionResetError, match=message if explained else "reset"),
        explaining_dead_workers(),
    ):
        exec(broken)


def test_loss_that_is_not_a_number_stops_the_run_and_is_named(toy_data, tmp_path):
    options = {"custom_hooks": [dict(type="SpoilWeightsHook", iteration=3)], **WITHOUT_VALIDATION}
    options["default_hooks.logger.interval"] = 4
    with pytest.raises(TrainingError, match=r"iteration 3: decode.loss_seg is nan; the batch was .*\.png"):
        run_training(toy_config("source_only", toy_data, tmp_path, options))
    assert all(torch.isfinite(v).all() for v in weights(tmp_path / "iter_2.pth").values())
    assert not (tmp_path / "iter_4.pth").exists(), "spoilt weights are not saved"


class InfiniteGradient(torch.autograd.Function):
    """The identity, whose gradient is infinite."""

    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float("inf")


@pytest.fixture
def infinite_gradient_in_iteration_3(monkeypatch):
    from mmseg.models.losses.cross_entropy_loss import CrossEntropyLoss

    forward, calls = CrossEntropyLoss.forward, []

    def spoil(self, *args, **kwargs):
        calls.append(1)
        loss = forward(self, *args, **kwargs)
        return InfiniteGradient.apply(loss) if len(calls) == 3 else loss

    monkeypatch.setattr(CrossEntropyLoss, "forward", spoil)


@pytest.mark.parametrize(
    "options",
    [
        {"default_hooks.logger.interval": 10, **WITHOUT_VALIDATION},
        {"default_hooks.logger.interval": 1, **WITHOUT_VALIDATION},
        {"default_hooks.logger.interval": 10, "train_cfg.val_interval": 3},
    ],
    ids=["checkpoint", "log line", "evaluation"],
)
def test_finite_loss_with_an_infinite_gradient_stops_the_run(
    options, toy_data, tmp_path, infinite_gradient_in_iteration_3
):
    signals = signal.getsignal(signal.SIGTERM)
    with pytest.raises(TrainingError, match=r"iteration 3: the norm of the gradients is (inf|nan); .*\.png"):
        run_training(toy_config("source_only", toy_data, tmp_path, options))
    assert {path.name for path in tmp_path.glob("*.pth")} == {"iter_2.pth"}
    assert all(torch.isfinite(v).all() for v in weights(tmp_path / "iter_2.pth").values())
    assert signal.getsignal(signal.SIGTERM) is signals, "handlers are given back"


def test_steps_that_are_not_finite_can_be_left_out(toy_data, tmp_path, monkeypatch):
    from mmseg.models.losses.cross_entropy_loss import CrossEntropyLoss

    forward, calls = CrossEntropyLoss.forward, []

    def spoil(self, *args, **kwargs):
        calls.append(1)
        return forward(self, *args, **kwargs) * (float("inf") if len(calls) == 2 else 1.0)

    monkeypatch.setattr(CrossEntropyLoss, "forward", spoil)
    options = {"optim_wrapper.skip_nonfinite": True, **WITHOUT_VALIDATION}
    run_training(toy_config("source_only", toy_data, tmp_path, options))
    assert all(torch.isfinite(v).all() for v in weights(tmp_path / "iter_4.pth").values())
    assert [line.get("skipped_steps") for line in log_entries(tmp_path)] == [None, 1, 1, 1]
    steps = read_checkpoint(tmp_path / "iter_4.pth")["optimizer"]["state"][0]["step"]
    assert steps == 3


# ----------------------------------------------------------------------------- precision, accumulation, order


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_loader_workers_gives_the_same_run(workers, uda_run, toy_data, tmp_path):
    """The run that is compared with has none."""
    options = {"train_dataloader.num_workers": workers, "val_dataloader.num_workers": workers}
    run_training(uda_config(toy_data, tmp_path, options))
    assert_same_end(tmp_path, uda_run.work_dir, 4)
    scores = [(work_dir / "results.json").read_text() for work_dir in (tmp_path, uda_run.work_dir)]
    assert scores[0] == scores[1]


def test_deterministic_kernels(uda_run, toy_data, tmp_path, monkeypatch):
    """Where there is none torch warns instead of ending the run; on a CPU the result is the same."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    config = write_config(uda_config(toy_data, tmp_path), tmp_path / "c" / "config.py")
    try:
        assert train_tool.main([str(config), "--deterministic"]) == 0
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)
    assert_same_end(tmp_path, uda_run.work_dir, 4)


@pytest.mark.parametrize("name", ["source_only", "daformer"])
def test_bf16_training_stays_close_to_float32(name, toy_data, tmp_path, source_run, uda_run):
    config_of = {"source_only": toy_config, "daformer": lambda _, *rest: uda_config(*rest)}[name]
    config = write_config(
        config_of(name, toy_data, tmp_path, WITHOUT_VALIDATION), tmp_path / "c" / "config.py"
    )
    assert train_tool.main([str(config), "--amp", "bf16"]) == 0
    expected = log_entries((source_run if name == "source_only" else uda_run).work_dir)
    for found, line in zip(log_entries(tmp_path), [e for e in expected if "lr" in e], strict=True):
        assert found["decode.loss_seg"] == pytest.approx(line["decode.loss_seg"], rel=0.03)
    losses = [line["decode.loss_seg"] for line in log_entries(tmp_path)]
    assert losses != [line["decode.loss_seg"] for line in expected if "lr" in line]
    assert all(value.dtype != torch.bfloat16 for value in weights(tmp_path / "iter_4.pth").values())


def test_teacher_follows_once_per_accumulated_step(toy_data, tmp_path):
    options = {"optim_wrapper.accumulative_counts": 2, "default_hooks.checkpoint.interval": 2}
    options |= {"default_hooks.checkpoint.max_keep_ckpts": -1, **WITHOUT_VALIDATION}
    run_training(uda_config(toy_data, tmp_path, options))
    states = {n: read_checkpoint(tmp_path / f"iter_{n}.pth") for n in (2, 4)}
    name = "backbone.patch_embed1.proj.weight"
    student, teacher = (
        {n: state["state_dict"][f"{network}.{name}"] for n, state in states.items()}
        for network in ("model", "ema_model")
    )
    # the second step begins with the student of the first: momentum 1 - 1 / 2
    torch.testing.assert_close(teacher[4], (teacher[2] + student[2]) / 2)
    assert states[4]["optimizer"]["state"][0]["step"] == 2


@pytest.mark.parametrize(
    "option", ["train_cfg.max_iters", "default_hooks.checkpoint.interval"], ids=["length", "checkpoint"]
)
def test_incomplete_accumulation_is_refused(option, toy_data, tmp_path, capsys):
    settings = {"optim_wrapper.accumulative_counts": 3, "train_cfg.max_iters": 6, option: 4}
    settings.setdefault("default_hooks.checkpoint.interval", 3)
    with pytest.raises(ConfigError, match=rf"{option}=4 .*accumulative_counts=3.*multiple"):
        run_training(toy_config("source_only", toy_data, tmp_path, settings))
