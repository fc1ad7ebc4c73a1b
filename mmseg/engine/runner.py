"""mmengine's runner with safe loading of weights."""

import os
from pathlib import Path

import torch.distributed as dist
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmseg.models.pretrained import load_checkpoint, read_checkpoint


class SegmentationRunner(Runner):
    """Runs training and testing.

    Differences to mmengine: a checkpoint file never executes code; weights to start from go into the student and have
    to fit its network; a resumed run restores everything or fails.
    """

    def load_checkpoint(self, filename, map_location="cpu", strict=False, revise_keys=()):
        """Load weights; see the base class. ``strict`` and ``revise_keys`` have no effect.

        Raises:
            CheckpointError: The file is missing or damaged, or belongs to another network.
        """
        model = self.model.module if is_model_wrapper(self.model) else self.model
        if self._resume:
            checkpoint = read_checkpoint(Path(filename))
            self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
            load_checkpoint(model, checkpoint, source=filename)
        else:
            checkpoint = load_checkpoint(getattr(model, "model", model), Path(filename))
        self._has_loaded = True
        self.logger.info(f"Loaded {filename}")
        return checkpoint

    def setup_env(self, env_cfg: dict) -> None:
        """Set up the environment; on a machine without a GPU a process group is started with gloo.

        mmengine selects a CUDA device whenever it starts a process group itself.
        """
        import torch

        if self.distributed and not dist.is_initialized() and not torch.cuda.is_available():
            dist.init_process_group("gloo", rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"]))
        super().setup_env(env_cfg)
