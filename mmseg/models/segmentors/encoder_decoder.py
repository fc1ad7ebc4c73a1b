"""A segmentation network: encoder, optional neck, decode head, and its training pass."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg.checkpoints.weights import load_pretrained_backbone
from mmseg.errors import ConfigError
from mmseg.models.layers.channels import channels_behind, with_channels
from mmseg.models.layers.precision import full_precision
from mmseg.models.layers.resize import resize
from mmseg.models.layers.sliding_window import Window
from mmseg.models.normalization import preprocessor_of
from mmseg.models.segmentors.inference import Inference
from mmseg.registry import MODELS

Losses = dict[str, Tensor]
PARTS = ("backbone", "neck", "decode_head", "auxiliary_head")


@MODELS.register_module()
class EncoderDecoder(Inference):
    """Encoder-decoder segmentor.

    Args:
        backbone: Config of the encoder.
        decode_head: Config of the decode head. Its ``in_channels`` may be left out where the encoder tells
            those of its levels; the same holds for neck and auxiliary heads.
        neck: Config of the layers between them.
        auxiliary_head: Config, or list of configs, of heads that only add losses in training.
        sum_outputs: The prediction is the sum of the logits of all heads, which give maps of one size:
            several classifiers of the same features (CLAN: Luo et al., CVPR 2019).
        frozen_norm_affine: Scale and shift of every batch norm are not trained, while its statistics follow
            the batches: "frozen" batch norm of the methods on DeepLabV2 (Tsai et al., CVPR 2018, and others).
        published_names: How checkpoints of other code name the parts: what stands before the names of the
            entries -> part, e.g. ``dict(layer6='decode_head')``. All other names are those of the backbone.
        pretrained: ImageNet weights of the backbone (see :func:`load_pretrained_backbone`), loaded by
            :meth:`init_weights`.
        pretrained_names: How a file of other code names them, ``dict(key=..., prefix=..., rename=...)``, see
            :class:`~mmseg.checkpoints.weights.ForeignNames`.
        test_cfg: How it predicts; see :class:`Inference`.
        data_preprocessor: Config of the data preprocessor; by default the statistics that belong to the
            pretrained weights, see :func:`~mmseg.models.normalization.preprocessor_of`.

    Raises:
        ConfigError: A part is unknown, ``in_channels`` are not those of the encoder, ``test_cfg`` is
            incomplete, or there is nothing to sum.
    """

    output_scale: ClassVar[float] = 1.0
    """Size of what :meth:`forward_outputs` returns, relative to the image."""

    def __init__(
        self,
        backbone: dict,
        decode_head: dict,
        neck: dict | None = None,
        auxiliary_head: dict | Sequence[dict] | None = None,
        sum_outputs: bool = False,
        frozen_norm_affine: bool = False,
        published_names: Mapping[str, str] | None = None,
        pretrained: str | None = None,
        pretrained_names: Mapping[str, Any] | None = None,
        test_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(preprocessor_of(backbone, pretrained, data_preprocessor), test_cfg)
        self.backbone = MODELS.build(backbone)
        levels = channels_behind(self.backbone, None)
        self.neck = MODELS.build(with_channels(neck, levels)) if neck else None
        levels = channels_behind(self.backbone, self.neck)
        self.decode_head = MODELS.build(with_channels(decode_head, levels))
        if isinstance(auxiliary_head, Sequence):
            self.auxiliary_head: nn.Module | None = nn.ModuleList(
                MODELS.build(with_channels(cfg, levels)) for cfg in auxiliary_head
            )
        else:
            auxiliary = with_channels(auxiliary_head, levels) if auxiliary_head else None
            self.auxiliary_head = MODELS.build(auxiliary) if auxiliary else None
        if sum_outputs and self.auxiliary_head is None:
            raise ConfigError(
                "EncoderDecoder: sum_outputs=True without auxiliary_head; name the second classifier there"
            )
        self.sum_outputs = sum_outputs
        if frozen_norm_affine:
            freeze_norm_affine(self)
        self.published_names = published_names
        self.pretrained = pretrained
        self.pretrained_names = dict(pretrained_names or {})
        if unknown := sorted(set(self.pretrained_names) - {"key", "prefix", "rename"}):
            raise ConfigError(f"config: model.pretrained_names has no {unknown}; known: key, prefix, rename")

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.decode_head.num_classes

    @property
    def align_corners(self) -> bool:
        """How logits are resized: as the decode head says."""
        return self.decode_head.align_corners

    @property
    def output_names(self) -> list[str]:
        """``main``, and ``aux`` (or ``aux_0``, …) for auxiliary heads."""
        return ["main", *(prefix for prefix, _ in self._heads()[1:])]

    def init_weights(self) -> None:
        """Load the pretrained weights; all other layers have their initial values since they were built.

        Raises:
            CheckpointError: The file is missing, unreadable, or of another network.
        """
        if self.pretrained:
            load_pretrained_backbone(self.backbone, self.pretrained, self.pretrained_names)

    def own_name(self, name: str) -> str:
        """Name in this network of an entry of a published checkpoint, as far as the parts are concerned."""
        if self.published_names is None or name.split(".")[0] in PARTS:
            return name
        for prefix, part in self.published_names.items():
            if name.startswith(f"{prefix}."):
                return part + name.removeprefix(prefix)
        return f"backbone.{name}"

    # ---------------------------------------------------------------- network

    def extract_feat(self, img: Tensor) -> Any:
        """Features of (B, 3, H, W) as the heads take them: here a list of maps."""
        features = self.backbone(img)
        return self.neck(features) if self.neck is not None else features

    def encode_decode(self, img: Tensor, upscale_pred: bool = True) -> Tensor:
        """Logits of a normalised image in one pass, in float32, or float64 where the network is.

        Args:
            img: (B, 3, H, W).
            upscale_pred: Resize to (H, W) bilinearly instead of returning the head's own stride.

        Returns:
            (B, C, H, W), or (B, C, h, w).
        """
        logits = full_precision(self._logits(self.extract_feat(img)))
        return self.resize_logits(logits, img.shape[2:]) if upscale_pred else logits

    def _logits(self, features: Any) -> Tensor:
        """What is predicted from features, (B, C, h, w)."""
        if not self.sum_outputs:
            return self.decode_head(features)
        return torch.stack([head(features) for _, head in self._heads()]).sum(dim=0)

    def forward_train(
        self,
        img: Tensor,
        gt_semantic_seg: Tensor,
        seg_weight: Tensor | None = None,
        return_feat: bool = False,
    ) -> tuple[Losses, Any]:
        """Losses of a batch.

        Args:
            img: (B, 3, H, W), normalised.
            gt_semantic_seg: (B, H, W) int64 labels.
            seg_weight: (B, H, W) weights of the pixels in the loss, or None for 1.
            return_feat: Return the features too.

        Returns:
            ``decode.loss_seg``, ``decode.acc_seg`` and those of auxiliary heads, and the features or None.
        """
        features = self.training_features(img)
        losses: Losses = {}
        for prefix, head in self._heads():
            head_losses, _ = head.forward_with_logits(features, gt_semantic_seg, seg_weight)
            losses |= add_prefix(head_losses, prefix)
        return losses, features if return_feat else None

    def training_features(self, img: Tensor) -> Any:
        """Features of (B, 3, H, W) as the heads take them in training."""
        return self.extract_feat(img)

    def forward_outputs(
        self,
        img: Tensor,
        gt_semantic_seg: Tensor | None = None,
        size: Sequence[int] | None = None,
        seg_weight: Tensor | None = None,
    ) -> tuple[dict[str, Tensor], Losses]:
        """Logits of every head in training, for methods that compare the predictions on two domains.

        Args:
            img: (B, 3, H, W), normalised.
            gt_semantic_seg: (B, H, W) int64 labels, or soft ones (B, C, H, W); None for unlabelled images.
            size: Of the logits; by default (H · ``output_scale``, W · ``output_scale``).
            seg_weight: (B, H, W) weights of the pixels in the loss, or None for 1.

        Returns:
            Logits (B, C, *size) by ``output_names``, in float32 or float64, and the losses of
            :meth:`forward_train` from the same pass; none without labels.
        """
        features = self.training_features(img)
        size = size or [int(length * self.output_scale) for length in img.shape[2:]]
        outputs: dict[str, Tensor] = {}
        losses: Losses = {}
        for name, (prefix, head) in zip(self.output_names, self._heads(), strict=True):
            if gt_semantic_seg is None:
                logits = head(features)
            else:
                head_losses, logits = head.forward_with_logits(features, gt_semantic_seg, seg_weight)
                losses |= add_prefix(head_losses, prefix)
            outputs[name] = resize(full_precision(logits), size, head.align_corners)
        return outputs, losses

    def distance_features(self, features: Any) -> list[tuple[Tensor, Window | None]]:
        """The features that a feature distance compares, each with the part of the input it covers.

        Args:
            features: Of this network, as :meth:`forward_train` returns them.

        Returns:
            (B, C, h, w) maps; None for the whole input.
        """
        return [(features[-1], None)]

    def reference_features(self, img: Tensor, features: Any) -> list[Tensor]:
        """The same features of this network for an image, without decoding.

        Args:
            img: (B, 3, H, W), normalised.
            features: Those of the network to compare with.
        """
        return [feature for feature, _ in self.distance_features(self.extract_feat(img))]

    def pictures_of(self, features: Any) -> dict[str, Tensor]:
        """What a training pass has to show beside predictions: name -> (B, h, w) in [0, 1], detached."""
        return {}

    def _heads(self) -> list[tuple[str, Any]]:
        """(prefix of its losses, head); the first one is the one that predicts."""
        if isinstance(self.auxiliary_head, nn.ModuleList):
            auxiliary = [(f"aux_{index}", head) for index, head in enumerate(self.auxiliary_head)]
        else:
            auxiliary = [("aux", self.auxiliary_head)] if self.auxiliary_head is not None else []
        return [("decode", self.decode_head), *auxiliary]

    # ----------------------------------------------------------------- mmengine

    def forward(
        self,
        img: Tensor,
        gt_semantic_seg: Tensor | None = None,
        seg_weight: Tensor | None = None,
        img_metas: Sequence[Mapping[str, Any]] | None = None,
        mode: str = "tensor",
        **_: Any,
    ) -> Any:
        """Entry of mmengine's runner; keys of a batch that a plain segmentor has no use for are ignored.

        Args:
            img: (B, 3, H, W), normalised.
            gt_semantic_seg: (B, H, W) int64 labels; needed for ``loss``, optional for ``predict``.
            seg_weight: (B, H, W) weights of the pixels in the loss.
            img_metas: One dict per image; ``predict`` reads ``ori_shape``, ``img_shape`` and ``img_path``.
            mode: ``loss``, ``predict`` or ``tensor``.

        Returns:
            ``loss``: the losses. ``predict``: per image a dict of ``pred`` (H, W) at the original size,
            ``gt`` where given, ``confidence`` (H, W) where ``test_cfg`` asks for it, and ``img_path``.
            ``tensor``: logits (B, C, H, W).
        """
        if mode == "tensor":
            return self.encode_decode(img)
        if mode == "predict":
            if img_metas is None:
                raise ValueError("EncoderDecoder: mode='predict' needs img_metas; found none")
            return self._predict_samples(img, img_metas, gt_semantic_seg)
        if mode == "loss":
            if gt_semantic_seg is None:
                raise ValueError("EncoderDecoder: mode='loss' needs gt_semantic_seg; found none")
            return self.forward_train(img, gt_semantic_seg, seg_weight)[0]
        raise ValueError(f"EncoderDecoder: mode={mode!r}; expected 'loss', 'predict' or 'tensor'")


def freeze_norm_affine(network: nn.Module) -> None:
    """Take scale and shift of every batch norm out of the training; running statistics still move."""
    for part in network.modules():
        if isinstance(part, _BatchNorm):
            for parameter in part.parameters(recurse=False):
                parameter.requires_grad_(False)


def add_prefix(losses: Losses, prefix: str) -> Losses:
    """``{'loss_seg': …}`` to ``{'<prefix>.loss_seg': …}``."""
    return {f"{prefix}.{name}": value for name, value in losses.items()}
