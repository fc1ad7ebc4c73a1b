"""FCNs in the Wild: the first adversarial adaptation of segmentation.

J. Hoffman, Wang, Yu, Darrell, "FCNs in the Wild: Pixel-level Adversarial and Constraint-based Adaptation",
arXiv 1612.02649, 2016. The authors published no code.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor
from torch.nn.functional import softplus

from mmseg.errors import ConfigError
from mmseg.models.layers.precision import full_precision
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.parts.category_sizes import CategorySizes
from mmseg.models.uda.parts.discriminator import DISCRIMINATOR, frozen
from mmseg.models.uda.parts.encoder_features import feature_channels, last_features
from mmseg.models.uda.parts.pixel_discriminator import PixelDiscriminator
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import Objective, UDADecorator
from mmseg.registry import MODELS


@MODELS.register_module()
class FCNsInTheWild(UDADecorator):
    """Train on source labels; align the last features of the domains, and the sizes of the classes.

    - Global alignment: at each position of the last features a discriminator says the probability p that it
      comes from the source. It minimises L_D = −Σ log p(R_S) − Σ log(1 − p(R_T)), while the student
      minimises ½ (L_D + L_Dinv), where L_Dinv has the domains swapped.
    - Category specific adaptation: see :class:`CategorySizes`.

    Stated in the paper: the losses, where they are taken, the constraints. Chosen here: means over the
    positions instead of sums, so that weights do not depend on the size of images; the logits of the
    constraints are those of the decode head at its own stride. Of a re-implementation: discriminator and
    learning rates (configs/_base_/uda/fcns_in_the_wild.py), ``lambda_sizes`` and the ramp. There the last two
    multiply the learning rate of an optimizer of their own; here, with one optimizer, they weigh losses.

    Args:
        model: The student segmentor.
        sizes: See :class:`CategorySizes`; None = global alignment alone.
        lambda_adv: Weight of ½ (L_D + L_Dinv) at the end of the ramp.
        lambda_sizes: Weight of the constraints.
        ramp_iters: The weight of the alignment grows as 2 / (1 + exp(−10 t / ramp_iters)) − 1; 0 = at once.
        slack: See :class:`CategorySizes`.
        discriminator_channels: See :class:`PixelDiscriminator`.
        discriminator_dropout: Its probability of leaving out a channel.
        masking, translator: See :class:`UDADecorator`.

    Raises:
        ConfigError: An option is outside its range.
    """

    def __init__(
        self,
        model: dict | EncoderDecoder,
        sizes: Mapping[str, Sequence[float]] | str | None = None,
        lambda_adv: float = 1.0,
        lambda_sizes: float = 0.1,
        ramp_iters: int = 1200,
        slack: float = 2.0,
        discriminator_channels: int = 1024,
        discriminator_dropout: float = 0.5,
        masking: dict | None = None,
        translator: dict | None = None,
    ) -> None:
        super().__init__(model, translator=translator)
        if min(lambda_adv, lambda_sizes, ramp_iters) < 0:
            raise ConfigError(
                f"uda: FCNsInTheWild has lambda_adv={lambda_adv}, lambda_sizes={lambda_sizes}, "
                f"ramp_iters={ramp_iters}; expected numbers from 0 on"
            )
        self.lambda_adv, self.lambda_sizes, self.ramp_iters = lambda_adv, lambda_sizes, ramp_iters
        self.sizes = None if sizes is None else CategorySizes(self.model.num_classes, sizes, slack)
        self.model_D = PixelDiscriminator(
            feature_channels(self.model), discriminator_channels, 1, discriminator_dropout
        )
        self.other_networks[DISCRIMINATOR] = self.model_D
        self.add_masking(masking)

    def objectives(self, batch: UDABatch) -> Iterator[Losses | Objective]:
        """Source and target losses of the student, each with its part of the alignment; the discriminator."""
        weight = self.lambda_adv * self.ramp(batch.progress.iteration)
        batch.show(source=batch.img, source_label=batch.gt_semantic_seg, target=batch.target_img)
        losses, features = self.model.forward_train(batch.img, batch.gt_semantic_seg, return_feat=True)
        source = last_features(self.model, features)
        with frozen(self.model_D):
            losses["G_src.loss"] = weight * confusion(self.score(source))
        source = source.detach()
        yield losses

        features = self.model.training_features(batch.target_img)
        target = last_features(self.model, features)
        with frozen(self.model_D):
            losses = {"G_trg.loss": weight * confusion(self.score(target))}
        if self.sizes is not None:
            logits = full_precision(self.model.decode_head(features))
            losses["sizes.loss"] = self.lambda_sizes * self.sizes(logits)
        target = target.detach()
        yield losses

        yield Objective({"D_src.loss": softplus(-self.score(source)).mean()}, DISCRIMINATOR)
        yield Objective({"D_trg.loss": softplus(self.score(target)).mean()}, DISCRIMINATOR)

    def ramp(self, iteration: int) -> float:
        """Share of the weight of the alignment, from 0 to 1."""
        return 2 / (1 + math.exp(-10 * iteration / self.ramp_iters)) - 1 if self.ramp_iters else 1.0

    def score(self, features: Tensor) -> Tensor:
        """Logits (B, 1, h, w) of p, the probability of the source."""
        return full_precision(self.model_D(features))


def confusion(score: Tensor) -> Tensor:
    """½ (−log p − log(1 − p)) for logits of p: the part of one domain in ½ (L_D + L_Dinv), per position."""
    return (softplus(-score) + softplus(score)).mean() / 2
