"""The one door for configs and checkpoints of mmsegmentation 0.x: DAFormer, HRDA and MIC as published."""

from mmseg.legacy.translate import Translation, is_legacy, translate

__all__ = ["Translation", "is_legacy", "translate"]
