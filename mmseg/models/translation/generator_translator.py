"""A trained generator that changes the images of a batch, or of a folder."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.checkpoints.generators import TO_SOURCE, TO_TARGET, load_generator
from mmseg.errors import ConfigError
from mmseg.models.layers.resize import resize
from mmseg.registry import MODELS, TRANSLATORS


@TRANSLATORS.register_module(name="Generator")
class GeneratorTranslator(nn.Module):
    """Draws source images in the look of the target; it is never trained.

    Args:
        checkpoint: Of a run that trains generators, or a published file of one, see
            :func:`~mmseg.checkpoints.generators.load_generator`.
        generator: Config of its network, ``uda.generator`` of that run.
        way: ``'to_target'``, or ``'to_source'`` for the other generator of the run.
        source: Name of the source, where that run has several.
        scale: Size of the image that the generator sees, as a share of the image's own: below 1 where crops
            are larger than those that it learnt from. What it draws is resized back; both bilinearly.
        dropout: Leave values out as in training, if the generator does so there. As published: the code of
            CyCADA and MADAN draws anew for each image. Without, a generator with dropout draws paler images
            than it learnt to.

    Raises:
        ConfigError: There is no such way.
    """

    needs_target: ClassVar[bool] = False
    """Whether the target images are looked at."""

    def __init__(
        self,
        checkpoint: str,
        generator: Mapping[str, Any] | None = None,
        way: str = TO_TARGET,
        source: str | None = None,
        scale: float = 1.0,
        dropout: bool = True,
    ) -> None:
        super().__init__()
        if scale <= 0:
            raise ConfigError(f"translator: scale={scale}; expected a share above 0")
        self.scale = scale
        if way not in (TO_TARGET, TO_SOURCE):
            raise ConfigError(f"translator: way={way!r}; expected {TO_TARGET!r} or {TO_SOURCE!r}")
        self.checkpoint, self.way, self.source, self.dropout = checkpoint, way, source, dropout
        self.network = MODELS.build(dict(generator or dict(type="ResnetGenerator"))).requires_grad_(False)
        self.train()

    def begin_run(self) -> None:
        """Read the weights; those of a run that is resumed come after.

        Raises:
            CheckpointError: The file is missing or of another network.
        """
        load_generator(self.network, self.checkpoint, self.way, self.source)

    def train(self, mode: bool = True) -> "GeneratorTranslator":
        """Norms do the same in training and test; what is left out depends on ``dropout`` alone."""
        super().train(False)
        for part in self.modules():
            if isinstance(part, nn.Dropout):
                part.train(self.dropout)
        return self

    @torch.no_grad()
    def forward(self, source: Tensor, target: Tensor | None = None) -> Tensor:
        """Translate images (B, 3, H, W) with values in [0, 1] to images of that kind and size.

        The generator sees values in [-1, 1], and a size that it keeps: what is missing repeats the last rows
        and columns and is cut off again.

        Args:
            source: The images.
            target: Not looked at; other translators take it as an example.
        """
        size = source.shape[2:]
        image = resize(source, [max(1, round(self.scale * length)) for length in size])
        height, width = image.shape[2:]
        multiple = self.network.multiple
        missing = [math.ceil(length / multiple) * multiple - length for length in (width, height)]
        padded = F.pad(2 * image - 1, (0, missing[0], 0, missing[1]), mode="replicate")
        return resize((self.network(padded)[..., :height, :width] + 1) / 2, size)
