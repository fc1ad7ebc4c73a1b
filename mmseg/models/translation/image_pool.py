"""Images that a generator made some iterations ago, for its discriminator.

Shrivastava et al., "Learning from Simulated and Unsupervised Images through Adversarial Training", CVPR 2017,
as CycleGAN (Zhu et al., ICCV 2017) uses it.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError


class ImagePool(nn.Module):
    """Returns, for each image, the image itself or an older one, whose place it takes.

    The first ``size`` images are kept and returned. From then on half of the images are exchanged for one
    that is drawn from those kept. Images and their number are part of the state.

    Args:
        size: Number of images that are kept; 0 = none, every image is returned.

    Raises:
        ConfigError: The size is negative.
    """

    shaped_in_training: ClassVar[tuple[str, ...]] = ("images",)

    def __init__(self, size: int = 50) -> None:
        super().__init__()
        if size < 0:
            raise ConfigError(f"ImagePool: size={size}; expected a number from 0 on")
        self.size = size
        self.asked = 0
        self.register_buffer("images", torch.empty(0))
        self.images: Tensor

    @torch.no_grad()
    def forward(self, images: Tensor, draws: Tensor) -> Tensor:
        """Exchange images, one after the other; nothing is read back from the device.

        Args:
            images: (B, C, H, W), always of the same size.
            draws: (B, 2) numbers in [0, 1): above ½ an image is exchanged; for which one.

        Returns:
            (B, C, H, W), without gradient.

        Raises:
            ConfigError: The images kept have another size.
        """
        images = images.detach()
        if not self.size:
            return images
        if not self.images.numel():
            self.images = images.new_zeros(self.size, *images.shape[1:])
        if self.images.shape[1:] != images.shape[1:]:
            raise ConfigError(
                f"ImagePool: images of shape {tuple(images.shape[1:])}; expected that of the images kept, "
                f"{tuple(self.images.shape[1:])}: all crops of a run have to have one size"
            )
        images = images.to(self.images.dtype)
        returned = []
        for image, (change, choice) in zip(images.split(1), draws.unbind(), strict=True):
            if self.asked < self.size:
                self.images[self.asked] = image[0]
                returned.append(image)
            else:
                place = (choice * self.size).long().clamp(max=self.size - 1).view(1)
                older, exchanged = self.images.index_select(0, place), change > 0.5
                returned.append(torch.where(exchanged, older, image))
                self.images.index_copy_(0, place, torch.where(exchanged, image, older))
            self.asked += 1
        return torch.cat(returned)

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.asked)

    def set_extra_state(self, state: Tensor) -> None:
        self.asked = int(state)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *others: Any) -> None:
        stored = state_dict.get(f"{prefix}images")
        if stored is not None and len(stored) in (0, self.size):  # another size is a misfit, named by torch
            self.images = stored.new_empty(stored.shape, device=self.images.device)
        super()._load_from_state_dict(state_dict, prefix, *others)
