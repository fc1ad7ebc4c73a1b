# SGD of ADDA in CyCADA's published scripts: a small constant rate, a large momentum.
optim_wrapper = dict(
    type="SegmentationOptimWrapper",
    constructor="GroupedOptimWrapperConstructor",
    optimizer=dict(type="SGD", lr=1e-5, momentum=0.99, weight_decay=5e-4),
)
param_scheduler = []
