"""Masks of square blocks (MIC, Hoyer et al., CVPR 2023, eq. 4 and 5)."""

import torch.nn.functional as F
from torch import Tensor

from mmseg.errors import ConfigError
from mmseg.models.uda.step_context import ONE_PROCESS, StepContext
from mmseg.registry import MODELS


@MODELS.register_module()
class BlockMaskGenerator:
    """Draws a mask of blocks for each image.

    Args:
        mask_ratio: Probability with which a block is masked.
        mask_block_size: Edge length of a block in pixels.

    Raises:
        ConfigError: A value is out of range.
    """

    def __init__(self, mask_ratio: float, mask_block_size: int) -> None:
        ratio_fits = isinstance(mask_ratio, int | float) and 0 <= mask_ratio <= 1
        if not ratio_fits or not isinstance(mask_block_size, int) or mask_block_size < 1:
            raise ConfigError(
                f"mask_generator: mask_ratio={mask_ratio!r}, mask_block_size={mask_block_size!r}; "
                "expected a ratio in [0, 1] and a whole number of pixels from 1 on"
            )
        self.mask_ratio = mask_ratio
        self.mask_block_size = mask_block_size

    def __call__(self, img: Tensor, context: StepContext = ONE_PROCESS) -> Tensor:
        """(B, 1, H, W) float, 0 where (B, C, H, W) images are to be masked."""
        rows, columns = (max(1, round(length / self.mask_block_size)) for length in img.shape[2:])
        uniform = context.rand(len(img), 1, rows, columns, device=img.device)
        return F.interpolate((uniform > self.mask_ratio).to(img.dtype), img.shape[2:], mode="nearest")
