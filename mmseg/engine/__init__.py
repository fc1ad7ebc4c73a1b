"""What drives a run and knows no method: runner, hooks, schedules, optimizer groups."""

from mmseg.engine.evaluation_hooks import PredictionWriterHook, ResultsHook
from mmseg.engine.hooks import BufferedRuntimeInfoHook, DebugPicturesHook, IterationRandomnessHook
from mmseg.engine.optimizer_constructor import GroupedOptimWrapperConstructor
from mmseg.engine.runner import SegmentationRunner
from mmseg.engine.schedules import PolyWarmupLR

__all__ = [
    "BufferedRuntimeInfoHook",
    "DebugPicturesHook",
    "GroupedOptimWrapperConstructor",
    "IterationRandomnessHook",
    "PolyWarmupLR",
    "PredictionWriterHook",
    "ResultsHook",
    "SegmentationRunner",
]
