"""Unsupervised domain adaptation: one method per file, and the parts they share."""

from mmseg.models.uda.adv_seg import AdvSeg
from mmseg.models.uda.dacs import DACS
from mmseg.models.uda.min_ent import MinEnt
from mmseg.models.uda.parts.ema_teacher import EMATeacher, PseudoLabel
from mmseg.models.uda.parts.mask_generator import BlockMaskGenerator
from mmseg.models.uda.parts.masking_consistency_module import MaskingConsistencyModule
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import Objective, UDADecorator

__all__ = [
    "DACS",
    "AdvSeg",
    "BlockMaskGenerator",
    "EMATeacher",
    "MaskingConsistencyModule",
    "MinEnt",
    "Objective",
    "PseudoLabel",
    "UDABatch",
    "UDADecorator",
]
