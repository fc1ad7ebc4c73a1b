"""Random numbers of a training step."""

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook

from mmseg.registry import HOOKS


@HOOKS.register_module()
class IterationRandomnessHook(Hook):
    """Make every random number of a step a function of (seed, iteration, rank).

    Drop path, dropout, mixing and augmentation all draw from torch's generators, which are seeded anew before
    each step. A resumed run therefore needs no replay.
    """

    priority = "VERY_HIGH"

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        key = np.random.SeedSequence([runner.seed, runner.iter, get_rank()])
        torch.manual_seed(int(key.generate_state(1, np.uint64)[0] >> np.uint64(1)))
