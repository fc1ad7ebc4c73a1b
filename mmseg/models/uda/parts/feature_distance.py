"""Thing-class ImageNet feature distance (DAFormer, Hoyer et al. 2022, sec. 3.3, eq. 8-11)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg.errors import ConfigError
from mmseg.models.uda.step_context import ONE_PROCESS, GlobalBatch

IGNORE_INDEX = 255


def downscale_label_ratio(label: Tensor, scale: int, min_ratio: float, num_classes: int) -> Tensor:
    """Shrink a label map to the classes that dominate its cells.

    Args:
        label: (B, H, W) int64 in 0…num_classes-1 or 255.
        scale: Edge length of a cell in pixels; incomplete cells at the border are dropped.
        min_ratio: Share of a cell that its most frequent class must cover; otherwise the cell becomes 255.
        num_classes: Number of classes C.

    Returns:
        (B, H // scale, W // scale) int64.
    """
    batch, height, width = label.shape[0], label.shape[1] // scale, label.shape[2] // scale
    cells = label[:, : height * scale, : width * scale].view(batch, height, scale, width, scale)
    cells = cells.transpose(2, 3).reshape(batch, height, width, scale * scale)
    cells = cells.masked_fill(cells == IGNORE_INDEX, num_classes)
    votes = torch.zeros(batch, height, width, num_classes + 1, device=label.device)
    votes.scatter_add_(3, cells, votes.new_ones(()).expand(cells.shape))
    count, winner = votes.max(dim=3)
    undecided = (winner == num_classes) | (count / (scale * scale) < min_ratio)
    return winner.masked_fill(undecided, IGNORE_INDEX)


def class_table(classes: Sequence[int]) -> Tensor:
    """(256,) bool, True for the label values that are one of the classes."""
    table = torch.zeros(256, dtype=torch.bool)
    table[list(classes)] = True
    return table


def masked_feature_distance(
    features: Tensor,
    reference: Tensor,
    mask: Tensor | None = None,
    processes: GlobalBatch = ONE_PROCESS,
) -> Tensor:
    """Mean Euclidean distance of feature vectors (eq. 8 and 9).

    Args:
        features: (B, C, h, w) features of the student.
        reference: (B, C, h, w) features of the frozen ImageNet encoder.
        mask: (B, h, w) bool, the positions to average over; None = all. An empty mask gives 0.
        processes: Whose positions are averaged over together.

    Returns:
        A scalar.

    Raises:
        ConfigError: Mask and features differ in size.
    """
    distance = torch.linalg.vector_norm(features.float() - reference.float(), dim=1)
    if mask is None:
        return distance.mean()
    if mask.shape != distance.shape:
        raise ConfigError(
            f"feature distance: the label has {tuple(mask.shape[1:])} cells, the features have "
            f"{tuple(distance.shape[1:])}; choose a training crop whose sides are multiples of the encoder's "
            "stride (32 for MiT)"
        )
    count = processes.mean(mask.sum().float()).clamp(min=1 / processes.world_size)
    return (distance * mask).sum() / count
