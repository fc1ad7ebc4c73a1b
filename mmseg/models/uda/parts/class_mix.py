"""ClassMix: paste the pixels of half of the source classes onto target images (Olsson et al. 2021; DACS, sec.
3.2)."""

import torch
from torch import Tensor

from mmseg.labels import NUM_LABEL_VALUES
from mmseg.models.uda.step_context import ONE_PROCESS, StepContext


def draw_classes(label: Tensor, context: StepContext = ONE_PROCESS) -> Tensor:
    """Choose half of the classes (rounded up) at random, anew for each image.

    As published, the classes of every image are drawn from those of the whole batch, and 255 (ignore) counts
    as a class when it occurs. Nothing is read back to the host.

    Args:
        label: (B, H, W) int64 source labels in 0…255.
        context: Of the step; the batches of all its processes are one batch.

    Returns:
        (B, 256) bool, True for the chosen label values.
    """
    present = torch.zeros(NUM_LABEL_VALUES, dtype=torch.bool, device=label.device)
    present[label.flatten()] = True
    present = context.any(present)
    number = (present.sum() + 1) // 2
    uniform = context.rand(len(label), NUM_LABEL_VALUES, device=label.device)
    uniform = uniform.masked_fill(~present, -1.0)
    rank = uniform.argsort(dim=1, descending=True).argsort(dim=1)
    return rank < number


def mix_masks(label: Tensor, chosen: Tensor) -> Tensor:
    """Mark the pixels of the chosen classes.

    Args:
        label: (B, H, W) int64 source labels in 0…255.
        chosen: (B, 256) bool, see :func:`draw_classes`.

    Returns:
        (B, H, W) bool, True where the source is pasted.
    """
    return chosen.gather(1, label.flatten(1)).view_as(label)


def mix(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Source where the mask is True, target elsewhere.

    Args:
        mask: (B, H, W) bool.
        source: (B, H, W) or (B, C, H, W).
        target: The same shape as ``source``.
    """
    return torch.where(mask if source.dim() == 3 else mask.unsqueeze(1), source, target)
