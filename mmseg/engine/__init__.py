"""What drives a run and knows no method: runner, hooks, schedules, optimizer groups."""

from mmseg.engine.checkpoint_hook import SafeCheckpointHook
from mmseg.engine.evaluation_hooks import ResultsHook
from mmseg.engine.hooks import BufferedRuntimeInfoHook, DebugPicturesHook, IterationRandomnessHook
from mmseg.engine.optim_wrapper import SegmentationOptimWrapper
from mmseg.engine.optimizer_constructor import GroupedOptimWrapperConstructor
from mmseg.engine.prediction_hooks import PredictionArchiveHook, PredictionWriterHook, SubmissionHook
from mmseg.engine.preemption_hook import PreemptionHook
from mmseg.engine.runner import SegmentationRunner
from mmseg.engine.schedules import PolyWarmupLR
from mmseg.engine.train_loop import SafeTrainLoop

__all__ = [
    "BufferedRuntimeInfoHook",
    "DebugPicturesHook",
    "GroupedOptimWrapperConstructor",
    "IterationRandomnessHook",
    "PolyWarmupLR",
    "PredictionArchiveHook",
    "PredictionWriterHook",
    "PreemptionHook",
    "ResultsHook",
    "SafeCheckpointHook",
    "SafeTrainLoop",
    "SegmentationOptimWrapper",
    "SegmentationRunner",
    "SubmissionHook",
]
