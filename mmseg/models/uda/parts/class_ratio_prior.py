"""The prior on the shares of the classes (Vu et al., "ADVENT", CVPR 2019: "CP")."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.uda.parts.class_statistics import pixels_of_classes


class ClassRatioPrior(nn.Module):
    """Keeps the classes of the source from vanishing in the predictions on the target.

    L_cp(x) = Σ_c max(0, μ · p_c − mean_{h,w} P_c(x)), where p are the shares of the classes in the source.

    Args:
        num_classes: Number of classes C.
        class_ratio: Share, or number, of the source pixels of each class, or the
            ``sample_class_stats.json`` of the source data.
        relaxation: μ; the paper's value by default.
        loss_weight: Weight of the loss; the paper states none.

    Raises:
        ConfigError: ``class_ratio`` does not fit to the classes, or a number is negative.
    """

    share: Tensor

    def __init__(
        self,
        num_classes: int,
        class_ratio: Sequence[float] | str,
        relaxation: float = 0.5,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if relaxation < 0 or loss_weight < 0:
            raise ConfigError(
                f"uda: class_ratio_prior has relaxation={relaxation}, loss_weight={loss_weight}; expected "
                "numbers from 0 on"
            )
        self.class_ratio = class_ratio
        self.relaxation, self.loss_weight = relaxation, loss_weight
        self.register_buffer("share", torch.zeros(num_classes), persistent=False)
        if not isinstance(class_ratio, str):
            self.begin_run()

    @classmethod
    def build(cls, num_classes: int, settings: Mapping[str, Any] | None) -> "ClassRatioPrior | None":
        """The prior that a config asks for."""
        return None if settings is None else cls(num_classes, **settings)

    def begin_run(self) -> None:
        """Read the shares; not before, since a network is also built where the data are not.

        Raises:
            ConfigError: The file cannot be read, or has other classes.
        """
        ratio = self.class_ratio
        try:
            classes = len(self.share)
            pixels = pixels_of_classes(ratio, classes) if isinstance(ratio, str) else [list(ratio)]
            counts = torch.tensor(pixels, dtype=torch.float64, device="cpu").sum(dim=0)
        except (TypeError, ValueError, RuntimeError):  # not numbers, or not of one shape
            counts = torch.zeros(0)
        if counts.shape != self.share.shape or not (counts >= 0).all() or not 0 < counts.sum() < torch.inf:
            raise ConfigError(
                f"uda: class_ratio_prior has class_ratio={ratio!r}; expected a number from 0 on for each of "
                f"the {len(self.share)} classes"
            )
        self.share.copy_(counts / counts.sum())

    def forward(self, logits: Tensor) -> Tensor:
        """Loss of (B, C, H, W) logits: the mean over the images, shape ()."""
        predicted = logits.softmax(dim=1).mean(dim=(2, 3))  # (B, C)
        missing = (self.relaxation * self.share - predicted).clamp(min=0)
        return self.loss_weight * missing.sum(dim=1).mean()


def prior_losses(prior: ClassRatioPrior | None, logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The loss of each output of a segmentor; none without a prior."""
    return {} if prior is None else {f"prior.loss.{name}": prior(x) for name, x in logits.items()}
