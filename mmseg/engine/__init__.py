"""What drives a run, whatever its method: runner, loop, hooks, schedules, optimizers."""

from mmseg.engine.hooks.checkpoint import SafeCheckpointHook
from mmseg.engine.hooks.debug_pictures import DebugPicturesHook
from mmseg.engine.hooks.iteration_randomness import IterationRandomnessHook
from mmseg.engine.hooks.predictions import PredictionArchiveHook, PredictionWriterHook, SubmissionHook
from mmseg.engine.hooks.preemption import PreemptionHook
from mmseg.engine.hooks.results import ConfusionMatrixHook, ResultsHook
from mmseg.engine.hooks.runtime_info import BufferedRuntimeInfoHook
from mmseg.engine.legacy_sgd import LegacySGD
from mmseg.engine.optim_wrapper import SegmentationOptimWrapper
from mmseg.engine.optimizer_constructor import GroupedOptimWrapperConstructor
from mmseg.engine.rounds import RoundsTrainLoop
from mmseg.engine.runner import SegmentationRunner
from mmseg.engine.schedules import LinearToZeroLR, PolyWarmupLR
from mmseg.engine.train_loop import SafeTrainLoop

__all__ = [
    "BufferedRuntimeInfoHook",
    "ConfusionMatrixHook",
    "DebugPicturesHook",
    "GroupedOptimWrapperConstructor",
    "IterationRandomnessHook",
    "LegacySGD",
    "LinearToZeroLR",
    "PolyWarmupLR",
    "PredictionArchiveHook",
    "PredictionWriterHook",
    "PreemptionHook",
    "ResultsHook",
    "RoundsTrainLoop",
    "SafeCheckpointHook",
    "SafeTrainLoop",
    "SegmentationOptimWrapper",
    "SegmentationRunner",
    "SubmissionHook",
]
