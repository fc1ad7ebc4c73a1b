# SGD for DeepLabV2 as in AdaptSegNet and ADVENT: ten times the rate for the classifiers, polynomial decay
# over 250 000 iterations, of which 150 000 (AdaptSegNet) or 120 000 (ADVENT) are run.
optim_wrapper = dict(
    type="SegmentationOptimWrapper",
    constructor="GroupedOptimWrapperConstructor",
    optimizer=dict(type="SGD", lr=2.5e-4, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys=dict(_head=dict(lr_mult=10.0))),
)
param_scheduler = [
    dict(type="PolyWarmupLR", by_epoch=False, power=0.9, min_lr=0.0, warmup_iters=0, end=250_000)
]
