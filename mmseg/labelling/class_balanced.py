"""Class-balanced self-training: one threshold per class (CBST), with a spatial prior (CBST-SP).

Zou, Yu, Kumar, Wang, "Unsupervised Domain Adaptation for Semantic Segmentation via Class-Balanced
Self-Training", ECCV 2018. The hard labels of CRST (ICCV 2019) are chosen in the same way.
"""

from mmseg.labelling.by_threshold import ThresholdLabeller
from mmseg.labelling.confidences import Confidences
from mmseg.registry import LABELLERS


@LABELLERS.register_module()
class ClassBalanced(ThresholdLabeller):
    """Selects the same portion of the pixels predicted to be of each class.

    See :class:`~mmseg.labelling.by_threshold.ThresholdLabeller` for the arguments.
    """

    def thresholds(self, confidences: Confidences, portion: float) -> list[float]:
        return confidences.thresholds(portion, zeros=int(self.published_zeros))
