"""mmengine's runner, with parts that are checked and weights that are loaded safely."""

import os
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmseg.errors import CheckpointError
from mmseg.models.pretrained import compare, load_checkpoint, read_checkpoint
from mmseg.registry import DATASETS, MODELS

EXTRA = "_extra_state"
"""Ends the names of the entries that hold no parameters."""


def group_settings(group: dict) -> tuple[float, float, int]:
    """Base learning rate, weight decay and number of parameters of an optimizer's group."""
    return group.get("initial_lr", group["lr"]), group.get("weight_decay", 0.0), len(group["params"])


class SegmentationRunner(Runner):
    """Runs training and testing.

    Differences to mmengine: misspelt arguments of models and data sets are explained; a checkpoint file never
    executes code; weights to start from go into the student and have to fit its network; a resumed run
    restores everything or fails.
    """

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
        method = dict(uda, model=model)
        if "data_preprocessor" in model:
            method.setdefault("data_preprocessor", model["data_preprocessor"])
        return MODELS.build(method)

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict, seed: int | None = None, diff_rank_seed: bool = False
    ):
        """Build a data loader; settings that make no sense without workers or GPU are dropped."""
        if isinstance(dataloader, dict):
            dataloader = dict(dataloader)
            if isinstance(dataloader["dataset"], dict):
                dataloader["dataset"] = DATASETS.build(dataloader["dataset"])
            if not dataloader.get("num_workers"):
                dataloader["persistent_workers"] = False
            dataloader["pin_memory"] = dataloader.get("pin_memory", False) and torch.cuda.is_available()
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

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
            checkpoint = load_checkpoint(student, filename)
        self._has_loaded = True
        self.logger.info(f"Loaded {Path(filename)}")
        return checkpoint

    def _check_resumable(self, model: nn.Module, checkpoint: dict, filename: str) -> None:
        """Compare network and optimizer of a checkpoint with those of the config."""
        state = checkpoint.get("state_dict", {})
        report = compare(model, {name: value for name, value in state.items() if not name.endswith(EXTRA)})
        report.missing = [name for name in report.missing if not name.endswith(EXTRA)]
        if report.missing or report.unexpected or report.mismatched:
            raise CheckpointError(
                f"{filename}: cannot be resumed with this config, the networks differ: {report.examples()}. "
                "Restore the config, or start a new run from these weights with --load-from"
            )
        found = [group_settings(group) for group in checkpoint.get("optimizer", {}).get("param_groups", [])]
        expected = [group_settings(group) for group in self.optim_wrapper.optimizer.param_groups]
        if found != expected:
            raise CheckpointError(
                f"{filename}: cannot be resumed with this config, the optimizers differ; (learning rate, "
                f"weight decay, parameters) of each group: {found} in the checkpoint, {expected} in the "
                "config. Restore the config, or start a new run from these weights with --load-from"
            )

    def setup_env(self, env_cfg: dict) -> None:
        """Set up the environment; on a machine without a GPU the process group is started with gloo.

        mmengine selects a CUDA device whenever it starts a process group itself.
        """
        if self._launcher == "pytorch" and not dist.is_initialized() and not torch.cuda.is_available():
            dist.init_process_group(
                "gloo", rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"])
            )
        super().setup_env(env_cfg)
