"""ADDA: adversarial discriminative adaptation of scores or features.

Tzeng, Hoffman, Saenko, Darrell, "Adversarial Discriminative Domain Adaptation", CVPR 2017, for segmentation
as in the published code of CyCADA (J. Hoffman et al., ICML 2018), whose feature-level adaptation it is.
"""

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.errors import ConfigError, TrainingError
from mmseg.models.layers.precision import full_precision
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.parts.batch_statistics import kept_unless
from mmseg.models.uda.parts.discriminator import DISCRIMINATOR, frozen
from mmseg.models.uda.parts.encoder_features import feature_channels, last_features
from mmseg.models.uda.parts.pixel_discriminator import PixelDiscriminator
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import STUDENT, Objective, Step, UDADecorator
from mmseg.registry import MODELS

IS_SOURCE, IS_TARGET = 1, 0  # the two scores of the discriminator
INPUTS = ("scores", "features")
WEAK = "D.weak_iterations"


@MODELS.register_module()
class ADDA(UDADecorator):
    """Start from a network trained on the source; move its target scores or features to where those of the
    source are, in three steps per iteration:

    1. The discriminator learns to tell the domains apart, position by position.
    2. The student learns to have the target taken for the source, against the new discriminator.
    3. With shared weights the student learns from source labels, in a step of its own.

    The student's steps are only taken while the discriminator is right often enough; decided on the device.
    All numbers are those of the published script (``scripts/train_fcn_adda.sh`` of CyCADA).

    Args:
        model: The student segmentor; its weights should come from a training on the source (``load_from``).
        weights_shared: The student sees the source, too (published). Without, the source is seen by a copy of
            the network as it was at the first step, which is never trained, and step 3 is left out.
        discriminate: ``'scores'``, before the softmax and at the size of the images, or ``'features'``, the
            encoder's last map.
        lambda_d: Weight of the discriminator's loss.
        lambda_g: Weight of the student's adversarial loss.
        accuracy_threshold: Share of positions, in the mean of the last ``window`` iterations, above which the
            student's steps are taken.
        window: Length of that mean.
        patience: The run ends when no step of the student was taken for so many iterations (counted from -1,
            as published): there as many as the smaller domain has images, 2975 for Cityscapes; None = never.
        discriminator_channels: See :class:`PixelDiscriminator`; by default 512 for scores, 1024 for features.
        discriminator_dropout: Its probability of leaving out a channel.
        masking, translator: See :class:`UDADecorator`.

    Raises:
        ConfigError: An option is unknown or outside its range.
    """

    accuracies: Tensor
    weak: Tensor

    def __init__(
        self,
        model: dict | EncoderDecoder,
        weights_shared: bool = True,
        discriminate: str = "scores",
        lambda_d: float = 1.0,
        lambda_g: float = 0.1,
        accuracy_threshold: float = 0.6,
        window: int = 100,
        patience: int | None = 2975,
        discriminator_channels: int | None = None,
        discriminator_dropout: float = 0.5,
        masking: dict | None = None,
        translator: dict | None = None,
    ) -> None:
        super().__init__(model, translator=translator)
        if discriminate not in INPUTS:
            raise ConfigError(f"uda: discriminate={discriminate!r} is unknown; expected one of {INPUTS}")
        numbers = dict(lambda_d=lambda_d, lambda_g=lambda_g, window=window, patience=patience or 0)
        if min(numbers.values()) < 0 or window < 1 or not 0 <= accuracy_threshold <= 1:
            raise ConfigError(
                f"uda: ADDA has accuracy_threshold={accuracy_threshold} and {numbers}; expected a share in "
                "[0, 1] and numbers from 0 on, window from 1 on"
            )
        self.discriminate, self.lambda_d, self.lambda_g = discriminate, lambda_d, lambda_g
        self.accuracy_threshold, self.patience = accuracy_threshold, patience
        scores = discriminate == "scores"
        channels = self.model.num_classes if scores else feature_channels(self.model)
        width = discriminator_channels or (512 if scores else 1024)
        self.model_D = PixelDiscriminator(channels, width, dropout_ratio=discriminator_dropout)
        self.other_networks[DISCRIMINATOR] = self.model_D
        self.source_model = None if weights_shared else self.frozen_copy()
        self.register_buffer("accuracies", torch.zeros(window))  # a ring; part of the checkpoint
        self.register_buffer("weak", torch.zeros((), dtype=torch.long))
        self.add_masking(masking)

    def objectives(self, batch: UDABatch) -> Iterator[Losses | Objective | Step]:
        """The three steps of an iteration, each with what the one before has made of the weights."""
        if self.source_model is not None and batch.progress.iteration == 0:
            self.source_model.load_state_dict(self.model.state_dict())
        batch.show(source=batch.img, source_label=batch.gt_semantic_seg, target=batch.target_img)

        # 1. Discriminator
        with torch.no_grad():
            source = self.seen(self.source_model or self.model, batch.img)
            target = self.seen(self.model, batch.target_img)
        scores, label = self.scores_and_labels(source, target)
        loss = self.lambda_d * F.cross_entropy(scores, label)
        accuracy, mean = self.accuracy(scores, label, batch)
        taken = mean > self.accuracy_threshold
        weak = torch.where(taken, 0, self.weak + 1)
        self.weak.copy_(weak)
        log = {"D.loss": loss, "D.accuracy": accuracy, "D.mean_accuracy": mean, WEAK: weak}
        yield Objective(log, DISCRIMINATOR)
        yield Step(DISCRIMINATOR)

        # 2. Student, against the discriminator
        with kept_unless(taken, self.model):
            with frozen(self.model_D):
                score = full_precision(self.model_D(self.seen(self.model, batch.target_img)))
            fooled = F.cross_entropy(score, torch.full_like(score[:, 0], IS_SOURCE, dtype=torch.long))
            yield {"G_trg.loss": self.lambda_g * fooled}
            yield Step(STUDENT, when=taken)

        # 3. Student, on source labels
        if self.source_model is None:
            with kept_unless(taken, self.model):
                losses, _ = self.model.forward_train(batch.img, batch.gt_semantic_seg)
                yield losses
                yield Step(STUDENT, when=taken)

    def seen(self, model: EncoderDecoder, img: Tensor) -> Tensor:
        """(B, C, H, W) scores or (B, C, h, w) features of (B, 3, H, W) images."""
        if self.discriminate == "scores":
            return model.forward_outputs(img)[0]["main"]
        return last_features(model, model.training_features(img))

    def scores_and_labels(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 2) scores of the discriminator and (N) labels of all positions of both domains."""
        scores = [full_precision(self.model_D(x)).movedim(1, -1).flatten(0, -2) for x in (source, target)]
        labels = [
            x.new_full(x.shape[:1], y, dtype=torch.long)
            for x, y in zip(scores, (IS_SOURCE, IS_TARGET), strict=True)
        ]
        return torch.cat(scores), torch.cat(labels)

    @torch.no_grad()
    def accuracy(self, scores: Tensor, label: Tensor, batch: UDABatch) -> tuple[Tensor, Tensor]:
        """Share of positions, of all processes, that the discriminator gets right: now, and in the mean."""
        now = batch.context.mean((scores.argmax(dim=1) == label).to(self.accuracies.dtype).mean())
        window, iteration = len(self.accuracies), batch.progress.iteration
        self.accuracies[iteration % window] = now
        return now, self.accuracies.sum() / min(iteration + 1, window)

    def check_values(self, iteration: int, values: Mapping[str, float]) -> None:
        """End the run when there is no suitable discriminator, as published."""
        if self.patience is not None and values.get(WEAK, 0) + 1 >= self.patience:
            raise TrainingError(
                f"iteration {iteration}: no suitable discriminator; for {values[WEAK]:.0f} iterations it was "
                f"right in at most {self.accuracy_threshold:.0%} of the positions, so the student was not "
                "trained. The published training ends here, and the last checkpoint is its result. To go on, "
                "lower uda.accuracy_threshold (others used 0.55) or raise uda.patience, then continue with "
                "--resume"
            )
