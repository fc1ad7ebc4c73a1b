"""Training on source labels alone: the lower bound of every comparison."""

from collections.abc import Iterator, Sequence

from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, Losses
from mmseg.models.uda.parts.feature_distance import FeatureDistance
from mmseg.models.uda.uda_decorator import UDABatch, UDADecorator
from mmseg.registry import MODELS


@MODELS.register_module()
class SourceOnly(UDADecorator):
    """Cross entropy on source images: a frame for the feature distance and for masking without adaptation.

    Args:
        model: The student segmentor.
        imnet_feature_dist_lambda: Weight of the ImageNet feature distance, see :class:`FeatureDistance`.
        imnet_feature_dist_classes: Classes whose features are held; None = every pixel, labelled or not.
        imnet_feature_dist_scale_min_ratio: Share of a feature cell that one class has to cover.
        masking, translator: See :class:`UDADecorator`.

    Raises:
        ConfigError: An option is outside its range.
    """

    def __init__(
        self,
        model: dict | EncoderDecoder,
        imnet_feature_dist_lambda: float = 0.0,
        imnet_feature_dist_classes: Sequence[int] | None = None,
        imnet_feature_dist_scale_min_ratio: float | None = None,
        masking: dict | None = None,
        translator: dict | None = None,
    ) -> None:
        super().__init__(model, masking, translator=translator)
        self.feature_distance = FeatureDistance(
            self.model,
            imnet_feature_dist_lambda,
            imnet_feature_dist_classes,
            imnet_feature_dist_scale_min_ratio,
        )
        self.imnet_model = self.frozen_copy() if self.feature_distance.active else None

    def objectives(self, batch: UDABatch) -> Iterator[Losses]:
        """Cross entropy with feature distance (DAFormer eq. 1 and 9)."""
        batch.show(source=batch.img, source_label=batch.gt_semantic_seg)
        yield self.feature_distance.source_losses(batch, self.model, self.imnet_model)
