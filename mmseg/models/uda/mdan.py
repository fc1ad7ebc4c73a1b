"""MDAN: learn from several sources by a bound on the target's error.

Zhao, Zhang, Wu, Moura, Costeira, Gordon, "Adversarial Multiple Source Domain Adaptation", NeurIPS 2018; for
segmentation as in the published code of MADAN (Zhao et al., NeurIPS 2019).
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.models.layers.precision import full_precision
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.parts.encoder_features import feature_channels, last_features
from mmseg.models.uda.parts.gradient_reversal import reverse_gradient
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import UDADecorator
from mmseg.registry import MODELS

IS_TARGET, IS_SOURCE = 0, 1  # the two scores of a domain classifier
BOUNDS = ("hard", "soft")
TASKS = ("each", "sum")


def hard_bound(task: Tensor, domain: Tensor, mu: float) -> Tensor:
    """max_i ℓ_i + μ min_i d_i of the task losses ℓ (K,) and domain losses d (K,) of K sources, shape ()."""
    return task.max() + mu * domain.min()


def soft_bound(task: Tensor, domain: Tensor, mu: float, gamma: float) -> Tensor:
    """1/γ log Σ_i exp(γ (ℓ_i + μ d_i)), shape (): the larger γ, the more the worst source counts.

    The published code takes the sum of the exponentials as it stands, which is infinite in float32 from
    γ ℓ = 88 on; here the largest exponent is taken out.
    """
    return torch.logsumexp(gamma * (task + mu * domain), dim=0) / gamma


def domain_loss(classifier: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    """d_i: cross entropy of telling a source (B, C) from the target (B, C); what lies before the classifier
    is trained to raise it."""
    losses = []
    for features, label in ((source, IS_SOURCE), (target, IS_TARGET)):
        scores = full_precision(classifier(reverse_gradient(features)))
        losses.append(F.cross_entropy(scores, torch.full_like(scores[:, 0], label, dtype=torch.long)))
    return losses[0] + losses[1]


class ImageFeatures(nn.Module):
    """What a domain classifier sees of an image: means of 2×2 parts of its features, a 1×1 convolution and a
    perceptron. Published: 4096 channels of a VGG16 to 512, then 1000, 500 and 100 units.

    Args:
        in_channels: Channels of the features.
        channels: Behind the convolution.
        units: Of the layers of the perceptron, each with a ReLU.
    """

    def __init__(
        self, in_channels: int, channels: int = 512, units: Sequence[int] = (1000, 500, 100)
    ) -> None:
        super().__init__()
        self.reduction = nn.Conv2d(in_channels, channels, kernel_size=1)
        nn.init.xavier_uniform_(self.reduction.weight)
        nn.init.constant_(self.reduction.get_parameter("bias"), 0.1)
        sizes = [4 * channels, *units]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, h, w) to (B, units)."""
        x = self.reduction(F.adaptive_avg_pool2d(features, 2)).flatten(1)
        for layer in self.layers:
            x = layer(x).relu()
        return x


@MODELS.register_module()
class MDAN(UDADecorator):
    """Minimise ℓ_i, the cross entropy of source i, and raise d_i, the loss of a classifier that tells source
    i from the target, over all K sources at once.

    - hard: max_i ℓ_i + μ min_i d_i. The gradient of one source and of one classifier.
    - soft: 1/γ log Σ_i exp(γ (ℓ_i + μ d_i)). Each source counts by its share of the softmax of the exponents.

    The classifiers lie behind a gradient reversal and belong to the student's optimizer. The layers that they
    share lie before it: like the encoder, they are trained to confuse. All as published, but for one thing:
    the published code for segmentation puts Σ_i ℓ_i in the place of each ℓ_i, so that no source is weighed by
    how hard it is. The default is the paper's bound; ``task='sum'`` is that code, of which the published
    scores are.

    Images of all sources and of the target form one graph, which needs the memory of K + 1 forward passes.

    Args:
        model: The student segmentor.
        num_sources: K; the data give images of each (``mode='joint'``).
        bound: ``'hard'`` or ``'soft'``.
        mu: μ.
        gamma: γ of the soft bound.
        task: ``'each'``: ℓ_i is the loss of source i. ``'sum'``: that of all sources.
        channels: See :class:`ImageFeatures`.
        units: See :class:`ImageFeatures`.
        masking, translator: See :class:`UDADecorator`.

    Raises:
        ConfigError: An option is unknown or outside its range.
    """

    needs_each_source: ClassVar[bool] = True

    def __init__(
        self,
        model: dict | EncoderDecoder,
        num_sources: int = 2,
        bound: str = "hard",
        mu: float = 0.01,
        gamma: float = 10.0,
        task: str = "each",
        channels: int = 512,
        units: Sequence[int] = (1000, 500, 100),
        masking: dict | None = None,
        translator: dict | None = None,
    ) -> None:
        super().__init__(model, translator=translator)
        if bound not in BOUNDS or task not in TASKS or mu < 0 or gamma <= 0 or num_sources < 1:
            raise ConfigError(
                f"uda: MDAN has bound={bound!r}, task={task!r}, mu={mu}, gamma={gamma}, num_sources="
                f"{num_sources}; expected one of {BOUNDS}, one of {TASKS}, mu from 0 on, gamma above 0 and "
                "at least one source"
            )
        self.num_sources, self.bound, self.task = num_sources, bound, task
        self.mu, self.gamma = mu, gamma
        self.image_features = ImageFeatures(feature_channels(self.model), channels, units)
        self.classifiers = nn.ModuleList(nn.Linear(units[-1], 2) for _ in range(num_sources))
        self.add_masking(masking)

    def objectives(self, batch: UDABatch) -> Iterator[Losses]:
        """The bound, from a pass of each source and one of the target."""
        batch.show(source=batch.img, source_label=batch.gt_semantic_seg, target=batch.target_img)
        target = self.seen(self.model.training_features(batch.target_img))
        log: Losses = {}
        tasks, domains = [], []
        for number, classifier in enumerate(self.classifiers):
            part = batch.of_source(number)
            losses, features = self.model.forward_train(part.img, part.gt_semantic_seg, return_feat=True)
            tasks.append(torch.stack([x for name, x in losses.items() if "loss" in name]).sum())
            domains.append(domain_loss(classifier, self.seen(features), target))
            log |= {f"source_{number}.{name.replace('loss', 'task')}": x for name, x in losses.items()}
            log[f"source_{number}.domain"] = domains[-1]
        yield log | {"bound.loss": self.upper_bound(torch.stack(tasks), torch.stack(domains))}

    def seen(self, features: Any) -> Tensor:
        """(B, units) of the encoder's features."""
        return self.image_features(last_features(self.model, features))

    def upper_bound(self, task: Tensor, domain: Tensor) -> Tensor:
        """The bound from the losses (K,) of the task and of the domain classifiers, shape ()."""
        common = torch.zeros_like(task[0])
        if self.task == "sum":
            common, task = task.sum(), torch.zeros_like(task)
        if self.bound == "hard":
            return common + hard_bound(task, domain, self.mu)
        return common + soft_bound(task, domain, self.mu, self.gamma)
