# Adam for FCN-8s on VGG-16 as in BDL (Li et al., CVPR 2019) and later works: twice the rate of biases,
# a tenth of all rates after each 50 000 iterations. Its discriminator has the same steps.
optim_wrapper = dict(
    type="SegmentationOptimWrapper",
    constructor="GroupedOptimWrapperConstructor",
    optimizer=dict(type="Adam", lr=1e-5, betas=(0.9, 0.99)),
    paramwise_cfg=dict(custom_keys=dict(bias=dict(lr_mult=2.0))),
)
param_scheduler = [dict(type="StepLR", by_epoch=False, step_size=50_000, gamma=0.1)]
