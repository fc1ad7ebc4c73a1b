"""A segmentation network: encoder, optional neck, decode head, and how it is trained and applied."""

from collections.abc import Mapping, Sequence, Set
from typing import Any, ClassVar

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmseg.checkpoints.weights import load_pretrained_backbone
from mmseg.errors import ConfigError
from mmseg.models.layers.folded_conv import fold_batch_norms
from mmseg.models.layers.resize import resize
from mmseg.models.layers.sliding_window import Window, slide_inference
from mmseg.models.segmentors.test_time_augmentation import ImageVersions
from mmseg.registry import MODELS

Losses = dict[str, Tensor]


@MODELS.register_module()
class EncoderDecoder(BaseModel):
    """Encoder-decoder segmentor.

    Args:
        backbone: Config of the encoder.
        decode_head: Config of the decode head.
        neck: Config of the layers between them.
        auxiliary_head: Config, or list of configs, of heads that only add losses in training.
        pretrained: File with ImageNet weights of the backbone, loaded by :meth:`init_weights`.
        test_cfg: ``dict(mode='whole')``, or ``dict(mode='slide', crop_size=(h, w), stride=(h, w))`` with,
            optionally, ``batched_slide`` (all windows at once) and ``max_windows_per_forward`` (crops in one
            pass). Both take ``augmentation`` (arguments of :class:`ImageVersions`) and ``confidence=True``
            (samples carry the probability of the prediction).
        data_preprocessor: Config of the data preprocessor; by default ImageNet statistics.

    Raises:
        ConfigError: A part is unknown, or ``test_cfg`` is incomplete.
    """

    test_settings: ClassVar[frozenset[str]] = frozenset(
        {
            "augmentation",
            "batched_slide",
            "confidence",
            "crop_size",
            "max_windows_per_forward",
            "mode",
            "stride",
        }
    )
    """Entries that ``test_cfg`` may have."""

    output_scale: ClassVar[float] = 1.0
    """Size of what :meth:`forward_outputs` returns, relative to the image."""

    def __init__(
        self,
        backbone: dict,
        decode_head: dict,
        neck: dict | None = None,
        auxiliary_head: dict | Sequence[dict] | None = None,
        pretrained: str | None = None,
        test_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(
            data_preprocessor=MODELS.build(data_preprocessor or dict(type="SegDataPreprocessor"))
        )
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck) if neck else None
        self.decode_head = MODELS.build(decode_head)
        fold_batch_norms(self.decode_head)
        if isinstance(auxiliary_head, Sequence):
            self.auxiliary_head: nn.Module | None = nn.ModuleList(MODELS.build(cfg) for cfg in auxiliary_head)
        else:
            self.auxiliary_head = MODELS.build(auxiliary_head) if auxiliary_head else None
        self.pretrained = pretrained
        self.test_cfg = check_test_cfg(test_cfg or dict(mode="whole"), self.test_settings)
        augmentation = self.test_cfg.get("augmentation")
        self.versions = ImageVersions(**augmentation) if augmentation else None

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.decode_head.num_classes

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
            load_pretrained_backbone(self.backbone, self.pretrained)

    # ---------------------------------------------------------------- network

    def extract_feat(self, img: Tensor) -> Any:
        """Features of (B, 3, H, W) as the heads take them: here a list of maps."""
        features = self.backbone(img)
        return self.neck(features) if self.neck is not None else features

    def encode_decode(self, img: Tensor, upscale_pred: bool = True) -> Tensor:
        """Float32 logits of a normalised image in one pass.

        Args:
            img: (B, 3, H, W).
            upscale_pred: Resize to (H, W) bilinearly instead of returning the head's own stride.

        Returns:
            (B, C, H, W), or (B, C, h, w).
        """
        logits = self.decode_head(self.extract_feat(img)).float()
        return resize(logits, img.shape[2:]) if upscale_pred else logits

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
            losses |= add_prefix(head.forward_train(features, gt_semantic_seg, seg_weight), prefix)
        return losses, features if return_feat else None

    def training_features(self, img: Tensor) -> Any:
        """Features of (B, 3, H, W) as the heads take them in training."""
        return self.extract_feat(img)

    def forward_outputs(
        self, img: Tensor, gt_semantic_seg: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Losses]:
        """Logits of every head in training, for methods that compare the predictions on two domains.

        Args:
            img: (B, 3, H, W), normalised.
            gt_semantic_seg: (B, H, W) int64 labels; None for unlabelled images.

        Returns:
            Float32 logits (B, C, H · ``output_scale``, W · ``output_scale``) by ``output_names``, and the
            losses of :meth:`forward_train` from the same pass; none without labels.
        """
        features = self.training_features(img)
        size = [int(length * self.output_scale) for length in img.shape[2:]]
        outputs: dict[str, Tensor] = {}
        losses: Losses = {}
        for name, (prefix, head) in zip(self.output_names, self._heads(), strict=True):
            if gt_semantic_seg is None:
                logits = head(features)
            else:
                head_losses, logits = head.forward_with_logits(features, gt_semantic_seg)
                losses |= add_prefix(head_losses, prefix)
            outputs[name] = resize(logits.float(), size)
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

    # -------------------------------------------------------------- inference

    @torch.no_grad()
    def predict(self, img: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """Logits as ``test_cfg`` says: of the whole image, or averaged over sliding windows.

        Args:
            img: (B, 3, H, W), normalised.
            size: (H, W) of the result; by default that of the image.

        Returns:
            (B, C, *size) float32.
        """
        if self.test_cfg["mode"] == "whole":
            logits = self._infer(img)
        else:
            windows: int | None = None if self.test_cfg.get("batched_slide", False) else 1
            limit = self.test_cfg.get("max_windows_per_forward")
            if windows is None and limit is not None:
                windows = max(1, limit // img.shape[0])
            logits = self._slide(img, self.test_cfg["crop_size"], self.test_cfg["stride"], windows)
        return resize(logits, size or img.shape[2:])

    def _infer(self, img: Tensor) -> Tensor:
        """What one pass contributes to a prediction, (B, C, H, W)."""
        return self.encode_decode(img)

    def _slide(
        self, img: Tensor, crop: Sequence[int], stride: Sequence[int], windows_per_forward: int | None
    ) -> Tensor:
        """What sliding windows contribute to a prediction, (B, C, H, W)."""
        return slide_inference(self._infer, img, crop, stride, windows_per_forward)

    @torch.no_grad()
    def predict_probabilities(
        self,
        img: Tensor,
        size: Sequence[int] | None = None,
        flip: bool = False,
        input_sizes: Sequence[Sequence[int]] | None = None,
    ) -> Tensor:
        """Class probabilities, the mean over versions of the image.

        Args:
            img: (B, 3, H, W), normalised.
            size: (H, W) of the result; by default that of the image.
            flip: Predict each version for the mirrored image as well.
            input_sizes: (H, W) that the image is resized to, bilinearly; by default its own size alone.

        Returns:
            (B, C, *size) float32.
        """
        size = size or img.shape[2:]
        total: Tensor | None = None
        for input_size in input_sizes or [img.shape[2:]]:
            version = resize(img, input_size)
            for mirrored in (False, True) if flip else (False,):
                logits = self.predict(version.flip(3) if mirrored else version, size)
                probabilities = logits.softmax(dim=1)
                probabilities = probabilities.flip(3) if mirrored else probabilities
                total = probabilities if total is None else total.add_(probabilities)
        assert total is not None  # there is at least one version
        return total.div_(len(input_sizes or [size]) * (1 + flip))

    def _predict_samples(
        self, img: Tensor, img_metas: Sequence[Mapping[str, Any]], gt_semantic_seg: Tensor | None
    ) -> list[dict[str, Any]]:
        samples = []
        maps = self.predict(img) if self.versions is None else img
        for index, meta in enumerate(img_metas):
            (height, width), size = meta["img_shape"][:2], meta["ori_shape"][:2]
            content = maps[index : index + 1, :, :height, :width]  # without the padding of a batch
            if self.versions is None:
                if content.device.type == "cpu":  # there, resizing and arg-max take a third of the time so
                    content = content.contiguous(memory_format=torch.channels_last)
                sample = self._sample(resize(content, size)[0])
            else:
                sizes = self.versions.sizes(height, width, meta["img_path"])
                scores = self.predict_probabilities(content, size, self.versions.flip, sizes)
                sample = self._sample(scores[0], probabilities=True)
            if gt_semantic_seg is not None:
                sample["gt"] = gt_semantic_seg[index]
            samples.append(sample | dict(img_path=meta["img_path"]))
        return samples

    def _sample(self, scores: Tensor, probabilities: bool = False) -> dict[str, Tensor]:
        """Prediction (H, W) from the logits or probabilities (C, H, W) of an image."""
        pred = scores.argmax(dim=0)
        sample = dict(pred=pred.to(torch.uint8) if self.num_classes <= 256 else pred)
        if self.test_cfg.get("confidence"):
            best = scores.amax(dim=0)
            sample["confidence"] = best if probabilities else (best - scores.logsumexp(dim=0)).exp()
        return sample

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


def add_prefix(losses: Losses, prefix: str) -> Losses:
    """``{'loss_seg': …}`` to ``{'<prefix>.loss_seg': …}``."""
    return {f"{prefix}.{name}": value for name, value in losses.items()}


def check_window_limit(place: str, limit: int | None) -> None:
    """Refuse a number of windows that is none.

    Raises:
        ConfigError: It is neither None nor a whole number from 1 on.
    """
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise ConfigError(
            f"{place}: max_windows_per_forward={limit!r}; expected None or a whole number of at least 1"
        )


def check_test_cfg(test_cfg: Mapping[str, Any], known: Set[str]) -> dict[str, Any]:
    """The same dict if it describes a way of inference.

    Args:
        test_cfg: See :class:`EncoderDecoder`.
        known: Entries that the segmentor has.

    Raises:
        ConfigError: The mode is unknown, or sizes of the sliding window are missing or do not cover the
            image.
    """
    mode, unknown = test_cfg.get("mode"), sorted(test_cfg.keys() - known)
    if mode not in ("whole", "slide") or unknown:
        raise ConfigError(
            f"test_cfg: mode={mode!r}, unknown entries {unknown}; expected mode 'whole' or 'slide' "
            f"and at most {sorted(known)}"
        )
    check_window_limit("test_cfg", test_cfg.get("max_windows_per_forward"))
    if mode == "slide":
        crop, stride = test_cfg.get("crop_size", ()), test_cfg.get("stride", ())
        pairs = len(crop) == len(stride) == 2
        if not pairs or not all(0 < step <= length for step, length in zip(stride, crop, strict=True)):
            raise ConfigError(
                f"test_cfg: crop_size={crop}, stride={stride}; mode 'slide' needs two pairs (height, width) "
                "with 0 < stride <= crop_size; set model.test_cfg.crop_size and model.test_cfg.stride"
            )
    return dict(test_cfg)
