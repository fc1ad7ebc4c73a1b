"""Self-training on labels that a round has chosen.

CBST: Zou, Yu, Kumar, Wang, "Unsupervised Domain Adaptation for Semantic Segmentation via Class-Balanced
Self-Training", ECCV 2018. CRST: Zou, Yu, Liu, Kumar, Wang, "Confidence Regularized Self-Training", ICCV 2019.
Which labels there are is the labeller's business (mmseg/labelling).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg.errors import ConfigError
from mmseg.models.losses import is_labelled
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.parts.bootstrapping import Bootstrapping
from mmseg.models.uda.parts.confidence_regulariser import ConfidenceRegulariser
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import UDADecorator
from mmseg.registry import MODELS


@MODELS.register_module()
class SelfTraining(UDADecorator):
    """Train on source labels and on chosen labels of target images alike: −Σ_k ŷ_k log p_k + α · r.

    ŷ is 1 at the label of a pixel, or a soft label, and 0 everywhere in pixels without a label. The cross
    entropy is that of the network's heads; with ``avg_non_ignore=True`` in ``loss_decode`` it is the mean
    over the labelled pixels of the batch, as published. A batch holds images of both domains
    (:class:`~mmseg.datasets.SelfTrainingDataset`), or pairs whose target images have labels.

    Args:
        model: The student segmentor.
        regulariser: Arguments of :class:`ConfidenceRegulariser`, r; None = without.
        beta: Share of the chosen label in TPLD's loss on the target, see :class:`Bootstrapping`; None =
            without this loss.
        norm_eval: Batch norms use their stored statistics, as published.
        masking, translator: See :class:`UDADecorator`.

    Raises:
        ConfigError: An option is outside its range.
    """

    takes_mixed_batches = True

    def __init__(
        self,
        model: dict | EncoderDecoder,
        regulariser: Mapping[str, Any] | None = None,
        beta: float | None = None,
        norm_eval: bool = True,
        masking: dict | None = None,
        translator: dict | None = None,
    ) -> None:
        super().__init__(model, masking, translator=translator)
        self.regulariser = ConfidenceRegulariser.build(regulariser)
        self.bootstrapping = None if beta is None else Bootstrapping(self.model.num_classes, beta)
        self.norm_eval = norm_eval

    def train(self, mode: bool = True) -> "SelfTraining":
        """Switch the networks; batch norms of the student stay in eval mode."""
        super().train(mode)
        if self.norm_eval:
            for layer in self.model.modules():
                if isinstance(layer, _BatchNorm):
                    layer.eval()
        return self

    def objectives(self, batch: UDABatch) -> Iterator[Losses]:
        """Cross entropy on all images, with what the regulariser and the bootstrapping loss add to it."""
        img, label, from_target = labelled_images(batch)
        labelled, weight = is_labelled(label), None
        if self.bootstrapping is not None:
            weight = self.bootstrapping.label_weight(from_target, labelled)
        logits, losses = self.model.forward_outputs(img, label, img.shape[2:], weight)
        if self.regulariser is not None:
            losses["regulariser.loss"] = self.regulariser(logits["main"], labelled, from_target)
        if self.bootstrapping is not None:
            losses["bootstrapping.loss"] = self.bootstrapping(logits["main"], labelled, from_target)
        yield losses


def labelled_images(batch: UDABatch) -> tuple[Tensor, Tensor, Tensor]:
    """Images (B, 3, H, W) of both domains, their labels, and which (B,) of them are of the target.

    Labels are (B, H, W), or (B, C, H, W) where there are soft ones.

    Raises:
        ConfigError: The target has no labels.
    """
    if batch.from_target is not None:
        label = batch.gt_semantic_seg if batch.soft_label is None else batch.soft_label
        batch.show(image=batch.img, label=batch.gt_semantic_seg)
        return batch.img, label, batch.from_target
    if batch.target_label is None:
        raise ConfigError(
            "training batch: target images have no labels; SelfTraining needs rounds in the config, and "
            "train_dataloader.dataset of type 'SelfTrainingDataset' (see configs/cbst) or 'UDADataset'; the "
            "pairs of 'EasyHardDataset' are for AdvEnt and TPLD"
        )
    batch.show(
        source=batch.img, source_label=batch.gt_semantic_seg, target=batch.target_img,
        target_label=batch.target_label,
    )  # fmt: skip
    img = torch.cat([batch.img, batch.target_img])
    from_target = torch.arange(len(img), device=img.device) >= len(batch.img)
    return img, torch.cat([batch.gt_semantic_seg, batch.target_label]), from_target
