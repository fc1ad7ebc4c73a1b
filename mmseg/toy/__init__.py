"""Procedural street scenes in the layouts of the real data sets."""

from mmseg.toy.generator import make_toy_dataset
from mmseg.toy.layouts import SETS

__all__ = ["SETS", "make_toy_dataset"]
