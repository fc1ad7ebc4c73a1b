"""The one door for configs, logs and options of mmsegmentation 0.x: DAFormer, HRDA and MIC as published."""

from mmseg.legacy.translate import is_legacy, translate
from mmseg.legacy.uda import todays_networks, todays_uda

__all__ = ["is_legacy", "todays_networks", "todays_uda", "translate"]
