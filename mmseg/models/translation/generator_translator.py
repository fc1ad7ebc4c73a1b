"""A trained generator that changes the images of a batch, or of a folder."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.checkpoints.generators import TO_SOURCE, TO_TARGET, load_generator
from mmseg.errors import ConfigError
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
        dropout: bool = True,
    ) -> None:
        super().__init__()
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
        height, width = source.shape[2:]
        multiple = self.network.multiple
        missing = [math.ceil(length / multiple) * multiple - length for length in (width, height)]
        padded = F.pad(2 * source - 1, (0, missing[0], 0, missing[1]), mode="replicate")
        return (self.network(padded)[..., :height, :width] + 1) / 2
