"""mmengine's runner, with parts that are checked and weights that are loaded safely."""

import logging
import os
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.model import convert_sync_batchnorm, is_model_wrapper
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.runner import BaseLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from mmseg.checkpoints.weights import (
    compare,
    dataset_meta,
    fit_classes,
    load_checkpoint,
    read_checkpoint,
    state_dict_of,
)
from mmseg.engine.distributed import broadcast_state, shelter_worker
from mmseg.engine.environment import environment
from mmseg.engine.optim_wrapper import SegmentationOptimWrapper
from mmseg.errors import STORAGE_ERRORS, CheckpointError, ConfigError
from mmseg.models.uda.uda_decorator import STUDENT
from mmseg.registry import DATASETS, MODELS, OPTIM_WRAPPERS, check_part

WRITING = ("after_train_iter", "after_val_iter", "after_val_epoch", "after_train", "after_run")
"""Where the hooks of a training run write."""
NOT_ON_THE_TERMINAL = (
    "Environment:",
    "Hooks will be executed",
    "Distributed training is not used",
    '"FileClient" will be deprecated',  # mmengine's own use of it
    '"HardDiskBackend" is the alias',
)
"""Beginnings of messages that are for the log file alone."""


def optimizer_settings(state: dict) -> dict[str, list[tuple[float, float, int]]]:
    """Name of an optimizer -> base learning rate, weight decay and number of parameters of each group.

    Args:
        state: State dict of one optimizer (the student's), or of several by name.
    """
    states = {STUDENT: state} if "param_groups" in state else state
    return {
        name: [
            (group.get("initial_lr", group["lr"]), group.get("weight_decay", 0.0), len(group["params"]))
            for group in states[name]["param_groups"]
        ]
        for name in states
    }


def compile_encoders(method: nn.Module, **options: Any) -> None:
    """Compile the encoder of every segmentor in a method (student, teachers, ImageNet branch), in place.

    That happens when a size of images is first seen. Names of parameters stay the same.

    Args:
        method: A segmentor or UDA method.
        options: Arguments of ``torch.compile``.
    """
    for part in method.modules():
        encoder = getattr(part, "backbone", None)
        if isinstance(encoder, nn.Module):
            compile = getattr(encoder, "compile_layers", encoder.compile)
            compile(**{"dynamic": False, **options})


class SegmentationRunner(Runner):
    """Runs training and testing.

    Differences to mmengine: misspelt arguments of models and data sets are explained; a checkpoint file never
    executes code; weights to start from go into the student and have to fit its network; a resumed run
    restores everything or fails.
    """

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """As mmengine's; what fills a screen before the first iteration goes to the log file alone."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(lambda record: not record.getMessage().startswith(NOT_ON_THE_TERMINAL))
        return logger

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the segmentor, alone or inside the UDA method that the config names with ``uda``.

        Our registry names unknown arguments. Only here are the two put together: the config that a run stores
        keeps them apart, so that it can be tested and started again.
        """
        if not isinstance(model, dict):
            return model
        uda = self.cfg.get("uda")
        if not uda:
            return MODELS.build(model)
        method = MODELS.build({**uda, "model": model} if model else dict(uda))  # some train no segmentor
        method.begin_run(self.seed, self.cfg.train_cfg.max_iters)
        return method

    def _log_env(self, env_cfg: dict) -> None:
        """Log the environment and the config; mmengine would load torchvision and run compilers to do so."""
        settings = {**env_cfg, **self._randomness_cfg, "seed": self.seed, "launcher": self._launcher}
        report = {**environment(), **settings, "processes": self.world_size}
        lines = "\n".join(f"    {name}: {value}" for name, value in report.items())
        self.logger.info(f"Environment:\n{lines}\nConfig:\n{self.cfg.pretty_text}")

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Move the model to the device; all processes start with the weights of the first.

        There is no wrapper: a step may have several backward passes, so gradients are averaged once, by the
        optimizer (:class:`~mmseg.engine.SegmentationOptimWrapper`).
        """
        if not self.distributed or model_wrapper_cfg is not None:
            return super().wrap_model(model_wrapper_cfg, model)
        model = model.to(get_device())
        if self.cfg.get("sync_bn"):
            model = convert_sync_batchnorm(model, self.cfg.sync_bn)
        broadcast_state(model)
        return model

    def _maybe_compile(self, target: str) -> None:
        """Compile the encoders of a training when the config has ``compile``.

        mmengine would compile the step as a whole, with its backward passes and generators.
        """
        options = self.cfg.get("compile")
        if options and target == "train_step":
            compile_encoders(self.model, **({} if options is True else options))

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | dict) -> OptimWrapper:
        """Build the student's optimizer and those of the other networks that the UDA method trains.

        The config has them in ``other_networks``: name -> ``dict(optim_wrapper=..., param_scheduler=...)``.

        Raises:
            ConfigError: A network has no optimizer, or an optimizer no network, or it is not one of ours.
        """
        if not isinstance(optim_wrapper, dict):
            return optim_wrapper
        name = optim_wrapper.get("type", "OptimWrapper")
        cls = OPTIM_WRAPPERS.get(name) if isinstance(name, str) else name
        if not issubclass(cls, SegmentationOptimWrapper):
            raise ConfigError(
                f"config: optim_wrapper is a {cls.__name__}, which knows no step of several backward passes; "
                "expected type='SegmentationOptimWrapper' with constructor='GroupedOptimWrapperConstructor' "
                "(mixed precision: precision='bf16' or 'fp16')"
            )
        if others := self.cfg.get("other_networks"):
            further = {name: network.get("optim_wrapper", {}) for name, network in others.items()}
            optim_wrapper = {**optim_wrapper, "other_networks": further}
            schedulers = {name: network.get("param_scheduler", []) for name, network in others.items()}
            if self.cfg.model:
                schedulers[STUDENT] = self.param_schedulers or []
            self.param_schedulers: dict = schedulers
        return build_optim_wrapper(self.model, optim_wrapper)

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the loop; a config with ``rounds`` trains in rounds."""
        if isinstance(loop, dict) and self.cfg.get("rounds"):
            loop = {**loop, "type": "RoundsTrainLoop", "rounds": self.cfg.rounds}
        return super().build_train_loop(loop)

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict, seed: int | None = None, diff_rank_seed: bool = False
    ):
        """Build a data loader; settings that make no sense without workers or GPU are dropped."""
        if isinstance(dataloader, dict):
            dataloader, dataset = dict(dataloader), dataloader["dataset"]
            if isinstance(dataset, dict):  # mmengine builds it, as it would copy one that is built
                check_part(dataset, DATASETS)
                if isinstance(dataset["type"], str):
                    dataloader["dataset"] = {**dataset, "type": DATASETS.get(dataset["type"])}
            if not dataloader.get("num_workers"):
                dataloader["persistent_workers"] = False
            dataloader["pin_memory"] = dataloader.get("pin_memory", False) and torch.cuda.is_available()
        loader = Runner.build_dataloader(dataloader, seed, diff_rank_seed)
        if loader.num_workers:
            loader.worker_init_fn = partial(shelter_worker, initialise=loader.worker_init_fn)
        return loader

    def call_hook(self, fn_name: str, **kwargs) -> None:
        """Call the hooks; logs, pictures and scores that cannot be written (a full disk) do not end a run."""
        for hook in self.hooks:
            try:
                getattr(hook, fn_name, lambda *_, **__: None)(self, **kwargs)
            except OSError as error:
                if fn_name not in WRITING or error.errno not in STORAGE_ERRORS:
                    raise
                self.logger.error(f"{type(hook).__name__} cannot write ({error}); training goes on")

    def load_checkpoint(self, filename, map_location="cpu", strict=False, revise_keys=()):
        """Load weights; see the base class. ``map_location``, ``strict`` and ``revise_keys`` have no effect.

        Raises:
            CheckpointError: The file is missing or damaged, or belongs to another network.
        """
        model = self.model.module if is_model_wrapper(self.model) else self.model
        if self._resume:
            checkpoint = read_checkpoint(filename)
            if Path(filename).resolve().parent != Path(self.work_dir).resolve():
                # the other run's files stay: the checkpoint hook would take them for old ones of this run
                hub = checkpoint.get("message_hub", {})
                for name in ("best_ckpt", "best_score", "keep_ckpt_ids"):
                    hub.get("runtime_info", {}).pop(name, None)
                    hub.get("resumed_keys", {}).pop(name, None)
            self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
            self._check_resumable(model, checkpoint, filename)
            model.load_state_dict(checkpoint["state_dict"])
        else:
            student = getattr(model, "model", model)
            new_classifier = bool(self.cfg.get("new_classifier"))
            checkpoint = load_checkpoint(student, filename, new_classifier=new_classifier)
            if not new_classifier:
                classes = self.train_dataloader.dataset.metainfo["classes"]
                remap = bool(self.cfg.get("remap_classes"))
                fit_classes(student, checkpoint, classes, filename, remap)
        self._has_loaded = True
        self.logger.info(f"Loaded {Path(filename)}")
        return checkpoint

    def _check_resumable(self, model: nn.Module, checkpoint: dict, filename: str) -> None:
        """Compare network, classes and optimizer of a checkpoint with those of the config."""
        if "message_hub" not in checkpoint:
            raise CheckpointError(
                f"{filename}: holds weights, but not the state of a run of this framework, so it cannot be "
                "resumed; start a new run from these weights with --load-from"
            )
        if misfits := compare(model, state_dict_of(checkpoint, filename)).misfits():
            raise CheckpointError(
                f"{filename}: cannot be resumed with this config, the networks differ: {misfits}. "
                "Restore the config, or start a new run from these weights with --load-from"
            )
        meta = checkpoint.get("meta", {})
        found = tuple(dataset_meta(meta).get("classes") or ())
        expected = tuple(self.train_dataloader.dataset.metainfo["classes"])
        if found and found != expected:
            raise CheckpointError(
                f"{filename}: cannot be resumed with this config, the classes differ: {list(found)} in the "
                f"checkpoint, {list(expected)} in the data. Restore the config, or start a new run from "
                "these weights with --load-from (--remap-classes gives the network another order)"
            )
        self._check_randomness(meta, filename)
        stored = optimizer_settings(checkpoint.get("optimizer", {}))
        current = optimizer_settings(self.optim_wrapper.state_dict())
        if stored != current:
            raise CheckpointError(
                f"{filename}: cannot be resumed with this config, the optimizers differ; (learning rate, "
                f"weight decay, parameters) of each group: {stored} in the checkpoint, {current} in the "
                "config. Restore the config, or start a new run from these weights with --load-from"
            )

    def _check_randomness(self, meta: dict, filename: str) -> None:
        """Refuse another seed; warn of another number of processes, whose data are in another order."""
        if meta.get("seed", self.seed) != self.seed:
            raise CheckpointError(
                f"{filename}: the run has seed {meta['seed']}, the config asks for {self.seed}; continue "
                f"with --seed {meta['seed']}, or start a new run from these weights with --load-from"
            )
        if meta.get("processes", self.world_size) != self.world_size:
            self.logger.warning(
                f"{filename} was written by {meta['processes']} processes, {self.world_size} go on: the size "
                "of a step and the data are others than without the interruption"
            )

    def set_randomness(self, seed, diff_rank_seed: bool = False, deterministic: bool = False) -> None:
        """Seed all generators; ``deterministic``: use deterministic kernels, and warn where none exist."""
        if deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        super().set_randomness(seed, diff_rank_seed, deterministic)
        if deterministic:
            torch.use_deterministic_algorithms(True, warn_only=True)

    def setup_env(self, env_cfg: dict) -> None:
        """Set up the environment; on a machine without a GPU the process group is started with gloo.

        mmengine selects a CUDA device whenever it starts a process group itself. ``env_cfg.tf32`` says
        whether products and convolutions in float32 may round their factors to TF32 on a GPU; without it
        torch decides: convolutions may, products may not.
        """
        if (tf32 := env_cfg.get("tf32")) is not None:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        if self._launcher == "pytorch" and not dist.is_initialized() and not torch.cuda.is_available():
            dist.init_process_group(
                "gloo", rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"])
            )
        super().setup_env(env_cfg)
