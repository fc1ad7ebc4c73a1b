"""What all decode heads share: choice of the input levels, classifier, loss and accuracy."""

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from typing import Any

from mmengine.model import normal_init
from torch import Tensor, nn

from mmseg.errors import ConfigError
from mmseg.labels import IGNORE_INDEX
from mmseg.models.layers.channels import filled
from mmseg.models.layers.conv import RELU, ConvBlock
from mmseg.models.layers.precision import full_precision
from mmseg.models.layers.resize import resize
from mmseg.models.losses.accuracy import pixel_accuracy
from mmseg.registry import MODELS


class BaseDecodeHead(nn.Module, metaclass=ABCMeta):
    """Features of an encoder to class scores.

    Args:
        in_channels: Channels of the input level, or of each level; in a segmentor they may be left out.
        channels: Channels in front of the classifier.
        num_classes: Number of classes.
        dropout_ratio: Probability of leaving out a whole channel in front of the classifier.
        norm_cfg: Normalisation of the head's convolutions; None gives convolutions with bias instead.
        act_cfg: Activation of the head's convolutions.
        in_index: Which of the encoder's levels to use: one (a head of one input) or several.
        loss_decode: Config of the loss, or of several that are added up. An entry ``loss_name`` names a loss
            in the log (``loss_seg`` by default); losses of the same name are logged as one.
        align_corners: How the head's logits are resized, see :func:`~mmseg.models.layers.resize.resize`.

    Raises:
        ConfigError: ``in_channels`` and ``in_index`` do not fit, or a loss has a name without ``loss``.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int] | None,
        channels: int,
        num_classes: int,
        dropout_ratio: float = 0.1,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        in_index: int | Sequence[int] = -1,
        loss_decode: dict | Sequence[dict] | None = None,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        if in_channels is None:
            raise ConfigError(
                f"{type(self).__name__}: in_channels are missing, and the encoder does not tell the channels "
                "of its levels; name them, or let the backbone set self.channels (and its neck channels_of)"
            )
        if isinstance(in_channels, Sequence) != isinstance(in_index, Sequence) or (
            isinstance(in_channels, Sequence)
            and isinstance(in_index, Sequence)
            and len(in_channels) != len(in_index)
        ):
            raise ConfigError(
                f"{type(self).__name__}: in_channels={in_channels} and in_index={in_index} must name the "
                "same levels: two integers, or two lists of equal length"
            )
        self.in_channels = in_channels
        self.channels = channels
        self.num_classes = num_classes
        self.block: dict[str, Any] = dict(norm_cfg=norm_cfg, act_cfg=act_cfg or RELU)
        self.in_index = in_index
        self.align_corners = align_corners
        losses = loss_decode or dict(type="CrossEntropyLoss")
        losses = [losses] if isinstance(losses, dict) else losses
        self.loss_names = [loss.get("loss_name", "loss_seg") for loss in losses]
        if unnamed := [name for name in self.loss_names if "loss" not in name]:
            raise ConfigError(
                f"{type(self).__name__}: loss_name={unnamed[0]!r}; expected a name with 'loss', others "
                "are only logged"
            )
        self.loss_decode = nn.ModuleList(
            MODELS.build({key: value for key, value in loss.items() if key != "loss_name"}) for loss in losses
        )
        self.dropout = nn.Dropout2d(dropout_ratio) if dropout_ratio > 0 else nn.Identity()
        self.conv_seg = nn.Conv2d(channels, num_classes, kernel_size=1)
        normal_init(self.conv_seg, std=0.01)

    @classmethod
    def with_channels(cls, head: dict[str, Any], channels: Sequence[int]) -> dict[str, Any]:
        """Arguments of a head with ``in_channels`` filled in.

        Args:
            head: Arguments of a head of this type.
            channels: Of all levels of the encoder.

        Raises:
            ConfigError: Other channels or unknown levels are named.
        """
        return filled(head, "in_channels", head.get("in_index", -1), channels)

    @abstractmethod
    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Class scores of all levels of an encoder.

        Args:
            features: (B, C_i, h_i, w_i) maps; the head takes those of ``in_index``.

        Returns:
            (B, num_classes, h, w) logits at the head's own stride.
        """

    @classmethod
    def attention_config(cls, head: dict[str, Any]) -> dict[str, Any]:
        """Arguments of the head of this type that gives HRDA's scale attention.

        Args:
            head: Arguments of the head that predicts.
        """
        return head

    def channels_of_one_level(self) -> int:
        """Channels of the input of a head that takes one level.

        Raises:
            ConfigError: Several levels are configured.
        """
        if isinstance(self.in_channels, Sequence):
            raise ConfigError(
                f"{type(self).__name__}: in_channels={self.in_channels}; this head takes one level, expected "
                "one number and in_index=3 or another single level"
            )
        return self.in_channels

    def channels_of_levels(self) -> Sequence[int]:
        """Channels of the inputs of a head that takes several levels.

        Raises:
            ConfigError: One level is configured.
        """
        if not isinstance(self.in_channels, Sequence):
            raise ConfigError(
                f"{type(self).__name__}: in_channels={self.in_channels}; expected one number per level, and "
                "their indices as in_index"
            )
        return self.in_channels

    def conv_block(
        self, in_channels: int, kernel_size: int, channels: int | None = None, dilation: int = 1
    ) -> ConvBlock:
        """Convolution that keeps the size, norm and activation; by default to the channels of the head."""
        return ConvBlock(in_channels, channels or self.channels, kernel_size, dilation, **self.block)

    def select(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The input levels as a list."""
        indices = self.in_index if isinstance(self.in_index, Sequence) else [self.in_index]
        return [features[index] for index in indices]

    def classify(self, feature_map: Tensor) -> Tensor:
        """Dropout and 1×1 classifier."""
        return self.conv_seg(self.dropout(feature_map))

    def forward_with_logits(
        self, features: Sequence[Tensor], gt_semantic_seg: Tensor, seg_weight: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of a batch and the logits; a head whose output is more than one map overrides this.

        Args:
            features: What the segmentor's ``extract_feat`` returns.
            gt_semantic_seg: See :meth:`loss`.
            seg_weight: (B, H, W) weights of the pixels in the loss, or None for 1.
        """
        logits = self(features)
        return self.loss(logits, gt_semantic_seg, seg_weight), logits

    def loss(
        self, logits: Tensor, gt_semantic_seg: Tensor, seg_weight: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Loss and accuracy at the size of the labels, at least in float32 also under autocast.

        Args:
            logits: (B, num_classes, h, w).
            gt_semantic_seg: (B, H, W) int64 labels, or soft ones (B, num_classes, H, W) for a cross entropy.
            seg_weight: (B, H, W) weights of the pixels in the loss, or None for 1.

        Returns:
            The losses by their names, ``loss_seg`` for one, and ``acc_seg`` (percent of all pixels), each of
            shape () on the device of the logits.
        """
        logits = resize(full_precision(logits), gt_semantic_seg.shape[-2:], self.align_corners)
        losses: dict[str, Tensor] = {}
        for name, criterion in zip(self.loss_names, self.loss_decode, strict=True):
            loss = criterion(logits, gt_semantic_seg, seg_weight, ignore_index=IGNORE_INDEX)
            losses[name] = losses[name] + loss if name in losses else loss
        return losses | dict(acc_seg=pixel_accuracy(logits, gt_semantic_seg))
