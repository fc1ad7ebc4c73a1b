"""Several networks that predict together."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.segmentors.inference import Inference


class Ensemble(Inference):
    """Networks whose logits are averaged at the size of the result, for tests.

    As the row "AdvEnt + MinEnt" of ADVENT (Vu et al., CVPR 2019).

    Args:
        networks: Segmentors of the same classes; each predicts by its own ``test_cfg``. Images are prepared
            as the first one expects.

    Raises:
        ConfigError: There is none, or they have other classes or other statistics of the images.
    """

    def __init__(self, networks: Sequence[Inference]) -> None:
        if not networks:
            raise ConfigError("Ensemble: has no network; expected one at least")
        first = networks[0]
        super().__init__(None, first.test_cfg)
        self.data_preprocessor = first.data_preprocessor
        self.networks: Any = nn.ModuleList(networks)
        for network in networks:
            same = all(
                torch.equal(a, b)
                for a, b in zip(*(x.data_preprocessor.buffers() for x in (first, network)), strict=True)
            )
            if network.num_classes != first.num_classes or not same:
                raise ConfigError(
                    f"Ensemble: a network predicts {network.num_classes} classes, another one "
                    f"{first.num_classes}, or they normalise images in different ways; expected the same"
                )

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.networks[0].num_classes

    @property
    def align_corners(self) -> bool:
        """As that of the first network."""
        return self.networks[0].align_corners

    def encode_decode(self, img: Tensor, upscale_pred: bool = True) -> Tensor:
        """Mean logits of one pass of each network; see :class:`EncoderDecoder`."""
        return torch.stack([x.encode_decode(img, upscale_pred) for x in self.networks]).mean(dim=0)

    @torch.no_grad()
    def predict(self, img: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """Mean logits (B, C, *size) of the predictions of each network; see :class:`Inference`."""
        return torch.stack([network.predict(img, size) for network in self.networks]).mean(dim=0)

    def forward(
        self,
        img: Tensor,
        gt_semantic_seg: Tensor | None = None,
        img_metas: Sequence[Mapping[str, Any]] | None = None,
        mode: str = "tensor",
        **_: Any,
    ) -> Any:
        """As :meth:`EncoderDecoder.forward` with the modes ``predict`` and ``tensor``."""
        if mode == "predict" and img_metas is not None:
            return self._predict_samples(img, img_metas, gt_semantic_seg)
        if mode == "tensor":
            return self.encode_decode(img)
        raise ValueError(f"Ensemble: mode={mode!r}; expected 'predict' with img_metas, or 'tensor'")
