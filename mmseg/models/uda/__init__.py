"""Unsupervised domain adaptation: one method per file, and the parts they share."""

from mmseg.models.uda.dacs import DACS
from mmseg.models.uda.ema_teacher import EMATeacher, PseudoLabel
from mmseg.models.uda.uda_decorator import UDABatch, UDADecorator

__all__ = ["DACS", "EMATeacher", "PseudoLabel", "UDABatch", "UDADecorator"]
