"""Several networks that predict together."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.segmentors.inference import Inference

AVERAGES = ("logits", "probabilities")


class Ensemble(Inference):
    """Networks whose logits or probabilities are averaged at the size of the result, for tests.

    Logits as in the row "AdvEnt + MinEnt" of ADVENT (Vu et al., CVPR 2019), probabilities as in FDA (Yang,
    Soatto, CVPR 2020).

    Args:
        networks: Segmentors of the same classes; each predicts by its own ``test_cfg``. Images are prepared
            as the first one expects.
        average: ``'logits'`` or ``'probabilities'``; of the latter the logarithm is given, whose softmax they
            are.

    Raises:
        ConfigError: The average is unknown; there is no network, or they have other classes or other
            statistics of the images.
    """

    def __init__(self, networks: Sequence[Inference], average: str = "logits") -> None:
        if average not in AVERAGES:
            raise ConfigError(f"Ensemble: average={average!r}; expected one of {', '.join(AVERAGES)}")
        if not networks:
            raise ConfigError("Ensemble: has no network; expected one at least")
        first = networks[0]
        super().__init__(None, first.test_cfg)
        self.data_preprocessor = first.data_preprocessor
        self.networks: Any = nn.ModuleList(networks)
        self.average = average
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
        """Mean of one pass of each network, as logits; see :class:`EncoderDecoder`."""
        return self.mean([network.encode_decode(img, upscale_pred) for network in self.networks])

    @torch.no_grad()
    def predict(self, img: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """Mean (B, C, *size) of the predictions of each network, as logits; see :class:`Inference`."""
        return self.mean([network.predict(img, size) for network in self.networks])

    def mean(self, logits: Sequence[Tensor]) -> Tensor:
        """(B, C, H, W) logits of what the networks say together."""
        if self.average == "logits":
            return torch.stack(list(logits)).mean(dim=0)
        return torch.stack([each.softmax(dim=1) for each in logits]).mean(dim=0).log()

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
