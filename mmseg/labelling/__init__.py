"""Which pixels of unlabelled images get which label: probabilities in, labels out."""

from mmseg.labelling.class_balanced import ClassBalanced
from mmseg.labelling.class_quantile import ClassQuantile
from mmseg.labelling.easy_hard import EasyHard
from mmseg.labelling.entropy_ranking import EntropyRanking
from mmseg.labelling.global_threshold import GlobalThreshold
from mmseg.labelling.soft_class_balanced import SoftClassBalanced
from mmseg.labelling.voting import Voting

__all__ = [
    "ClassBalanced",
    "ClassQuantile",
    "EasyHard",
    "EntropyRanking",
    "GlobalThreshold",
    "SoftClassBalanced",
    "Voting",
]
