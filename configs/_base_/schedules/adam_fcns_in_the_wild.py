# Adam with the constant rate of a re-implementation of FCNs in the Wild.
optim_wrapper = dict(
    type="SegmentationOptimWrapper",
    constructor="GroupedOptimWrapperConstructor",
    optimizer=dict(type="Adam", lr=1e-6),
)
param_scheduler = []
