"""What a UDA method works on."""

from dataclasses import dataclass, field

from torch import Tensor

from mmseg.errors import ConfigError
from mmseg.models.uda.step_context import ONE_PROCESS, GlobalBatch


@dataclass(frozen=True)
class UDABatch:
    """One source and one target mini-batch on the device.

    Attributes:
        img: (B, 3, H, W) normalised source crops.
        gt_semantic_seg: (B, H, W) int64 source labels, 255 = ignore.
        target_img: (B, 3, H, W) normalised target crops.
        valid_pseudo_mask: (B, H, W) bool, where target pseudo-labels may be trusted; None = everywhere.
        processes: The batches of all processes, of which this is one.
        pictures: What a method wants to have drawn: name -> (B, 3, H, W) normalised image, (B, H, W) label
            map (integer) or (B, H, W) weight in [0, 1] (float). Filled by ``objectives``, drawn by a hook,
            costs nothing.
    """

    img: Tensor
    gt_semantic_seg: Tensor
    target_img: Tensor
    valid_pseudo_mask: Tensor | None = None
    processes: GlobalBatch = ONE_PROCESS
    pictures: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: dict, processes: GlobalBatch = ONE_PROCESS) -> "UDABatch":
        """Pick the fields out of a collated and preprocessed batch."""
        missing = [key for key in ("img", "gt_semantic_seg", "target_img") if key not in data]
        if missing:
            raise ConfigError(
                f"training batch: {', '.join(missing)} missing (found {', '.join(data)}); "
                "a UDA method needs train_dataloader.dataset of type 'UDADataset'"
            )
        return cls(
            data["img"], data["gt_semantic_seg"], data["target_img"], data.get("valid_pseudo_mask"), processes
        )
