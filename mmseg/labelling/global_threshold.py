"""Self-training with one threshold (ST).

The baseline of Zou, Yu, Kumar, Wang, ECCV 2018: the portion is taken of all pixels, so classes that are easy
to transfer get most of the labels.
"""

from mmseg.labelling.by_threshold import ThresholdLabeller
from mmseg.labelling.confidences import Confidences
from mmseg.registry import LABELLERS


@LABELLERS.register_module()
class GlobalThreshold(ThresholdLabeller):
    """Selects a portion of all pixels by one threshold.

    See :class:`~mmseg.labelling.by_threshold.ThresholdLabeller` for the arguments.
    """

    def thresholds(self, confidences: Confidences, portion: float) -> list[float]:
        zeros = confidences.num_classes + 1 if self.published_zeros else 0
        return [confidences.shared_threshold(portion, zeros)] * confidences.num_classes
