"""Unsupervised domain adaptation: one method per file, and the parts they share."""

from mmseg.models.uda.adda import ADDA
from mmseg.models.uda.adv_ent import AdvEnt
from mmseg.models.uda.adv_seg import AdvSeg
from mmseg.models.uda.clan import CLAN
from mmseg.models.uda.cycada import CyCADA
from mmseg.models.uda.cyclegan import CycleGAN
from mmseg.models.uda.dacs import DACS
from mmseg.models.uda.dctn import DCTN
from mmseg.models.uda.fcan import FCAN
from mmseg.models.uda.fcns_in_the_wild import FCNsInTheWild
from mmseg.models.uda.fda import FDA
from mmseg.models.uda.madan import MADAN
from mmseg.models.uda.mdan import MDAN
from mmseg.models.uda.min_ent import MinEnt
from mmseg.models.uda.parts.ema_teacher import EMATeacher, PseudoLabel
from mmseg.models.uda.parts.mask_generator import BlockMaskGenerator
from mmseg.models.uda.parts.masking_consistency_module import MaskingConsistencyModule
from mmseg.models.uda.parts.semantic_consistency import DynamicConsistency, LearntConsistency
from mmseg.models.uda.road import ROAD
from mmseg.models.uda.self_training import SelfTraining
from mmseg.models.uda.source_only import SourceOnly
from mmseg.models.uda.step_context import Progress, StepContext
from mmseg.models.uda.tpld import TPLD
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import Objective, Step, UDADecorator

__all__ = [
    "ADDA",
    "CLAN",
    "DACS",
    "DCTN",
    "FCAN",
    "FDA",
    "MADAN",
    "MDAN",
    "ROAD",
    "TPLD",
    "AdvEnt",
    "AdvSeg",
    "BlockMaskGenerator",
    "CyCADA",
    "CycleGAN",
    "DynamicConsistency",
    "EMATeacher",
    "FCNsInTheWild",
    "LearntConsistency",
    "MaskingConsistencyModule",
    "MinEnt",
    "Objective",
    "Progress",
    "PseudoLabel",
    "SelfTraining",
    "SourceOnly",
    "Step",
    "StepContext",
    "UDABatch",
    "UDADecorator",
]
