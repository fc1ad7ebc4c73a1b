"""Procedural street scenes in the layouts of the real data sets."""

from mmseg.datasets.toy.generator import make_toy_dataset
from mmseg.datasets.toy.layouts import SETS

__all__ = ["SETS", "make_toy_dataset"]
