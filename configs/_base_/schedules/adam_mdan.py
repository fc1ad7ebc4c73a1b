# Adam of MDAN in MADAN's published code, with a constant rate. There gradients of the network and of the
# classifiers are clipped to a norm of 10 apart; here together.
optim_wrapper = dict(
    type="SegmentationOptimWrapper",
    constructor="GroupedOptimWrapperConstructor",
    optimizer=dict(type="Adam", lr=1e-4),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = []
