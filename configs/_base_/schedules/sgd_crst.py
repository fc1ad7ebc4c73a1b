# SGD of CRST: ten times the rate for the classifier; constant, and in each round without momentum at first.
optim_wrapper = dict(
    type="SegmentationOptimWrapper",
    constructor="GroupedOptimWrapperConstructor",
    optimizer=dict(type="SGD", lr=5e-5, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys=dict(_head=dict(lr_mult=10.0))),
)
param_scheduler = []
