"""Translated images show what they showed before: two ways to say so.

Both are held by a method that translates images, and give it losses for images that were drawn.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.checkpoints.generators import TO_SOURCE, TO_TARGET
from mmseg.checkpoints.weights import load_checkpoint
from mmseg.errors import ConfigError
from mmseg.labels import IGNORE_INDEX
from mmseg.models.layers.precision import full_precision
from mmseg.models.segmentors.encoder_decoder import Losses
from mmseg.models.uda.parts.discriminator import frozen
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import Objective
from mmseg.registry import MODELS

CLASSIFIER = "classifier"
"""Name of its optimizer."""

Reference = dict[str, Tensor]
"""Direction -> what the images said before they were translated."""


@MODELS.register_module()
class LearntConsistency(nn.Module):
    """A classifier C that learns from real source images at the same time (CyCADA's published code).

    The generators minimise CE(C(G(s)), y) + CE(C(F(t)), argmax C(t)), but only while C is good enough: its
    loss on source images in the iteration before decides, and is part of the checkpoint. C sees batches of
    real and drawn images with their own statistics.

    Args:
        classifier: Config of C: (B, 3, H, W) in [-1, 1] to logits, (B, classes) for labels (B), or
            (B, classes, H, W) for labels (B, H, W).
        threshold: The loss of C up to which it is believed.
        weight: Of both terms.
    """

    trained: ClassVar[bool] = True
    last_loss: Tensor

    def __init__(self, classifier: Mapping[str, Any], threshold: float = 1.0, weight: float = 1.0) -> None:
        super().__init__()
        self.network = MODELS.build(dict(classifier))
        self.threshold, self.weight = threshold, weight
        self.register_buffer("last_loss", torch.full((), torch.inf))

    def reference(self, batch: UDABatch) -> Reference:
        """Labels of the source, and what C takes the target images for."""
        with torch.no_grad():
            self.network(batch.img)  # as published: statistics of norms count these images twice
            noisy = self.network(batch.target_img).argmax(dim=1)
        return {TO_TARGET: batch.gt_semantic_seg, TO_SOURCE: noisy}

    def losses(self, way: str, reference: Reference, drawn: Tensor) -> Losses:
        """``loss_semantic`` of images (B, 3, H, W) that were drawn; 0 while C is not believed."""
        with frozen(self.network):
            logits = full_precision(self.network(drawn))
        loss = self.weight * F.cross_entropy(logits, reference[way], ignore_index=IGNORE_INDEX)
        return {"loss_semantic": torch.where(self.last_loss <= self.threshold, loss, 0.0)}

    def objectives(self, batch: UDABatch) -> Iterator[Objective]:
        """C learns from real source images."""
        logits = full_precision(self.network(batch.img))
        loss = F.cross_entropy(logits, batch.gt_semantic_seg, ignore_index=IGNORE_INDEX)
        yield Objective({"C.loss": loss}, CLASSIFIER)
        self.last_loss.copy_(batch.context.mean(loss.detach()))


@MODELS.register_module()
class DynamicConsistency(nn.Module):
    """A trained segmentation network K that is not changed (MADAN's dynamic semantic consistency).

    ω ⟨KL(softmax K(s) ‖ softmax K(G(s)))⟩, the mean over images, pixels and classes. Zhao et al.,
    "Multi-source Domain Adaptation for Semantic Segmentation", NeurIPS 2019. In the published code both sides
    are one network, whose weights come from a training on translated images.

    Args:
        segmentor: Config of K.
        checkpoint: Its weights; those of the student in a run of adaptation.
        weight: ω. The paper's runs had 10 for GTA alone, 4 for Synthia and for both, as far as the history of
            the code tells; the last version of its scripts has 200.
        published_input: K sees images in [-1, 1] and takes the statistics of each batch in its norms, as in
            the published code, although it was trained on other images. By default it sees images as in its
            own training, and its statistics stay.
    """

    trained: ClassVar[bool] = False

    def __init__(
        self,
        segmentor: Mapping[str, Any],
        checkpoint: str | None = None,
        weight: float = 10.0,
        published_input: bool = False,
    ) -> None:
        super().__init__()
        self.network = MODELS.build({**segmentor, "pretrained": None}).requires_grad_(False)
        self.checkpoint, self.weight, self.published_input = checkpoint, weight, published_input

    def begin_run(self) -> None:
        """Read the weights of K; those of a run that is resumed come after.

        Raises:
            ConfigError: The config names none.
            CheckpointError: The file is missing or of another network.
        """
        if self.checkpoint is None:
            raise ConfigError(
                "config: uda: the consistency has checkpoint=None, and a network with random weights says "
                "nothing of images; name the weights of a segmentation network"
            )
        load_checkpoint(self.network, self.checkpoint)

    def train(self, mode: bool = True) -> "DynamicConsistency":
        """Norms of K take statistics of the batch only as published."""
        super().train(mode and self.published_input)
        return self

    def predicted(self, images: Tensor) -> Tensor:
        """(B, C, H, W) logits of images (B, 3, H, W) in [-1, 1]."""
        if not self.published_input:
            images = self.network.data_preprocessor.normalize01((images + 1) / 2)
        return full_precision(self.network(images))

    def reference(self, batch: UDABatch) -> Reference:
        """What K says of the source images, (B, C, H, W) probabilities."""
        with torch.no_grad():
            return {TO_TARGET: self.predicted(batch.img).softmax(dim=1)}

    def losses(self, way: str, reference: Reference, drawn: Tensor) -> Losses:
        """``loss_semantic`` of source images that were drawn in the look of the target."""
        if way not in reference:
            return {}
        log_probabilities = self.predicted(drawn).log_softmax(dim=1)
        divergence = F.kl_div(log_probabilities, reference[way], reduction="none").mean()
        return {"loss_semantic": self.weight * divergence}

    def objectives(self, batch: UDABatch) -> Iterator[Objective]:
        """K learns nothing."""
        yield from ()
