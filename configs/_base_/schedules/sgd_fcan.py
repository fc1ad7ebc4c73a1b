# SGD of FCAN (Zhang et al., CVPR 2018), with polynomial decay: the rate of its first stage, 30 000 iterations
# on batches of six images. The second stage, 10 000 iterations on batches of eight, has a rate of 1e-4.
optim_wrapper = dict(
    type="SegmentationOptimWrapper",
    constructor="GroupedOptimWrapperConstructor",
    optimizer=dict(type="SGD", lr=0.0025, momentum=0.9, weight_decay=5e-4),
)
param_scheduler = [dict(type="PolyWarmupLR", by_epoch=False, power=0.9, min_lr=0.0, warmup_iters=0)]
