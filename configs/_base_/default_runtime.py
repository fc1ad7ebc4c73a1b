# How a run is driven: loop, log lines, checkpoints, debug pictures.
default_scope = "mmseg"
train_cfg = dict(type="SafeTrainLoop", max_iters=40000, val_interval=4000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(
    runtime_info=dict(type="BufferedRuntimeInfoHook"),
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    # the last two and the best checkpoint are kept
    checkpoint=dict(type="SafeCheckpointHook", interval=4000, max_keep_ckpts=2, save_best="mIoU"),
    preemption=dict(type="PreemptionHook"),
    randomness=dict(type="IterationRandomnessHook"),
    results=dict(type="ResultsHook"),
)
custom_hooks = [dict(type="DebugPicturesHook", interval=1000)]
log_processor = dict(by_epoch=False)
# scalars as JSON lines (vis_data/*.json) and for TensorBoard (vis_data/)
visualizer = dict(
    type="Visualizer", vis_backends=[dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")]
)
env_cfg = dict(cudnn_benchmark=True, mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0))
randomness = dict(seed=0)
log_level = "INFO"
load_from = None
resume = False
